// Runs the membership: its calls over the links to peers, its list on disk, and from it who owns
// what.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gossip/membership.h"
#include "rpc/loop.h"
#include "server/alarm.h"
#include "server/peer_links.h"
#include "server/ring.h"
#include "server/tasks.h"
#include "storage/store.h"

namespace grapevine::server {

// Resource, loop thread.
class Cluster final : public Ring {
 public:
  struct Handlers {
    std::function<void(NodeId)> on_up;
    std::function<void(NodeId)> on_down;
    std::function<void()> on_changed;  // records, at the latest within the call that brings them
    // The node has answered a call, begun at this time, that carried the member list.
    std::function<void(NodeId, Instant begun)> on_told;
  };
  static constexpr Duration kProbeTime = std::chrono::milliseconds(700);

  // `self` is this node's record; its incarnation continues the one that the store remembers.
  Cluster(rpc::Loop& loop, storage::Store& store, PeerLinks& links, Random& random,
          gossip::MemberRecord self, std::vector<std::string> seeds,
          std::uint32_t replication_factor, Handlers handlers);

  void start();

  NodeId self() const override { return members().self().id; }
  const std::vector<NodeId>& owners(PartitionId partition) const override {
    return owners_[partition.value];
  }
  bool reachable(NodeId node) const override { return membership_.up(node); }
  // The partitions that this node and `peer` both own, sorted.
  std::vector<PartitionId> shared_with(NodeId peer) const;
  bool owns(NodeId node, PartitionId partition) const;
  std::uint32_t partition_count() const { return static_cast<std::uint32_t>(owners_.size()); }

  const gossip::MemberList& members() const { return membership_.members(); }
  Duration since(NodeId node) const { return membership_.since(node, loop_.now()); }
  std::string peer_address(NodeId node) const;  // empty when it is not known
  // A peer introduces itself or calls: takes its list, answers with this one.
  std::vector<gossip::MemberRecord> on_call(NodeId from,
                                            const std::vector<gossip::MemberRecord>& records);
  void on_connection_lost(NodeId node);
  void change_epoch(std::uint64_t epoch);

 private:
  void drain();
  void make(gossip::Membership::Call call);
  void recompute_owners();

  rpc::Loop& loop_;
  storage::Store& store_;
  PeerLinks& links_;
  const std::uint32_t replication_factor_;
  const Handlers handlers_;
  gossip::PingDetector detector_;
  gossip::Membership membership_;
  std::vector<std::vector<NodeId>> owners_;  // by partition
  Alarm alarm_;
  Tasks tasks_;
};

}  // namespace grapevine::server
