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

bool Scheduler::claim(NodeId peer) {
  Peer& known = peers_[peer];
  if (known.under_way || under_way_ >= options_.exchanges_at_once) return false;
  known.under_way = true;
  ++under_way_;
  return true;
}

std::vector<NodeId> Scheduler::due(Instant now) {
  std::vector<NodeId> begin;
  const auto may_begin = [&](const Peer& peer) {
    return peer.reachable && !peer.under_way && under_way_ < options_.exchanges_at_once;
  };
  const auto start = [&](NodeId id, Peer& peer) {
    peer.under_way = true;
    peer.soon.reset();
    ++under_way_;
    begin.push_back(id);
  };
  for (auto& [id, peer] : peers_) {
    if (peer.soon.has_value() && *peer.soon <= now && may_begin(peer)) start(id, peer);
  }
  if (now >= next_round_) {
    const double jitter = 0.75 + 0.5 * random_.unit();
    next_round_ = now + Duration(static_cast<Duration::rep>(
                            static_cast<double>(options_.interval.count()) * jitter));
    auto longest = peers_.end();
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
      if (!may_begin(peer->second)) continue;
      if (longest == peers_.end() || peer->second.last_ended < longest->second.last_ended) {
        longest = peer;  // never compared with (nullopt) counts as longest ago
      }
    }
    if (longest != peers_.end()) start(longest->first, longest->second);
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
