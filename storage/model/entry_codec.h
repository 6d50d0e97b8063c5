// The bytes of a stored entry. The layout stands in storage/README.md.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "storage/base/status.h"
#include "storage/model/actor_table.h"
#include "storage/model/entry.h"

namespace grapevine::model {

// Values of so many bytes or more stand apart from their entry, so that whoever reads versions only
// does not read them. Part of the format.
inline constexpr std::size_t kApartBytes = 4096;

inline bool stands_apart(const Version& version) {
  return version.value_bytes >= kApartBytes;
}

// Those versions of an entry whose values stand apart.
using ApartDots = absl::InlinedVector<Dot, 1>;
ApartDots apart_dots(const Entry& entry);

enum class Values {
  kWith,     // versions with their bytes
  kWithout,  // heads: size and checksum only
};

// Appends the encoding, without the values that stand apart; actors that are new to `actors` are
// added to it. REQUIRES: every other version has its value.
void encode_entry(const Entry& entry, ActorTable& actors, std::string& out);
// DataLoss with what is wrong, for bytes that encode_entry cannot have written. Every value that is
// in the bytes is checked against its checksum; versions whose value stands apart come without it.
// Costs a hash of every value, and with kWith a copy.
absl::StatusOr<Entry> decode_entry(std::string_view bytes, const ActorTable& actors, Values values);

}  // namespace grapevine::model
