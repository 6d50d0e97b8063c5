// Runs the membership: its packets, its calls over the links to peers, its list on disk, and from it
// who owns what.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/swim.h"
#include "rpc/datagram.h"
#include "rpc/loop.h"
#include "rpc/seal.h"
#include "server/alarm.h"
#include "server/complaints.h"
#include "server/peer_links.h"
#include "server/protocols.h"
#include "server/ring.h"
#include "server/tasks.h"
#include "storage/store.h"

namespace grapevine::server {

// The member list of the last life; empty when there is none or it cannot be read (seeds and callers
// bring it back).
std::vector<gossip::MemberRecord> remembered_members(const storage::Store& store);

// Resource, loop thread.
//
// Datagrams do not show whether a link works, and somebody on the way may have forgotten it without
// a word. So each probe_interval one of the members that this node owns partitions together with, or
// has a link to, and who of the former has just come up at once, is checked over its link: a link
// without an answer is dropped, and dialled anew by the next call; unless something came over it
// meanwhile, for then it is only slow, and the answer waits behind what was asked for before. Such a
// check also says that the member knows all that was known here (on_told).
class Cluster final : public Ring {
 public:
  struct Handlers {
    std::function<void(NodeId)> on_up;
    std::function<void(NodeId)> on_down;
    std::function<void()> on_changed;  // records, at the latest within the call that brings them
    // The node has answered a call, begun at this time, and knows every record that was known here
    // then.
    std::function<void(NodeId, Instant begun)> on_told;
    std::function<void()> on_removed;  // this node; once
    // Others know of a life of this node in that epoch, which is later than its own.
    std::function<void(std::uint64_t epoch)> on_later_epoch;
    // Newer records say that this node lives there: whoever does is to be greeted.
    std::function<void(const std::string& address)> on_elsewhere;
    std::function<void(gossip::Rumour)> on_rumour;  // once each; its own as well
    // What this node holds of what it shares with `node`; and what that one holds, when it answers a
    // probe.
    std::function<gossip::Summary(NodeId node)> summarize;
    std::function<void(NodeId node, const gossip::Summary&)> on_summary;
  };
  static constexpr Duration kSyncTime = std::chrono::seconds(3);      // for a push-pull
  static constexpr Duration kFarewellTime = std::chrono::seconds(1);  // for telling that it stops
  static constexpr Duration kLeaveTime = std::chrono::seconds(5);     // that it leaves for good

  // What a cluster is made of. Resource, of one use.
  struct Parts {
    gossip::MemberRecord self;  // its incarnation continues the one that the store remembers
    std::vector<std::string> seeds;
    gossip::SwimOptions options;
    std::uint32_t replication_factor = 3;
    std::unique_ptr<rpc::Datagrams> datagrams;  // on the peer port's number
    rpc::Seal seal;
  };
  Cluster(rpc::Loop& loop, storage::Store& store, PeerLinks& links, Random& random, Parts parts,
          Handlers handlers);
  ~Cluster() noexcept;

  void start();
  // Tells the others that this node stops; done when they have been told, or after kFarewellTime.
  // From then on it answers no probe.
  kj::Promise<void> stop();
  // The same, when it is not to tell: another process goes on under this node's id.
  void stop_silently();
  // Gives up membership; true when another member has answered that it heard that, false when none
  // has within kLeaveTime.
  kj::Promise<bool> leave();
  // OK when each partition of this node has another owner that can be reached.
  absl::Status may_leave() const;
  // Declares another node gone for good. NotFound; FailedPrecondition: it answers; InvalidArgument:
  // it is this one.
  absl::Status remove(NodeId node);
  // The same, and takes its place in placement, for good.
  absl::Status replace(NodeId node);
  // Something for every node. InvalidArgument: too long; ResourceExhausted: too many.
  absl::Status tell(const std::string& name, const std::string& payload);

  NodeId self() const override { return members().self().id; }
  const std::vector<NodeId>& owners(PartitionId partition) const override {
    return owners_[partition.value];
  }
  bool reachable(NodeId node) const override { return swim_.up(node); }
  std::uint32_t busy(NodeId node) const override;
  // The partitions that this node and `peer` both own, sorted.
  std::vector<PartitionId> shared_with(NodeId peer) const;
  bool owns(NodeId node, PartitionId partition) const;
  std::uint32_t partition_count() const { return static_cast<std::uint32_t>(owners_.size()); }

  const gossip::MemberList& members() const { return swim_.members(); }
  Duration since(NodeId node) const { return swim_.since(node, loop_.now()); }
  std::string peer_address(NodeId node) const;     // empty when it is not known
  std::uint32_t protocol_with(NodeId node) const;  // protocols.h
  bool removed(NodeId node) const;                 // by an operator
  // A peer's push-pull: takes what it says, answers what it lacks.
  gossip::PushPull on_push_pull(const gossip::PushPull& call);
  void on_connection_lost(NodeId node);
  // How busy this node is: the others are told.
  void set_load(const gossip::Load& load);
  void change_epoch(std::uint64_t epoch);

  // No call is under way, and nothing is to be told on.
  bool idle() { return tasks_.idle() && swim_.untold() == 0; }

  struct Counters {
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_received = 0;
    std::uint64_t packets_unsealed = 0;  // not sealed with a key of this cluster
  };
  const Counters& counters() const { return counters_; }
  const gossip::Swim::Counters& swim_counters() const { return swim_.counters(); }

 private:
  void on_packet(const rpc::Address& from, std::string_view bytes);
  void drain();
  void make(gossip::Swim::Call call);
  kj::Promise<std::optional<gossip::PushPull>> carry_out(wire::Peer::Client peer,
                                                         const gossip::Swim::Call& call);
  struct Made {
    gossip::Swim::Call call;
    bool fresh = false;              // the link was not there yet
    std::uint64_t bytes_before = 0;  // that had been received over it
    Instant ends;
  };
  void failed(const Made& made, const kj::Exception& exception);
  void check_a_link();
  kj::Promise<void> until_told(Duration timeout);
  void say_up(NodeId node) const;
  void say_down(NodeId node) const;
  void recompute_owners();

  rpc::Loop& loop_;
  storage::Store& store_;
  PeerLinks& links_;
  const gossip::SwimOptions options_;
  const std::uint32_t replication_factor_;
  const Handlers handlers_;
  std::unique_ptr<rpc::Datagrams> datagrams_;
  rpc::Seal seal_;
  gossip::Swim swim_;
  std::vector<std::vector<NodeId>> owners_;  // by partition
  std::set<NodeId> neighbours_;              // own partitions together with this node
  std::set<NodeId> unchecked_;               // neighbours that have just come up
  NodeId last_checked_;
  bool told_removed_ = false;
  Counters counters_;
  Complaints complaints_;
  std::optional<Instant> left_;  // when this node gave up membership
  bool heard_leaving_ = false;   // by another member, as its answer showed
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wants_told_;  // of until_told
  Alarm alarm_;
  Alarm check_alarm_;
  Tasks tasks_;
};

}  // namespace grapevine::server
