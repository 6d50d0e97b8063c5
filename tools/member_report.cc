#include "tools/member_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/readable.h"

namespace grapevine::tools {
namespace {

std::optional<milliseconds> proven_by(const MemberReport& member, NodeId other) {
  if (!member.status.has_value()) return std::nullopt;
  const auto& peers = member.status->peers;
  const auto peer = std::find_if(peers.begin(), peers.end(),
                                 [&](const SeenPeer& seen) { return seen.node == other; });
  return peer == peers.end() ? std::nullopt : peer->proven_equal_ago;
}

}  // namespace

std::string state_text(const gossip::MemberRecord& record, bool answers, const SeenPeer* seen) {
  if (record.state != gossip::MemberState::kUp) return std::string(to_string(record.state));
  const bool seen_down = seen != nullptr && !seen->reachable;
  if (answers)
    return seen_down
               ? fmt::format("up, but not for its peers for {}", readable_duration(seen->since))
               : "up";
  return seen_down ? fmt::format("unreachable for {}", readable_duration(seen->since))
                   : "does not answer";
}

std::vector<MemberReport> ask_members(ClusterMembers& cluster) {
  std::vector<MemberReport> reports;
  for (Member& member : cluster.members) {
    MemberReport report{.record = member.record, .state = "", .status = std::nullopt};
    if (member.node != nullptr) {
      auto status = member.node->status();
      if (status.ok()) report.status = *std::move(status);
    }
    report.state =
        state_text(member.record, report.status.has_value(), cluster.seen(member.record.id));
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<ProvenPair> proven_pairs(const std::vector<MemberReport>& members) {
  std::vector<ProvenPair> pairs;
  for (auto left = members.begin(); left != members.end(); ++left) {
    for (auto right = std::next(left); right != members.end(); ++right) {
      if (left->record.state != gossip::MemberState::kUp ||
          right->record.state != gossip::MemberState::kUp)
        continue;
      auto ago = proven_by(*left, right->record.id);
      const auto other = proven_by(*right, left->record.id);
      if (!ago.has_value() || (other.has_value() && *other < *ago)) ago = other;
      pairs.push_back({left->record.name, right->record.name, ago});
    }
  }
  return pairs;
}

std::string divergence_line(const std::vector<ProvenPair>& pairs) {
  if (pairs.empty()) return "one replica, nothing to compare";
  std::vector<ProvenPair> never;
  milliseconds longest{0};
  for (const auto& pair : pairs) {
    if (pair.ago.has_value()) {
      longest = std::max(longest, *pair.ago);
    } else {
      never.push_back(pair);
    }
  }
  const std::string latest = fmt::format("within the last {}", readable_duration(longest));
  if (never.empty()) {
    return pairs.size() == 1
               ? fmt::format("the pair was proven equal {}", latest)
               : fmt::format("all {} pairs were proven equal, each {}", pairs.size(), latest);
  }
  std::string text =
      fmt::format("{} not proven equal since the nodes started:", counted(never.size(), "pair"));
  constexpr std::size_t kNamed = 5;
  for (std::size_t i = 0; i < std::min(kNamed, never.size()); ++i) {
    text += fmt::format("{} {}-{}", i == 0 ? "" : ",", never[i].left, never[i].right);
  }
  if (never.size() > kNamed) text += ", ...";
  if (never.size() < pairs.size()) {
    text += fmt::format("; {} {}", counted(pairs.size() - never.size(), "other"), latest);
  }
  return text;
}

}  // namespace grapevine::tools
