// Entries on their way from one replica to another, as bytes: what they share is said once.
//
//   byte       format, 4
//   varint n   actors, 8 bytes each; below named by their place
//   signed     a time, in milliseconds since 1970
//   vector     that of the first entry: varint n, then n times actor and counter
//   varint n   entries, each:
//     byte     head: 8 has one version, whose flags are the other bits; 16 has the vector of the entry
//              before; 32 its events are the dots of its versions
//     bytes    key
//     varint n changes against the vector of the entry before (unless 16), each an actor (n is 0: one
//              change, of the actor of the last one, which is left out) and a varint: 0 it is not
//              there any more, 1 it is closed, 2 its counter follows, else 3 and signed: its counter,
//              beside that of the entry before, if there is one
//     varint n versions (unless 8), each:
//       byte   flags (unless 8): 1 has its value, 2 has a write id, 4 expires, 64 its actor and 128 its
//              time are those of the version before (and left out)
//       actor, counter (its distance to the vector's of the actor, where that has a number), signed:
//              written, beside the time above
//       4 bytes write id, signed: expires, beside written (where there are such)
//       bytes  the value; or, without: 8 bytes checksum, varint size
//     varint n events (unless 32), each a dot
//   8 bytes    xxh3-64 of all that stands before
//
// varint and bytes as in bytes.h; signed: a varint of twice the number, or for a negative one of twice
// its size less one. The usual entry, one version under the vector that the others have, takes 4 to 12
// bytes beside key and value, and 4 for a write id.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"

namespace grapevine::model {

std::string encode_entries(const std::vector<KeyedEntry>& entries);
// InvalidArgument for bytes that encode_entries cannot have written of entries as they travel: keys
// and values within their limits, counters that can be, no version twice or beyond its vector. Costs
// a hash of every value, and a copy.
absl::StatusOr<std::vector<KeyedEntry>> decode_entries(std::string_view bytes);

// Items without their keys: 16 bytes each. `unquiet` does not travel.
std::string encode_hashes(const std::vector<Item>& items);
absl::StatusOr<std::vector<Item>> decode_hashes(std::string_view bytes);

}  // namespace grapevine::model
