// What `status` and `members` show: one row a node, and how the pairs of nodes stand. Values and
// functions over them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/cluster_members.h"

namespace grapevine::tools {

// One member as it was found. Value.
struct MemberReport {
  gossip::MemberRecord record;
  std::string state;                 // up, unreachable for 5.0 s, left, ...
  std::optional<NodeStatus> status;  // of those that answered
};

// Two members by name, and when one of them last proved itself equal to the other; nullopt: never
// since they started.
struct ProvenPair {
  std::string left;
  std::string right;
  std::optional<milliseconds> ago;

  friend bool operator==(const ProvenPair&, const ProvenPair&) = default;
};

// Asks each member that was reached for its status.
std::vector<MemberReport> ask_members(ClusterMembers& cluster);

// Every pair of members that own data, in their order; the more recent word of the two counts.
std::vector<ProvenPair> proven_pairs(const std::vector<MemberReport>& members);
// "all 3 pairs proven equal, each within the last 1.2 s"
std::string divergence_line(const std::vector<ProvenPair>& pairs);

// What stands in the state column. `seen` is how the asked node sees the member; nullptr: it is
// that node.
std::string state_text(const gossip::MemberRecord& record, bool answers, const SeenPeer* seen);

}  // namespace grapevine::tools
