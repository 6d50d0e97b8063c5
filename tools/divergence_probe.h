// Asks every member for its replicas and compares them.
#pragma once

#include <cstdint>

#include "storage/base/status.h"
#include "tools/cluster_members.h"
#include "tools/divergence.h"

namespace grapevine::tools {

struct ProbeOptions {
  std::uint64_t keys_listed_max = 0;  // of the differing keys, with their versions at every owner
};

// Cost: clocks and root digests of all partitions; of those whose roots differ a view at each
// owner, one partition after the other, and a descent for each differing pair. A member that stops
// answering meanwhile counts as unreachable. Not promised: one moment for all replicas; while
// clients write, pairs are hardly ever proven equal.
absl::StatusOr<Divergence> probe(ClusterMembers& cluster, const ProbeOptions& options);

}  // namespace grapevine::tools
