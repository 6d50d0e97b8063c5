#include <algorithm>

#include "gossip/failure_detector.h"

namespace grapevine::gossip {

void PingDetector::watch(NodeId node, Instant now) {
  nodes_.try_emplace(node, Watched{false, now, 0, false, now});
}

void PingDetector::forget(NodeId node) {
  if (up(node)) verdicts_.push_back({node, false});
  nodes_.erase(node);
}

void PingDetector::heard_from(NodeId node, Instant now) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;
  Watched& watched = found->second;
  watched.misses = 0;
  watched.probing = false;
  const double jitter = 0.75 + 0.5 * random_.unit();
  watched.next_probe = now + Duration(static_cast<Duration::rep>(
                                 static_cast<double>(options_.probe_interval.count()) * jitter));
  if (watched.up) return;
  watched.up = true;
  watched.since = now;
  verdicts_.push_back({node, true});
}

void PingDetector::missed(NodeId node, Instant now) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;
  Watched& watched = found->second;
  watched.probing = false;
  ++watched.misses;
  watched.next_probe = now + (watched.up ? options_.retry_interval : options_.probe_interval);
  if (!watched.up || watched.misses < options_.misses_to_down) return;
  watched.up = false;
  watched.since = now;
  verdicts_.push_back({node, false});
}

void PingDetector::hint(NodeId node, Instant now) {
  const auto found = nodes_.find(node);
  if (found != nodes_.end() && !found->second.up) found->second.next_probe = now;
}

std::vector<NodeId> PingDetector::probes(Instant now) {
  std::vector<NodeId> wanted;
  for (auto& [node, watched] : nodes_) {
    if (watched.probing || watched.next_probe > now) continue;
    watched.probing = true;
    wanted.push_back(node);
  }
  return wanted;
}

bool PingDetector::up(NodeId node) const {
  const auto found = nodes_.find(node);
  return found != nodes_.end() && found->second.up;
}

Duration PingDetector::since(NodeId node, Instant now) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? Duration{0} : now - found->second.since;
}

Instant PingDetector::next_deadline() const {
  Instant next{Duration::max()};
  for (const auto& [node, watched] : nodes_) {
    if (!watched.probing) next = std::min(next, watched.next_probe);
  }
  return next;
}

}  // namespace grapevine::gossip
