#include "gossip/scheduler.h"

#include <algorithm>

namespace grapevine::gossip {

void Scheduler::peer_up(NodeId peer, Instant now) {
  Peer& known = peers_[peer];
  if (!known.reachable) known.soon = now;
  known.reachable = true;
}

void Scheduler::peer_down(NodeId peer) {
  const auto known = peers_.find(peer);
  if (known != peers_.end()) known->second.reachable = false;
}

void Scheduler::forget(NodeId peer) {
  const auto known = peers_.find(peer);
  if (known == peers_.end()) return;
  if (known->second.under_way) --under_way_;
  peers_.erase(known);
}

void Scheduler::want(NodeId peer, Instant now) {
  Peer& known = peers_[peer];
  const Instant soon = now + kAgainAfter;
  if (!known.soon.has_value() || soon < *known.soon) known.soon = soon;
}

void Scheduler::ended(NodeId peer, const ExchangeReport& report, Instant now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Peer& known = found->second;
  if (known.under_way) --under_way_;
  known.under_way = false;
  known.last_ended = now;
  if (report.proven_equal) known.proven_equal = now;
  if (report.status.ok() && !report.proven_equal && report.progress()) want(peer, now);
}

void Scheduler::told(NodeId peer, bool equal, Instant now) {
  peers_[peer].told_equal = equal ? std::optional<Instant>(now) : std::nullopt;
}

bool Scheduler::known_equal(const Peer& peer, Instant now) const {
  if (!peer.told_equal.has_value()) return false;
  const auto rounds = static_cast<Duration::rep>(kToldRounds * (peers_.size() + 1));
  return now - *peer.told_equal <= rounds * options_.interval;
}

bool Scheduler::claim(NodeId peer) {
  Peer& known = peers_[peer];
  if (known.under_way || under_way_ >= options_.exchanges_at_once) return false;
  known.under_way = true;
  ++under_way_;
  return true;
}

std::vector<NodeId> Scheduler::due(Instant now) {
  // Never compared with (nullopt) counts as longest ago.
  const auto waited_longer = [](const auto& a, const auto& b) {
    return a->second.last_ended < b->second.last_ended;
  };
  std::vector<std::map<NodeId, Peer>::iterator> waiting;
  for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
    if (peer->second.reachable && !peer->second.under_way) waiting.push_back(peer);
  }
  std::stable_sort(waiting.begin(), waiting.end(), waited_longer);
  if (now >= next_round_) {
    const double jitter = 0.75 + 0.5 * random_.unit();
    next_round_ = now + Duration(static_cast<Duration::rep>(
                            static_cast<double>(options_.interval.count()) * jitter));
    // If no place is free now, the first that becomes free is for the one that has waited longest.
    const auto longest = std::find_if(waiting.begin(), waiting.end(), [&](const auto& peer) {
      return !known_equal(peer->second, now);
    });
    if (longest != waiting.end()) (*longest)->second.soon = now;
  }
  std::vector<NodeId> begin;
  for (const auto& peer : waiting) {
    if (under_way_ >= options_.exchanges_at_once) break;
    if (!peer->second.soon.has_value() || *peer->second.soon > now) continue;
    peer->second.under_way = true;
    peer->second.soon.reset();
    ++under_way_;
    begin.push_back(peer->first);
  }
  return begin;
}

Instant Scheduler::next_deadline() const {
  Instant next = next_round_;
  if (under_way_ >= options_.exchanges_at_once) return next;
  for (const auto& [id, peer] : peers_) {
    if (peer.soon.has_value() && peer.reachable && !peer.under_way) {
      next = std::min(next, *peer.soon);
    }
  }
  return next;
}

}  // namespace grapevine::gossip
