#include "storage/table_end.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/table.h>
#include <xxhash.h>

#include "storage/model/bytes.h"

namespace grapevine::storage {
namespace {

using rocksdb::IOStatus;

static_assert(kTableChecksum == rocksdb::kXXH3);

// The footer: type of the checksums (1 byte), handles of the index of the metadata and of the index,
// zeros up to 41 bytes, format version (4), magic number (8). A handle is offset and size, varints.
constexpr std::uint64_t kFooterBytes = 53;
constexpr std::uint64_t kHandlesBytes = 40;
constexpr std::uint64_t kMagic = 0x88e2'41b7'85f4'cff7;
// Behind each block: how it is compressed (1 byte), and the checksum (4).
constexpr std::uint64_t kTrailerBytes = 5;
constexpr std::uint64_t kTailBytes = std::uint64_t{4} << 10;  // usually holds all that is looked at

struct Handle {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

Handle read_handle(model::ByteReader& in) {
  Handle handle;
  handle.offset = in.varint();
  handle.bytes = in.varint();
  return handle;
}

bool lies_within(const Handle& handle, std::uint64_t file_bytes) {
  const std::uint64_t room = file_bytes - kFooterBytes;
  return handle.bytes <= room && room - handle.bytes >= kTrailerBytes &&
         handle.offset <= room - handle.bytes - kTrailerBytes;
}

// A block's bytes; nullopt: they do not match the checksum.
std::optional<std::string> read_block(const Handle& handle, const ReadAt& read) {
  std::string block = read(handle.offset, handle.bytes + kTrailerBytes);
  if (block.size() != handle.bytes + kTrailerBytes) return std::nullopt;
  model::ByteReader trailer(std::string_view(block).substr(handle.bytes));
  const std::uint8_t compression = trailer.byte();
  const std::uint32_t expected = trailer.fixed32();
  // As RocksDB takes the byte behind the block into xxh3-64.
  constexpr std::uint32_t kOfLastByte = 0x6b90'83d9;
  const auto checksum = static_cast<std::uint32_t>(XXH3_64bits(block.data(), handle.bytes)) ^
                        (compression * kOfLastByte);
  if (checksum != expected || compression != rocksdb::kNoCompression) return std::nullopt;
  block.resize(handle.bytes);
  return block;
}

// Where the properties are, by the index of the metadata: a block of entries (bytes shared with the
// key before, others, size of the value: varints; key, value) and of offsets, their number last.
std::optional<Handle> find_properties(std::string_view block) {
  if (block.size() < 4) return std::nullopt;
  model::ByteReader count(block.substr(block.size() - 4));
  const std::uint64_t offset_bytes = (std::uint64_t{count.fixed32()} + 1) * 4;
  if (offset_bytes > block.size()) return std::nullopt;
  model::ByteReader in(block.substr(0, block.size() - offset_bytes));
  std::string key;
  while (in.ok() && in.left() > 0) {
    const std::uint64_t shared = in.varint();
    const std::uint64_t others = in.varint();
    const std::uint64_t value_bytes = in.varint();
    if (shared > key.size()) return std::nullopt;
    key.resize(shared);
    key += in.raw(others);
    model::ByteReader value(in.raw(value_bytes));
    if (key != "rocksdb.properties") continue;
    const Handle handle = read_handle(value);
    return value.ok() ? std::optional(handle) : std::nullopt;
  }
  return std::nullopt;
}

class CheckingFiles final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;
  const char* Name() const override { return "CheckingFiles"; }

  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               rocksdb::IODebugContext* context) override {
    IOStatus status = target()->NewRandomAccessFile(path, options, result, context);
    if (!status.ok() || !path.ends_with(".sst")) return status;
    std::uint64_t file_bytes = 0;
    status = target()->GetFileSize(path, options.io_options, &file_bytes, context);
    if (status.ok()) status = check(path, file_bytes, **result, context);
    if (!status.ok()) result->reset();
    return status;
  }

 private:
  static IOStatus check(const std::string& path, std::uint64_t file_bytes,
                        const rocksdb::FSRandomAccessFile& file, rocksdb::IODebugContext* context) {
    IOStatus failed;
    const auto read_file = [&](std::uint64_t offset, std::size_t count) -> std::string {
      std::string scratch(count, '\0');
      rocksdb::Slice bytes;
      const IOStatus status = file.Read(offset, count, {}, &bytes, scratch.data(), context);
      if (!status.ok()) failed = status;
      return status.ok() ? bytes.ToString() : "";
    };
    const std::uint64_t tail_bytes = std::min(file_bytes, kTailBytes);
    const std::uint64_t tail_at = file_bytes - tail_bytes;
    const std::string tail = read_file(tail_at, tail_bytes);
    const bool whole = is_table_end_whole(file_bytes, [&](std::uint64_t offset, std::size_t count) {
      return offset < tail_at ? read_file(offset, count)
                              : tail.substr(std::min(offset - tail_at, tail.size()), count);
    });
    if (!failed.ok()) return failed;
    if (whole) return IOStatus::OK();
    return IOStatus::Corruption("table " + path, "its end does not match its checksums");
  }
};

class CheckingEnv final : public rocksdb::EnvWrapper {
 public:
  explicit CheckingEnv(rocksdb::Env* below) : EnvWrapper(below) {
    file_system_ = std::make_shared<CheckingFiles>(below->GetFileSystem());
    system_clock_ = below->GetSystemClock();
  }
};

}  // namespace

bool is_table_end_whole(std::uint64_t file_bytes, const ReadAt& read) {
  if (file_bytes < kFooterBytes) return false;
  const std::string footer = read(file_bytes - kFooterBytes, kFooterBytes);
  if (footer.size() != kFooterBytes) return false;
  model::ByteReader in(footer);
  const std::uint8_t checksum = in.byte();
  model::ByteReader handles(in.raw(kHandlesBytes));
  const std::uint32_t format_version = in.fixed32();
  if (checksum != kTableChecksum || format_version != kTableFormatVersion ||
      in.fixed64() != kMagic) {
    return false;
  }
  const Handle metadata = read_handle(handles);
  const Handle index = read_handle(handles);
  if (!handles.ok() || !lies_within(metadata, file_bytes) || !lies_within(index, file_bytes)) {
    return false;
  }
  const auto block = read_block(metadata, read);
  if (!block.has_value()) return false;
  const auto properties = find_properties(*block);
  return properties.has_value() && lies_within(*properties, file_bytes) &&
         read_block(*properties, read).has_value();
}

std::unique_ptr<rocksdb::Env> with_table_ends_checked(rocksdb::Env* below) {
  return std::make_unique<CheckingEnv>(below);
}

}  // namespace grapevine::storage
