// What a test knows beside a replica's own knowledge: for each key, the events that have truly
// reached the replica. Nothing decides by this ghost; it travels beside what travels anyway, so that
// a test can tell what a replica may know from what it claims.
#pragma once

#include <bitset>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gossip/replica.h"

namespace grapevine::gossip {

inline constexpr std::size_t kEventsMax = 256;  // of one history
// Events, by the order in which they happened; and from kEventsMax on, for whoever wants to keep it
// apart, those of which it is known that they are superseded.
using Reached = std::bitset<2 * kEventsMax>;
using ReachedByKey = std::map<std::string, Reached>;

class GhostlyView : public PartitionView {
 public:
  // Of the moment that the view shows.
  virtual const ReachedByKey& reached() const = 0;
};

class GhostlyReplica : public Replica {
 public:
  virtual std::vector<PartitionId> partitions() const = 0;
  virtual ReachedByKey reached(PartitionId partition) const = 0;
  // The ghost of what is about to be merged or adopted.
  virtual void arriving(std::shared_ptr<const ReachedByKey> reached) = 0;
  // Whether what is stored of the partition is what its digests say.
  virtual absl::Status add_up(PartitionId partition) = 0;
  // freeze() returns a GhostlyView.
};

}  // namespace grapevine::gossip
