#include "gossip/sync_schedule.h"

#include <algorithm>
#include <utility>

#include "gossip/sampling.h"

namespace grapevine::gossip {

SyncSchedule::SyncSchedule(const SwimOptions& options, Random& random,
                           std::vector<std::string> seeds, const std::string& own_address,
                           Instant now)
    : options_(options), random_(random), next_(now) {
  for (std::string& seed : seeds) {
    if (seed != own_address) seeds_.push_back({std::move(seed), now});
  }
}

std::vector<SyncSchedule::Target> SyncSchedule::due(const Roster& roster, Instant now) {
  const bool alone = roster.reachable().empty();
  if (alone) next_ = std::min(next_, now + options_.join_interval);
  std::vector<Target> targets;
  for (Seed& seed : seeds_) {
    if (alone) seed.next = std::min(seed.next, now + options_.join_interval);
    if (seed.calling || seed.next > now) continue;
    seed.next = now + (alone ? options_.join_interval : options_.seed_interval);
    const bool answers = std::any_of(
        roster.reachable().begin(), roster.reachable().end(),
        [&](NodeId node) { return roster.members().find(node)->peer_address == seed.address; });
    if (answers) continue;
    seed.calling = true;
    targets.push_back({std::nullopt, seed.address, alone});
  }
  if (const auto node = member_due(roster, now)) {
    calling_ = true;
    targets.push_back({node, roster.members().find(*node)->peer_address, alone});
  }
  return targets;
}

std::optional<NodeId> SyncSchedule::member_due(const Roster& roster, Instant now) {
  if (calling_) return std::nullopt;
  while (!soon_.empty()) {
    const NodeId node = *soon_.begin();
    soon_.erase(soon_.begin());
    if (roster.up(node)) return node;
  }
  if (next_ > now) return std::nullopt;
  const bool alone = roster.reachable().empty();
  const double jitter = 0.75 + 0.5 * random_.unit();
  next_ = now + (alone ? options_.join_interval
                       : Duration(static_cast<Duration::rep>(
                             static_cast<double>(options_.push_pull_interval.count()) * jitter)));
  const std::vector<NodeId>& from = alone ? roster.unreachable() : roster.reachable();
  if (from.empty()) return std::nullopt;
  return from[random_.below(from.size())];
}

void SyncSchedule::ended(const Target& target) {
  if (target.to.has_value()) {
    calling_ = false;
    return;
  }
  for (Seed& seed : seeds_) {
    if (seed.address == target.address) seed.calling = false;
  }
}

void SyncSchedule::soon(NodeId node, Instant now) {
  if (soon_.size() < kSoonMax) soon_.insert(node);
  // A round that was due while nobody was up has been made with this one.
  next_ = std::max(next_, now + options_.push_pull_interval / 2);
}

Instant SyncSchedule::next_deadline() const {
  Instant next = calling_ ? Instant{Duration::max()} : soon_.empty() ? next_ : Instant{};
  for (const Seed& seed : seeds_) {
    if (!seed.calling) next = std::min(next, seed.next);
  }
  return next;
}

}  // namespace grapevine::gossip
