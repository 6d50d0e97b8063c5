#include "storage/model/entry_codec.h"

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/base/limits.h"
#include "storage/model/bytes.h"

namespace grapevine::model {
namespace {

// The head of an entry. The flags of a single version stand in it too, so that the usual entry has
// no byte for them.
constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kFormatMask = 0x07;
constexpr std::uint8_t kSingle = 0x08;
constexpr std::uint8_t kHasVector = 0x10;
constexpr int kFlagsShift = 5;

constexpr std::uint8_t kHasWriteId = 1;
constexpr std::uint8_t kExpires = 2;
constexpr std::uint8_t kApart = 4;
constexpr std::uint8_t kFlagsMask = 7;

std::uint8_t flags_of(const Version& version) {
  return static_cast<std::uint8_t>((version.write_id != 0 ? kHasWriteId : 0) |
                                   (version.expires.unix_ms != 0 ? kExpires : 0) |
                                   (stands_apart(version) ? kApart : 0));
}

// `last`: the value is what is left of the entry.
void put_version(const Version& version, bool last, ActorTable& actors, std::string& out) {
  put_varint(out, actors.index_of(version.dot.actor));
  put_varint(out, version.dot.counter);
  put_varint(out, static_cast<std::uint64_t>(version.written.unix_ms));
  if (version.write_id != 0) put_fixed32(out, version.write_id);
  if (version.expires.unix_ms != 0) {
    put_varint(out, static_cast<std::uint64_t>(version.expires.unix_ms));
  }
  if (stands_apart(version)) {
    put_fixed64(out, version.checksum);
    put_varint(out, version.value_bytes);
    return;
  }
  GRAPEVINE_CHECK(version.has_value, "a version is stored with its value");
  put_fixed32(out, static_cast<std::uint32_t>(version.checksum));
  if (last) {
    out.append(version.value);
  } else {
    put_bytes(out, version.value);
  }
}

absl::StatusOr<ActorId> take_actor(ByteReader& in, const ActorTable& actors) {
  const auto actor = actors.at(in.varint());
  if (!actor.has_value()) return absl::DataLossError("stored entry: an unknown actor");
  return *actor;
}

absl::StatusOr<Version> take_version(ByteReader& in, std::uint8_t flags, bool last,
                                     const ActorTable& actors, Values values) {
  Version version;
  GRAPEVINE_ASSIGN_OR_RETURN(version.dot.actor, take_actor(in, actors));
  version.dot.counter = in.varint();
  version.written.unix_ms = static_cast<std::int64_t>(in.varint());
  if ((flags & kHasWriteId) != 0) version.write_id = in.fixed32();
  if ((flags & kExpires) != 0) version.expires.unix_ms = static_cast<std::int64_t>(in.varint());
  std::string_view value;
  if ((flags & kApart) != 0) {
    version.checksum = in.fixed64();
    version.value_bytes = in.varint();
    version.has_value = false;
  } else {
    const std::uint32_t checksum = in.fixed32();
    value = last ? in.raw(in.left()) : in.bytes();
    version.checksum = value_checksum(value);
    version.value_bytes = value.size();
    if (in.ok() && static_cast<std::uint32_t>(version.checksum) != checksum) {
      return absl::DataLossError("stored entry: value does not match its checksum");
    }
  }
  if (!in.ok()) return absl::DataLossError("stored entry: version cut short");
  if (flags_of(version) != flags || version.value_bytes > kValueBytesMax) {
    return absl::DataLossError("stored entry: version contradicts its flags");
  }
  if (version.dot.counter == 0 || version.dot.counter > kCounterMax) {
    return absl::DataLossError(
        fmt::format("stored entry: version with the impossible counter {}", version.dot.counter));
  }
  if (values == Values::kWithout) {
    version.has_value = false;
  } else {
    version.value = value;
  }
  return version;
}

void put_vector(const VersionVector& vector, ActorTable& actors, std::string& out) {
  put_varint(out, vector.items().size());
  for (const auto& [actor, counter] : vector.items()) {
    put_varint(out, actors.index_of(actor));
    put_varint(out, counter);
  }
}

absl::StatusOr<VersionVector> take_vector(ByteReader& in, const ActorTable& actors) {
  VersionVector vector;
  const std::uint64_t count = in.varint();
  ActorId before{0};
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    GRAPEVINE_ASSIGN_OR_RETURN(const ActorId actor, take_actor(in, actors));
    const std::uint64_t counter = in.varint();
    if (!in.ok()) break;
    if (counter == 0 || counter > kClosed || (i > 0 && actor <= before)) {
      return absl::DataLossError("stored entry: vector out of range or out of order");
    }
    if (counter == kClosed && i > 0 && actor.node() == before.node()) {
      return absl::DataLossError("stored entry: a closed actor, and an item that it implies");
    }
    vector.raise(actor, counter);
    before = actor;
  }
  if (!in.ok()) return absl::DataLossError("stored entry: vector cut short");
  if (vector.empty()) return absl::DataLossError("stored entry: empty vector");
  return vector;
}

}  // namespace

ApartDots apart_dots(const Entry& entry) {
  ApartDots dots;
  for (const Version& version : entry.versions) {
    if (stands_apart(version)) dots.push_back(version.dot);
  }
  return dots;
}

void encode_entry(const Entry& entry, ActorTable& actors, std::string& out) {
  const bool single = entry.versions.size() == 1;
  const int flags = single ? flags_of(entry.versions.front()) << kFlagsShift : 0;
  out.push_back(static_cast<char>(kFormat | (single ? kSingle : 0) |
                                  (entry.vector.empty() ? 0 : kHasVector) | flags));
  if (!entry.vector.empty()) put_vector(entry.vector, actors, out);
  if (!single) put_varint(out, entry.versions.size());
  for (const Version& version : entry.versions) {
    if (!single) out.push_back(static_cast<char>(flags_of(version)));
    put_version(version, &version == &entry.versions.back(), actors, out);
  }
}

absl::StatusOr<Entry> decode_entry(std::string_view bytes, const ActorTable& actors,
                                   Values values) {
  ByteReader in(bytes);
  const std::uint8_t head = in.byte();
  if (!in.ok()) return absl::DataLossError("stored entry: empty");
  const bool single = (head & kSingle) != 0;
  if ((head & kFormatMask) != kFormat || (!single && (head >> kFlagsShift) != 0)) {
    return absl::DataLossError(fmt::format("stored entry: unknown format {}", head));
  }
  Entry entry;
  if ((head & kHasVector) != 0) {
    GRAPEVINE_ASSIGN_OR_RETURN(entry.vector, take_vector(in, actors));
  }
  const std::uint64_t count = single ? 1 : in.varint();
  if (count == 1 && !single) return absl::DataLossError("stored entry: unknown form");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::uint8_t flags = single ? head >> kFlagsShift : in.byte();
    if ((flags & ~kFlagsMask) != 0) return absl::DataLossError("stored entry: unknown flags");
    GRAPEVINE_ASSIGN_OR_RETURN(auto version,
                               take_version(in, flags, i + 1 == count, actors, values));
    if (i > 0 && version.dot <= entry.versions.back().dot) {
      return absl::DataLossError("stored entry: versions out of order");
    }
    entry.versions.push_back(std::move(version));
  }
  if (!in.done()) return absl::DataLossError("stored entry: cut short or bytes left over");
  if (entry.void_of_all()) return absl::DataLossError("stored entry: nothing in it");
  return entry;
}

}  // namespace grapevine::model
