// Who is a member and who of them answers, as this node has heard and seen.
//
// Machine. It joins what is heard, by gossip, by push-pull or by the own probes, into a member list
// and one belief about each other member; news is what others should hear, and what the caller
// should know.
//
//   unknown --heard of or from--> up --accused--> suspect --its time is over--> down
//                                  ^                 |                           |
//                                  +---- refuted: a higher incarnation ----------+
//
// A record is a node's own word and says nothing of this moment; a belief is an observation about
// the node as it was at an incarnation. At one incarnation the worse belief wins; only the accused
// itself, by raising its incarnation, gets it back. (So a message that is late cannot revive
// anybody, and all members agree however the messages are ordered.)
//
// What push-pull says to be down is only suspected where it was up, so that it can refute: after a
// cut both sides would otherwise bring each other down.
//
// Two processes under one id (a copied directory) refute each other for ever. So that they do not
// do it as fast as the network carries it, a node refutes kRefutationsMax times at once and then
// once every kRefutationInterval; what it leaves unanswered is said again.
//
// Invariants: a belief about each other member; a suspicion for each that is suspect; a member that
// left or was removed is never up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gossip/member_list.h"
#include "gossip/push_pull.h"
#include "gossip/suspicion.h"
#include "gossip/swim_options.h"

namespace grapevine::gossip {

class Roster {
 public:
  static constexpr std::uint32_t kRefutationsMax = 8;
  static constexpr Duration kRefutationInterval = std::chrono::seconds(1);

  // `known`: from an earlier life; nobody of them is up until it is heard of. `options` must
  // outlive this.
  Roster(MemberRecord self, const std::vector<MemberRecord>& known, const SwimOptions& options,
         Instant now);

  struct News {
    std::vector<Message> spread;
    std::vector<NodeId> changed;  // records that are new or newer, the own among them
    std::vector<NodeId> came_up;
    std::vector<NodeId> went_down;
    std::uint32_t refutations = 0;
    std::uint64_t later_epoch = 0;       // see Swim::Output; 0: none
    std::vector<std::string> elsewhere;  // see Swim::Output
  };

  // ---- what is heard ----
  void hear(const MemberRecord& record, Instant now);
  void hear(const Suspect& suspect, Instant now);
  void hear(const Down& down, Instant now);
  void hear(const std::vector<MemberView>& views, NodeId by, Instant now);  // push-pull
  void heard_from(NodeId node, Instant now);                                // it answered
  void missed(NodeId node, Instant now);  // it did not, nor through others
  // Nobody listens where it lives: it has only refused_time to refute, wherever it is.
  void refused(NodeId node, Instant now);
  void tick(Instant now);     // suspicions end
  void stalled(Duration by);  // this node did nothing for so long

  // ---- what is done ----
  void change_self(const MemberRecord& record);
  bool remove(NodeId node, Instant now);  // false when it is not known

  News take_news();
  Instant next_deadline() const;

  // ---- what is known ----
  const MemberList& members() const { return members_; }
  const MemberRecord& self() const { return members_.self(); }
  bool up(NodeId node) const;  // up or suspect; a node itself always
  Belief belief(NodeId node) const;
  Duration since(NodeId node, Instant now) const;  // for how long it has been up, or not
  const std::vector<NodeId>& reachable() const { return reachable_; }  // others that are up, sorted
  const std::vector<NodeId>& unreachable() const { return unreachable_; }  // members that are not
  std::vector<NodeId> gone_lately(Instant now) const;                      // down, left or removed
  bool anyone_to_tell() const { return !reachable_.empty() || !gone_.empty(); }
  std::size_t n() const;  // members, this one included
  // What `node` should hear before anything else: that it is accused or removed.
  std::optional<Message> news_for(NodeId node) const;

  std::vector<MemberView> views() const;
  std::vector<MemberView> lacking(const std::vector<MemberView>& there) const;
  std::uint64_t hash() const;

 private:
  struct Standing {
    Belief belief = Belief::kUnknown;
    std::uint64_t incarnation = 0;
    Instant since;  // up or not up
  };

  bool is_member(NodeId node) const;  // known, not left or removed
  // Joins the record into the list; true when it changed something.
  bool take(const MemberRecord& record, Instant now);
  void lives(NodeId node, std::uint64_t incarnation, Instant now);
  void accused(std::uint64_t incarnation, Instant now);  // this node
  bool may_refute(Instant now);
  void contradict(NodeId node);  // who is no member is accused
  void hear(const MemberView& view, NodeId by, Instant now);
  void believe(NodeId node, Belief belief, std::uint64_t incarnation, Instant now);
  void place(NodeId node);  // into reachable_, unreachable_ or neither
  MemberView view_of(const MemberRecord& record) const;
  void spread(const Message& update);
  Suspicion::Terms terms() const;

  const SwimOptions& options_;
  MemberList members_;
  std::map<NodeId, Standing> standings_;  // of all others
  std::map<NodeId, Suspicion> suspicions_;
  std::map<NodeId, Instant> gone_;  // who went lately, and when; pruned by tick
  std::vector<NodeId> reachable_;
  std::vector<NodeId> unreachable_;
  bool joining_ = false;  // it is being told what everybody else knows: nothing to spread
  std::uint32_t refutations_left_ = kRefutationsMax;
  Instant refutations_at_;  // when one was last given back
  News news_;
};

}  // namespace grapevine::gossip
