// Membership by SWIM with the Lifeguard extensions: who is a member, who answers, and small news
// for everybody, at a cost for each node that does not grow with the cluster.
//
// Machine: no I/O, no clock, no chance but `random`. It joins four smaller ones: Roster (who is a
// member and what is believed of it), Prober (who is asked whether it lives), SyncSchedule (with
// whom whole states are compared) and Rumours; what they have to say goes through one UpdateQueue
// onto whatever packet leaves next, and every gossip_interval to a few random members.
//
// What a driver (server/cluster) must do:
//
//   - Construct it when the peer port is bound, with the record of this node. Its incarnation must
//     be one above that of the record kept in the store (write it back before the first tick), so
//     that what was said of the last life is refuted before it is heard. If that memory is lost, it
//     is merely refuted later. `known` is the list kept in the store; first_rumour the time of day
//     in milliseconds.
//   - Bind a datagram socket (rpc/udp_socket.h) on the peer port's number, and hand each packet
//   that
//     Seal::open (rpc/seal.h) accepts to on_packet, with its sender as text HOST:PORT.
//   - After every call of a method that is not const, and before the next one, carry out
//     take_output(), in this order:
//       later_epoch  another life of this node has come so far, which this one does not remember (it
//                  was restored from an older copy, or copied): take an epoch beyond it, and
//                  change_self, before anything else is written
//       changed    keep members().encode() in the store, compute who owns what. When self().state
//                  is kRemoved, this node was removed: serve nobody any more, and say so.
//       came_up, went_down   who answers from now on, and who does not
//       rumours    deliver
//       loads      whose load is new: load(node)
//       told       who has answered a call, begun at that time, and knows all records that were
//                  known here then
//       summaries  what a member that was probed holds of what it shares with this node: compare
//       elsewhere  look who answers there: if it is a process under this node's id, a data directory
//                  was copied, and one of the two must give way
//       packets    seal and send to `address` (the same host and port as the peer address of TCP),
//                  or drop: a packet that cannot be sent is a packet lost
//       calls      over the stream to `address`: reach it, `to` if there is one (as PeerLinks does:
//                  a link is refused where somebody else has come to live). With `push_pull`: send
//                  it (encode_push_pull, as Data of a call of Peer) and give the answer to
//                  on_synced. Without: any answered call will do, such as an empty push-pull that
//                  wants no answer; then on_answered. Each call must end in one of these or in
//                  on_failure: within probe_timeout without push_pull, else within a few seconds;
//                  or, when a new connection was refused at once, by the other end and not
//                  by anything on the way, on_refused.
//     and set an alarm for next_deadline(), which may have passed; then call tick.
//   - Answer such a call with on_push_pull (decode_push_pull; what it refuses is an error of the
//     call).
//   - Report a lost connection, and a call that failed as one, by on_connection_lost: the member is
//     probed at once instead of at its turn.
//   - check() those that it relies on from time to time: that their links work, which datagrams do
//     not show, and that they know what is known here.
//   - On a clean stop: stop(), go on driving until told() or for a second at most, and end. To
//     leave for good: leave(), then the same.
//
// tests/rpc/members_over_udp_test.cc does so in little.
//
// Cost, idle: two packets of some 20 bytes sent and as many received each probe_interval, and a
// push-pull of 40 bytes each push_pull_interval, whatever the number of members; 40 bytes a check.
// Bounds: kMembersMax members (MemberList), the update queue, the rumours; each has its own.
//
// A node that was stopped for a while (a paused machine, a stalled process) finds answers and
// refutations waiting for it together with its deadlines. Its tick notices, by being late, and gives
// whoever it waited for that time again.
//
// Not promised: that all members believe the same at one moment; that a member that is up can be
// reached from here (others may have reached it). A member that is down stays a member.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossip/prober.h"
#include "gossip/push_pull.h"
#include "gossip/roster.h"
#include "gossip/rumours.h"
#include "gossip/swim_options.h"
#include "gossip/sync_schedule.h"
#include "gossip/update_queue.h"

namespace grapevine::gossip {

class Swim {
 public:
  // REQUIRES: options.check() is OK. `random` must outlive this.
  Swim(MemberRecord self, std::vector<std::string> seeds, const std::vector<MemberRecord>& known,
       const SwimOptions& options, Random& random, std::uint64_t first_rumour, Instant now);
  Swim(const Swim&) = delete;
  Swim& operator=(const Swim&) = delete;

  using CallNumber = std::uint64_t;
  struct Datagram {
    NodeId to;  // so that an address need not be looked up each time
    std::string address;
    std::string bytes;
  };
  struct Call {
    CallNumber number = 0;
    std::optional<NodeId> to;  // nullopt: a seed, whoever that is
    std::string address;
    std::optional<PushPull> push_pull;  // nullopt: whether it answers is all
  };
  struct Told {
    NodeId node;
    Instant begun;
  };
  struct Output {
    std::vector<NodeId> changed;  // records that are new or newer, the own among them
    std::vector<NodeId> came_up;
    std::vector<NodeId> went_down;
    std::vector<Rumour> rumours;
    std::vector<NodeId> loads;
    std::vector<Told> told;
    std::vector<std::pair<NodeId, Summary>> summaries;
    std::uint64_t later_epoch = 0;       // 0: none is known
    std::vector<std::string> elsewhere;  // where this node is said to live by newer records
    std::vector<Datagram> packets;
    std::vector<Call> calls;
  };
  struct Counters {
    std::uint64_t packets_refused = 0;  // malformed, or of another cluster or version
    std::uint64_t probes_helped = 0;    // answered once others and a stream were asked
    std::uint64_t probes_missed = 0;
    std::uint64_t refutations = 0;
  };

  // ---- what happened ----
  void tick(Instant now);
  void on_packet(const std::string& address, std::string_view bytes, Instant now);
  PushPull on_push_pull(const PushPull& call, Instant now);
  void on_synced(CallNumber number, const PushPull& answer, Instant now);
  void on_answered(CallNumber number, Instant now);
  void on_failure(CallNumber number, Instant now);
  // As a failure, and nobody listens at that address, or not the member: its machine says so.
  void on_refused(CallNumber number, Instant now);
  void on_connection_lost(NodeId node) { prober_.hint(node); }

  // ---- what this node does ----
  // What to tell a member that probes this node of the data here; nullopt: nothing.
  void summarize_with(std::function<std::optional<Summary>(NodeId)> summary_of) {
    summary_of_ = std::move(summary_of);
  }
  void change_self(const MemberRecord& record, Instant now);
  // Calls a member over the stream with the hashes of what is known here. Where they differ a
  // push-pull follows, though in a large cluster not each time.
  void check(NodeId node, Instant now);
  // As often as it is measured; what is worth telling is told.
  void set_load(const Load& load) { own_load_ = load; }
  // As Rumours::tell. The teller itself is not told.
  absl::StatusOr<RumourId> tell(std::string name, std::string payload, Instant now);
  // By an operator, of another node, for good. NotFound; InvalidArgument: itself.
  absl::Status remove(NodeId node, Instant now);
  // Gives up membership: it owns nothing any more. It may come back, as one that joins. Who has heard
  // it by a call shows in the output (told).
  void leave(Instant now);
  // Says that it goes down, so that nobody need find out. It answers no more probes.
  void stop(Instant now);
  // After change_self, leave or stop: whether it has been told on as often as it will be here.
  bool told() const;
  std::size_t untold() const { return queue_.size(); }  // what is still to be told on

  Output take_output();
  Instant next_deadline() const;

  // ---- what it knows ----
  const MemberList& members() const { return roster_.members(); }
  const MemberRecord& self() const { return roster_.self(); }
  bool up(NodeId node) const { return roster_.up(node); }
  Belief belief(NodeId node) const { return roster_.belief(node); }
  Duration since(NodeId node, Instant now) const { return roster_.since(node, now); }
  const Load* load(NodeId node) const;  // nullptr: it has not said; valid until the next call
  std::uint32_t health() const { return prober_.health(); }  // 0: good, see LocalHealth
  const Counters& counters() const { return counters_; }

 private:
  struct Calling {
    std::optional<SyncSchedule::Target> target;  // of a push-pull that the schedule wants
    std::optional<ProbeNumber> ping;
    std::optional<NodeId> checked;
    bool tells_all = false;  // what the member lacked
    Instant begun;
    std::uint64_t members_hash = 0;  // as the call said it
  };

  bool removed(NodeId node) const;
  void make_up_for_lateness(Instant now);
  void hear(const Message& message, Instant now);
  void hear(const LoadReport& report);
  void hear(const Rumour& rumour, Instant now);
  void answer(NodeId from, const std::string& address, const Message& message, Instant now);
  void absorb_probes(Instant now);
  void absorb_news(Instant now);
  void gossip(Instant now);
  void report_load(Instant now);
  void send(NodeId to, const std::string& address, const std::vector<Message>& messages);
  void call(std::optional<NodeId> to, const std::string& address, std::optional<PushPull> push_pull,
            Calling calling, Instant now);
  PushPull hashes(bool wants_answer) const;

  const SwimOptions options_;
  Random& random_;
  Roster roster_;
  Prober prober_;
  SyncSchedule schedule_;
  Rumours rumours_;
  UpdateQueue queue_;
  std::function<std::optional<Summary>(NodeId)> summary_of_;
  bool stopping_ = false;
  Instant due_;  // when the next tick was to come, as the last one left it
  Instant next_gossip_;
  Instant next_sync_after_check_;

  std::optional<Load> own_load_;
  Instant next_load_;
  std::map<NodeId, LoadReport> loads_;  // newest of each, the own among them

  CallNumber last_call_ = 0;
  std::map<CallNumber, Calling> calling_;
  Counters counters_;
  Output output_;
};

}  // namespace grapevine::gossip
