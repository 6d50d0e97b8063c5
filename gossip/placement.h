// Which members own a partition.
//
// Weighted rendezvous hashing ("A Name-Based Mapping Scheme for Rendezvous", Thaler and Ravishankar
// 1996; weights as in "Weighted Distributed Hash Tables", Schindelhauer and Schomaker 2005): every
// member has a score for every partition, and the highest scores own it. A member that comes takes
// over only what it owns from then on; one that goes gives up only what it owned. A member that has
// taken the place of another one (MemberRecord::place) has the scores of that one.
#pragma once

#include <cstdint>
#include <vector>

#include "gossip/member.h"
#include "storage/base/ids.h"

namespace grapevine::gossip {

// The owners of `partition`, best first: min(replication_factor, members that are up) of them. No
// two share a zone while a zone without an owner is left. The same on every node that has the same
// records. A member that does not answer stays an owner: its return costs a catching up, not a
// move. Cost: O(members log members).
std::vector<NodeId> owners(PartitionId partition, const std::vector<MemberRecord>& members,
                           std::uint32_t replication_factor);

}  // namespace grapevine::gossip
