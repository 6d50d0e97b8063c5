// What a replica tells of its partitions, for both sides of an exchange to compare. Functions over a
// replica, without state of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gossip/messages.h"
#include "gossip/replica.h"

namespace grapevine::gossip {

PartitionState state_of(const Replica& replica, PartitionId partition);
PartitionState state_of(const PartitionView& view, PartitionId partition);
// Of `partitions`, in order. Costs a hash of each clock.
Summary summarize(const Replica& replica, const std::vector<PartitionId>& partitions);
Fingerprint fingerprint_of(const PartitionState& state);
std::vector<Fingerprint> fingerprints_of(const Replica& replica,
                                         const std::vector<PartitionId>& partitions);
// Of those that have one.
std::vector<const model::Sketch*> sketches_of(const Replica& replica,
                                              const std::vector<PartitionId>& partitions);
// How many dots one of the two lacks: at most so many keys differ, unless there is damage.
std::uint64_t dots_apart(const model::Clock& left, const model::Clock& right);
// The one among `partitions`, sorted, that the token is of.
std::optional<PartitionId> partition_of(const Replica& replica,
                                        const std::vector<PartitionId>& partitions,
                                        model::Token token);

}  // namespace grapevine::gossip
