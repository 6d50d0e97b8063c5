// How nodes find each other and stay acquainted.
//
// Joining: whatever seed answers gives its member list, and everybody in it is then called. Seeds
// at whose address no known member answers are called again and again, at first every
// kJoinInterval, so the order in which nodes start does not matter, nor that another node has come
// to live at a seed's address. The list spreads with every probe: a probe is a push-pull of the
// whole list (SWIM's piggybacking takes its place later).
//
// A machine: calls out, replies in. Bounds: one call to a node or seed at a time. Not promised:
// that two nodes have the same list at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gossip/failure_detector.h"
#include "gossip/member_list.h"

namespace grapevine::gossip {

class Membership {
 public:
  static constexpr Duration kJoinInterval = std::chrono::milliseconds(500);
  static constexpr Duration kSeedInterval =
      std::chrono::seconds(10);  // once other members are known

  // `known`: the list kept from the last life. `detector` must outlive this.
  Membership(MemberRecord self, std::vector<std::string> seeds,
             const std::vector<MemberRecord>& known, FailureDetector& detector, Instant now);

  using CallNumber = std::uint64_t;
  struct Call {
    CallNumber number;
    std::optional<NodeId> to;  // nullopt: a seed, whoever that is
    std::string address;
    std::vector<MemberRecord> records;
  };
  struct Output {
    std::vector<Call> calls;
    std::vector<NodeId> changed;  // records that are new or newer
    std::vector<NodeId> came_up;
    std::vector<NodeId> went_down;
  };

  void tick(Instant now);
  void on_reply(CallNumber number, const std::vector<MemberRecord>& records, Instant now);
  void on_failure(CallNumber number, Instant now);
  // Somebody calls: takes its list, answers with this one.
  std::vector<MemberRecord> on_call(NodeId from, const std::vector<MemberRecord>& records,
                                    Instant now);
  void on_connection_lost(NodeId node, Instant now);
  void change_self(const MemberRecord& record);

  Output take_output();
  Instant next_deadline() const;
  const MemberList& members() const { return members_; }
  bool up(NodeId node) const { return node == members_.self().id || detector_.up(node); }
  Duration since(NodeId node, Instant now) const { return detector_.since(node, now); }

 private:
  struct Seed {
    std::string address;
    Instant next;
    bool calling = false;
  };
  struct Calling {
    std::optional<NodeId> to;
    std::size_t seed = 0;  // when to is nullopt
  };

  void take_over(const std::vector<MemberRecord>& records, Instant now);
  void call(std::optional<NodeId> to, std::string address, std::size_t seed);
  bool answers_at(const std::string& address) const;  // some known member
  bool calling(NodeId node) const;

  FailureDetector& detector_;
  MemberList members_;
  std::vector<Seed> seeds_;
  CallNumber last_number_ = 0;
  std::map<CallNumber, Calling> calling_;
  Output output_;
};

}  // namespace grapevine::gossip
