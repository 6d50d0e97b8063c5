// Partition states as bytes: actors are named once for all partitions.
//
//   varint n   actors, 8 bytes each
//   varint n   states, sorted by partition, each:
//     varint   gap to the partition before, minus 1
//     8 bytes  low half of the root's sum
//     varint   twice the entries that are not quiet, and 1 if log_reaches
//     for each actor: varint: 0 none of its dots; 1 closed; else 2 + 2 base, and 1 if dots stand above:
//       then varint n, and n times varint gap to what is before minus 1, varint length minus 1
//
// A state of three actors takes about 18 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossip/messages.h"
#include "storage/base/status.h"

namespace grapevine::gossip {

// REQUIRES: sorted by partition, none twice.
std::string encode_states(const std::vector<PartitionState>& states);
// InvalidArgument for bytes that encode_states cannot have written.
absl::StatusOr<std::vector<PartitionState>> decode_states(std::string_view bytes);
// Equal states of equal partitions have equal hashes, log_reaches aside.
std::uint64_t hash_states(std::vector<PartitionState> states);

// Varint runs of consecutive partitions, each: varint gap, varint length minus 1; then 2 bytes each.
std::string encode_fingerprints(const std::vector<Fingerprint>& fingerprints);
absl::StatusOr<std::vector<Fingerprint>> decode_fingerprints(std::string_view bytes);

// Varint n; gaps. REQUIRES: sorted, none twice.
std::string encode_slots(const std::vector<model::Slot>& slots);
absl::StatusOr<std::vector<model::Slot>> decode_slots(std::string_view bytes);

}  // namespace grapevine::gossip
