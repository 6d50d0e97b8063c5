// Runs anti-entropy: the scheduler's exchanges over the links to peers, and the answers to theirs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "gossip/byte_budget.h"
#include "gossip/closing.h"
#include "gossip/comparison.h"
#include "gossip/exchange.h"
#include "gossip/scheduler.h"
#include "rpc/loop.h"
#include "server/alarm.h"
#include "server/cluster.h"
#include "server/exchange_calls.h"
#include "server/peer_links.h"
#include "server/store_replica.h"
#include "server/tasks.h"

namespace grapevine::server {

struct AntiEntropyCounters {
  std::uint64_t exchanges = 0;
  std::uint64_t failed = 0;
  std::uint64_t proven_equal = 0;  // by exchanges and by summaries
  std::uint64_t comparisons = 0;   // that brought keys
  std::uint64_t delta_pulls = 0;
  std::uint64_t digest_pulls = 0;  // partitions; those by sketch among them
  std::uint64_t sketch_pulls = 0;
  std::uint64_t sketches_undecoded = 0;
  std::uint64_t equal_roots = 0;
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
  std::uint64_t damage_suspected = 0;
  std::uint64_t differences_settled = 0;   // partitions, see PullOptions::settle
  std::uint64_t actors_closed = 0;         // by this node, in one partition each (R8)
  std::uint64_t partitions_recovered = 0;  // that had lost entries (R9)
};

// Resource, loop thread.
class AntiEntropy {
 public:
  // Actors that end are closed after so many gossip intervals at the earliest.
  static constexpr int kSettleIntervals = 10;
  static constexpr std::size_t kClosesAtOnce = 256;  // of partitions, in one turn
  // Equal clocks over other digests are called damage, and settled, when the difference stays the
  // same for so long: what expires is dropped by each node's own clock, so pairs differ for as long
  // as these do.
  static constexpr Duration kDamageTime = std::chrono::seconds(60);
  // How long after the start a partition that has lost entries waits for owners that are away.
  static constexpr Duration kLostEntriesPatience = std::chrono::seconds(10);

  AntiEntropy(rpc::Loop& loop, StoreReplica& replica, Cluster& cluster, PeerLinks& links,
              Random& random, const gossip::SchedulerOptions& options,
              std::uint64_t bytes_per_second);

  // `told_of_peers`: somewhere there are other nodes, though none may be known yet.
  void start(bool told_of_peers);
  void peer_up(NodeId peer);
  void peer_down(NodeId peer);
  void want(NodeId peer);
  // What closing needs to know of the members (gossip/closing.h).
  void members_changed();
  void peer_told(NodeId peer, Instant begun) { closing_.told(peer, begun); }
  void peer_lost(NodeId peer) { closing_.lost(peer); }
  // Whether the actor has ended: what it replicates late is to be refused.
  bool ended(ActorId actor) const { return closing_.ended(actor); }
  // A peer told what it holds, with its answer to a probe.
  void on_summary(NodeId peer, const gossip::Summary& theirs);
  // A peer's summary was equal to ours: that proves the pair, whoever asked.
  void proven_equal(NodeId peer);
  // The states that a peer sent, and what was answered: where it has what this replica lacks, an
  // exchange of our own begins.
  void on_states(NodeId peer, std::vector<gossip::PartitionState> theirs, std::uint64_t slots);
  // A peer that compared has what this replica lacks.
  void on_compared(NodeId peer, gossip::Hint hint);

  struct RepairReport {
    bool finished = false;  // every reachable peer was proven equal
    std::uint32_t peers = 0;
    std::uint32_t unreachable = 0;
    std::uint32_t proven_equal = 0;
    std::uint64_t keys_pulled = 0;  // by this node, meanwhile
    std::uint64_t bytes_pulled = 0;
  };
  // Exchanges with every reachable member again and again, until all are proven equal since now, or
  // `timeout` is over.
  kj::Promise<RepairReport> repair(Duration timeout);

  bool idle() { return running_.empty() && tasks_.idle(); }  // no exchange of its own is under way
  const std::map<NodeId, gossip::Scheduler::Peer>& peers() const { return scheduler_.peers(); }
  const AntiEntropyCounters& counters() const { return counters_; }

 private:
  struct Running {
    NodeId peer;
    std::uint64_t number;
    std::optional<Instant> mark;  // of what the peer knew when it began; none: it tells nothing
    gossip::Exchange exchange;
    ExchangeCalls calls;
  };

  void tick();
  struct Told {
    std::vector<gossip::PartitionState> states;
    std::uint64_t slots = 0;
  };
  void begin(NodeId peer, std::optional<Told> theirs, gossip::Hint hint = {});
  void drain(NodeId peer, std::uint64_t number);
  void hand_over(NodeId peer, std::uint64_t number, const gossip::Exchange::RequestNumber& to,
                 const gossip::ExchangeRequest& request, gossip::ExchangeReply reply);
  kj::Promise<void> within_budget(const gossip::ExchangeRequest& request);
  void end(NodeId peer, const gossip::ExchangeReport& report);
  bool is_member(NodeId peer) const;
  bool must_hear(NodeId peer, PartitionId partition) const;
  bool must_hear_any(NodeId peer) const;
  bool all_have_been_up() const;
  bool must_settle(NodeId peer, PartitionId partition) const;
  void trust_again();
  void judge_differences(NodeId peer, const gossip::ExchangeReport& report);
  void close_actors();
  Running* find(NodeId peer, std::uint64_t number);
  RepairReport repaired(Instant since, const AntiEntropyCounters& before) const;
  kj::Promise<void> until_repaired(Instant since);

  rpc::Loop& loop_;
  StoreReplica& replica_;
  Cluster& cluster_;
  PeerLinks& links_;
  gossip::Scheduler scheduler_;
  const Duration settle_;
  gossip::ByteBudget budget_;
  gossip::Closing closing_;
  std::uint32_t close_next_ = 0;  // the partition whose turn it is
  struct Difference {
    std::uint64_t sum = 0;
    Instant since;
    bool stands = false;  // for kDamageTime
  };
  std::map<NodeId, std::map<PartitionId, Difference>> differences_;  // as of the last exchange
  // R9: who has brought all that it has of a partition that lost entries.
  std::map<PartitionId, std::set<NodeId>> lost_entries_heard_;
  bool told_of_peers_ = false;
  Instant started_;
  std::map<NodeId, std::uint64_t> closed_;  // the last epoch that was logged as closed
  AntiEntropyCounters counters_;
  std::uint64_t last_number_ = 0;
  std::map<NodeId, std::unique_ptr<Running>> running_;
  Alarm alarm_;
  Tasks tasks_;
};

}  // namespace grapevine::server
