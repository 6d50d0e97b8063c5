// Which keys differ between two replicas of a partition: a descent through the sums of both, then
// item by item. Nothing is pulled.
//
// Cost: 16 digests a side for every range on the way to a difference, and the items (key, hash and
// digest) of the ranges where it ends. The views are of two moments: a write that reached only one
// of them by then counts as a difference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tools/replica_view.h"

namespace grapevine::tools {

// Value.
struct DifferingKey {
  std::uint64_t hash = 0;  // Digester::key_hash
  std::string key;

  friend auto operator<=>(const DifferingKey&, const DifferingKey&) = default;
};

// `range` is that of the partition. Sorted by hash. Fails with what the views fail with.
absl::StatusOr<std::vector<DifferingKey>> differing_keys(const model::TokenRange& range,
                                                         ReplicaView& left, ReplicaView& right);

// The same tokens in fewer ranges, in order: neighbours become one. REQUIRES: disjoint.
std::vector<model::TokenRange> joined_ranges(std::vector<model::TokenRange> ranges);

}  // namespace grapevine::tools
