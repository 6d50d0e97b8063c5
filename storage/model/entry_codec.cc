#include "storage/model/entry_codec.h"

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/base/limits.h"
#include "storage/model/bytes.h"

namespace grapevine::model {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kHasVector = 0x80;
constexpr std::uint8_t kFormatMask = 0x0F;

absl::StatusOr<Version> decode_version(ByteReader& in, Values values) {
  Version version;
  version.dot.actor = ActorId{in.fixed64()};
  version.dot.counter = in.varint();
  version.written.unix_ms = static_cast<std::int64_t>(in.varint());
  version.write_id = in.fixed64();
  version.checksum = in.fixed64();
  const std::string_view value = in.bytes();
  if (!in.ok()) return absl::DataLossError("stored entry: version cut short");
  if (version.dot.counter == 0 || version.dot.counter > kCounterMax) {
    return absl::DataLossError(
        fmt::format("stored entry: version with the impossible counter {}", version.dot.counter));
  }
  version.value_bytes = value.size();
  if (values == Values::kWithout) {
    version.has_value = false;
    return version;
  }
  if (value_checksum(value) != version.checksum) {
    return absl::DataLossError("stored entry: value does not match its checksum");
  }
  version.value = value;
  return version;
}

}  // namespace

void encode_entry(const Entry& entry, std::string& out) {
  out.push_back(static_cast<char>(kFormat | (entry.vector.empty() ? 0 : kHasVector)));
  put_varint(out, entry.versions.size());
  for (const Version& version : entry.versions) {
    GRAPEVINE_CHECK(version.has_value, "a version is stored with its value");
    put_fixed64(out, version.dot.actor.value);
    put_varint(out, version.dot.counter);
    put_varint(out, static_cast<std::uint64_t>(version.written.unix_ms));
    put_fixed64(out, version.write_id);
    put_fixed64(out, version.checksum);
    put_bytes(out, version.value);
  }
  if (!entry.vector.empty()) entry.vector.encode(out);
}

absl::StatusOr<Entry> decode_entry(std::string_view bytes, Values values) {
  ByteReader in(bytes);
  const std::uint8_t head = in.byte();
  if (!in.ok()) return absl::DataLossError("stored entry: empty");
  if ((head & kFormatMask) != kFormat || (head & ~(kFormatMask | kHasVector)) != 0) {
    return absl::DataLossError(fmt::format("stored entry: unknown format {}", head));
  }
  Entry entry;
  const std::uint64_t version_count = in.varint();
  for (std::uint64_t i = 0; i < version_count && in.ok(); ++i) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto version, decode_version(in, values));
    if (i > 0 && version.dot <= entry.versions.back().dot) {
      return absl::DataLossError("stored entry: versions out of order");
    }
    entry.versions.push_back(std::move(version));
  }
  if ((head & kHasVector) != 0) {
    GRAPEVINE_ASSIGN_OR_RETURN(entry.vector, VersionVector::decode(in));
    if (entry.vector.empty()) return absl::DataLossError("stored entry: empty vector");
  }
  if (!in.done()) return absl::DataLossError("stored entry: cut short or bytes left over");
  if (entry.void_of_all()) return absl::DataLossError("stored entry: nothing in it");
  return entry;
}

}  // namespace grapevine::model
