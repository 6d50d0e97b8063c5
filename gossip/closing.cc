#include "gossip/closing.h"

#include "storage/base/planted_flaws.h"

#include <algorithm>

namespace grapevine::gossip {

void Closing::members(const std::vector<MemberRecord>& records, Instant now) {
  for (const MemberRecord& record : records) {
    const bool removed = record.state == MemberState::kRemoved;
    std::uint64_t& first_open = first_open_.try_emplace(record.id, 1).first->second;
    const std::uint64_t now_open = record.epoch + (removed ? 1 : 0);
    if (now_open > first_open) {
      first_open = now_open;
      last_end_ = now;
    }
    if (record.state == MemberState::kUp) continue;
    told_.erase(record.id);
    for (auto& [partition, marks] : heard_) marks.erase(record.id);
  }
}

void Closing::told(NodeId peer, Instant begun) {
  Instant& known = told_.try_emplace(peer, begun).first->second;
  known = std::max(known, begun);
}

std::optional<Instant> Closing::mark(NodeId peer) const {
  const auto found = told_.find(peer);
  return found == told_.end() ? std::nullopt : std::optional(found->second);
}

void Closing::heard(NodeId peer, Instant mark, const std::vector<PartitionId>& partitions) {
  for (const PartitionId partition : partitions) {
    Instant& last = heard_[partition].try_emplace(peer, mark).first->second;
    last = std::max(last, mark);
  }
}

std::uint64_t Closing::first_open(NodeId node) const {
  const auto found = first_open_.find(node);
  return found == first_open_.end() ? 0 : found->second;
}

// Of each node with an ended epoch that is open: the last ended one. The owners' are closed though
// the clock does not know them: vectors at another owner may.
std::vector<ActorId> Closing::unclosed(const std::vector<NodeId>& owners, const model::Clock& clock,
                                       bool unquiet) const {
  std::vector<ActorId> ends;
  const auto end = [&](NodeId node) {
    const std::uint64_t open = first_open(node);
    if (open <= 1) return;
    const ActorId last = ActorId::of(node, open - 1);
    if (!clock.closed(last)) ends.push_back(last);
  };
  for (const NodeId owner : owners) end(owner);
  for (const auto& [actor, counters] : clock.actors()) {
    if (ended(actor)) end(actor.node());
  }
  for (auto node = first_open_.begin(); unquiet && node != first_open_.end(); ++node) {
    end(node->first);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return ends;
}

bool Closing::was_heard(NodeId peer, PartitionId partition) const {
  const auto marks = heard_.find(partition);
  if (marks == heard_.end()) return false;
  const auto mark = marks->second.find(peer);
  return mark != marks->second.end() && mark->second >= since();
}

bool Closing::must_hear(NodeId peer, PartitionId partition, const std::vector<NodeId>& owners,
                        const model::Clock& clock, bool unquiet) const {
  const auto knows = mark(peer);
  return !owners.empty() && owners.front() == self_ && knows.has_value() && *knows >= since() &&
         !was_heard(peer, partition) && !unclosed(owners, clock, unquiet).empty();
}

std::vector<ActorId> Closing::due(PartitionId partition, const std::vector<NodeId>& owners,
                                  const model::Clock& clock, bool unquiet, Instant now) const {
  if (owners.empty() || owners.front() != self_) return {};
  if (GRAPEVINE_FLAW(closes_without_hearing)) return unclosed(owners, clock, unquiet);
  if (now < since()) return {};
  std::vector<ActorId> ends = unclosed(owners, clock, unquiet);
  const bool all_heard = std::all_of(owners.begin(), owners.end(), [&](NodeId owner) {
    return owner == self_ || was_heard(owner, partition);
  });
  return !ends.empty() && all_heard ? ends : std::vector<ActorId>{};
}

}  // namespace grapevine::gossip
