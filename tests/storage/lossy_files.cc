#include "tests/storage/lossy_files.h"

#include <algorithm>
#include <cstring>

namespace grapevine::storage {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using Files = LossyDisk::Files;
using FilePointer = Files::FilePointer;
using Place = Files::Place;
using File = Files::File;
using Directory = Files::Directory;

bool is_table(std::string_view name) {
  return name.ends_with(".sst");
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(LossyDisk::Files& files, FilePointer file)
      : files_(files), file_(std::move(file)) {}

  IOStatus Read(std::size_t count, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    const std::size_t got = std::min(count, file_->bytes.size() - at_);
    std::memcpy(scratch, file_->bytes.data() + at_, got);
    *result = {scratch, got};
    at_ += got;
    return IOStatus::OK();
  }
  IOStatus Skip(std::uint64_t count) override {
    const std::lock_guard lock(files_.mutex);
    at_ = std::min<std::size_t>(at_ + count, file_->bytes.size());
    return IOStatus::OK();
  }

 private:
  LossyDisk::Files& files_;
  const FilePointer file_;
  std::size_t at_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccessFile(LossyDisk::Files& files, FilePointer file, Place place)
      : files_(files), file_(std::move(file)), place_(std::move(place)) {}

  IOStatus Read(std::uint64_t offset, std::size_t count, const IOOptions&, rocksdb::Slice* result,
                char* scratch, IODebugContext*) const override {
    const std::lock_guard lock(files_.mutex);
    const std::size_t size = file_->bytes.size();
    const std::size_t from = std::min<std::size_t>(offset, size);
    const std::size_t got = std::min(count, size - from);
    std::memcpy(scratch, file_->bytes.data() + from, got);
    *result = {scratch, got};
    if (!goes_bad()) return IOStatus::OK();
    ++files_.bad_reads_done;
    if (files_.bad_how == LossyDisk::BadRead::kError) return IOStatus::IOError("the disk is bad");
    if (got > 0) scratch[got / 2] ^= 1;
    return IOStatus::OK();
  }

 private:
  bool goes_bad() const {
    if (files_.bad_directory.empty() || files_.bad_directory != place_.directory ||
        !is_table(place_.name) || files_.bad_thread != std::this_thread::get_id()) {
      return false;
    }
    if (files_.reads_left == 0) return true;
    --files_.reads_left;
    return false;
  }

  LossyDisk::Files& files_;
  const FilePointer file_;
  const Place place_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(LossyDisk::Files& files, FilePointer file, std::string directory)
      : files_(files), file_(std::move(file)), directory_(std::move(directory)) {}

  using FSWritableFile::Append;
  IOStatus Append(const rocksdb::Slice& bytes, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (!files_.takes_a_change(directory_)) return IOStatus::OK();
    Directory& directory = files_.directories[directory_];
    const std::size_t taken = std::min(bytes.size(), directory.room.value_or(bytes.size()));
    file_->bytes.append(bytes.data(), taken);
    if (directory.room.has_value()) *directory.room -= taken;
    if (taken == bytes.size()) return IOStatus::OK();
    ++files_.refused_appends;
    return IOStatus::NoSpace("no space left on device");
  }
  IOStatus Append(const rocksdb::Slice& bytes, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* context) override {
    return Append(bytes, options, context);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (!files_.takes_a_change(directory_)) return IOStatus::OK();
    file_->bytes.resize(size);
    file_->synced = std::min<std::size_t>(file_->synced, size);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (files_.takes_a_change(directory_)) file_->synced = file_->bytes.size();
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    return file_->bytes.size();
  }

 private:
  LossyDisk::Files& files_;
  const FilePointer file_;
  const std::string directory_;
};

class OpenDirectory final : public rocksdb::FSDirectory {
 public:
  OpenDirectory(LossyDisk::Files& files, std::string path)
      : files_(files), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (files_.takes_a_change(path_)) files_.directories[path_].unsynced.clear();
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  LossyDisk::Files& files_;
  const std::string path_;
};

}  // namespace

IOStatus LossyDisk::Files::NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                             IODebugContext*) {
  const std::lock_guard lock(mutex);
  FilePointer file = find(path);
  if (file == nullptr) return not_found(path);
  *result = std::make_unique<SequentialFile>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                               IODebugContext*) {
  const std::lock_guard lock(mutex);
  FilePointer file = find(path);
  if (file == nullptr) return not_found(path);
  *result = std::make_unique<RandomAccessFile>(*this, std::move(file), place_of(path));
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                                           IODebugContext*) {
  const std::lock_guard lock(mutex);
  const auto [folder, name] = place_of(path);
  if (name.starts_with("OPTIONS") || name == "LOG") return IOStatus::NotSupported("not kept");
  auto file = std::make_shared<File>();
  if (takes_a_change(folder)) change(folder, {{name, file}});
  *result = std::make_unique<WritableFile>(*this, std::move(file), folder);
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewDirectory(const std::string& path, const IOOptions&,
                                        std::unique_ptr<rocksdb::FSDirectory>* result,
                                        IODebugContext*) {
  *result = std::make_unique<OpenDirectory>(*this, folder_of(path));
  return IOStatus::OK();
}

}  // namespace grapevine::storage
