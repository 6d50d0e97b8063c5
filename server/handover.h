// What a node still holds of partitions that it owns no more (a member came, or took a place) is
// offered to their owners, again and again, until each one's clock covers it. Without it a write that
// the former owner alone acknowledged would stay with it for ever.
//
// An offer is the partition's state (Peer.states): an owner that lacks something pulls it, as in any
// exchange. What has been handed over is not dropped.
//
// Resource, loop thread. Bounds: one offer of kPartitionsAtOnce states to each owner at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "gossip/messages.h"
#include "rpc/loop.h"
#include "server/alarm.h"
#include "server/cluster.h"
#include "server/peer_links.h"
#include "server/store_replica.h"
#include "server/tasks.h"

namespace grapevine::server {

class Handover {
 public:
  static constexpr std::size_t kPartitionsAtOnce = 64;
  static constexpr Duration kOfferTime = std::chrono::seconds(5);

  Handover(rpc::Loop& loop, StoreReplica& replica, Cluster& cluster, PeerLinks& links,
           Duration interval);

  void start() { alarm_.set(loop_.now()); }
  // Whether every owner that can be reached has all that this node holds of their partitions.
  bool done() const;
  // Done when that is so, looked at every interval.
  kj::Promise<void> when_done();
  bool idle() { return offering_.empty() && tasks_.idle(); }  // no offer is under way

 private:
  void tick();
  // Whether the owner is known to have what is held of the partition now, which is not nothing.
  bool lacks(NodeId owner, PartitionId partition) const;
  void offer(NodeId owner, std::vector<gossip::PartitionState> states);

  rpc::Loop& loop_;
  StoreReplica& replica_;
  Cluster& cluster_;
  PeerLinks& links_;
  const Duration interval_;
  // The hash of the clock here that the owner's covered.
  std::map<PartitionId, std::map<NodeId, std::uint64_t>> handed_over_;
  std::set<NodeId> offering_;
  Alarm alarm_;
  Tasks tasks_;
};

}  // namespace grapevine::server
