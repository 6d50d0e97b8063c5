#include "gossip/prober.h"

#include <algorithm>
#include <utility>

#include "gossip/sampling.h"

namespace grapevine::gossip {
namespace {

constexpr std::size_t kProbesOfDownWhileAlone = 3;

}  // namespace

Prober::Prober(const SwimOptions& options, Random& random, Instant now)
    : options_(options),
      random_(random),
      health_(options.health_max),
      // Late answers to an earlier life must not fit.
      last_(static_cast<ProbeNumber>(random.next())),
      next_probe_(now + Duration(static_cast<Duration::rep>(random.below(
                            static_cast<std::uint64_t>(options.probe_interval.count()))))),
      next_of_down_(now) {}

void Prober::tick(const Roster& roster, Instant now) {
  advance(roster, now);
  relay(now);
  for (const NodeId node : std::exchange(hinted_, {})) {
    const bool up = roster.up(node);
    const auto probe = begin(roster, node, !up, now);
    if (up && probe.has_value()) output_.stream_pings.push_back({node, *probe});
  }
  if (now >= next_probe_) {
    next_probe_ = now + health_.stretch(options_.probe_interval);
    if (const auto node = next_in_round(roster)) begin(roster, *node, false, now);
  }
  if (now >= next_of_down_) {
    next_of_down_ = now + options_.down_probe_period(roster.reachable().size());
    const std::size_t count = roster.reachable().empty() ? kProbesOfDownWhileAlone : 1;
    if (!roster.unreachable().empty()) {
      for (const NodeId node : sample(roster.unreachable(), count, random_)) {
        begin(roster, node, true, now);
      }
    }
  }
}

std::optional<NodeId> Prober::next_in_round(const Roster& roster) {
  if (round_.empty()) {
    round_ = sample(roster.reachable(), roster.reachable().size(), random_);
  }
  while (!round_.empty()) {
    const NodeId node = round_.back();
    round_.pop_back();
    if (roster.up(node) && !probing(node)) return node;
  }
  return std::nullopt;
}

void Prober::came_up(NodeId node) {
  round_.insert(round_.begin() + static_cast<std::ptrdiff_t>(random_.below(round_.size() + 1)),
                node);
}

void Prober::hint(NodeId node) {
  hinted_.insert(node);
}

bool Prober::probing(NodeId node) const {
  return std::any_of(probes_.begin(), probes_.end(),
                     [&](const auto& probe) { return probe.second.node == node; });
}

std::optional<ProbeNumber> Prober::begin(const Roster& roster, NodeId node, bool of_down,
                                         Instant now) {
  const MemberRecord* const record = roster.members().find(node);
  if (record == nullptr || record->state != MemberState::kUp || node == roster.self().id) {
    return std::nullopt;
  }
  if (probes_.size() >= kProbesMax || probing(node)) return std::nullopt;
  const ProbeNumber number = ++last_;
  probes_.emplace(number, Probe{node, of_down, now + health_.stretch(options_.probe_timeout),
                                now + health_.stretch(options_.probe_interval), std::nullopt, 0});
  output_.sends.push_back({node, record->peer_address, Ping{number, node}});
  return number;
}

void Prober::advance(const Roster& roster, Instant now) {
  for (auto at = probes_.begin(); at != probes_.end();) {
    Probe& probe = at->second;
    if (now >= probe.ends) {
      end(probe);
      at = probes_.erase(at);
      continue;
    }
    if (!probe.of_down && !probe.asked.has_value() && now >= probe.ask_others) {
      ask_others(roster, at->first, probe);
    }
    ++at;
  }
}

void Prober::ask_others(const Roster& roster, ProbeNumber number, Probe& probe) {
  const MemberRecord* const record = roster.members().find(probe.node);
  std::vector<NodeId> others = roster.reachable();
  std::erase(others, probe.node);
  others = sample(std::move(others), options_.indirect_probes, random_);
  probe.asked = static_cast<std::uint32_t>(others.size());
  for (const NodeId other : others) {
    output_.sends.push_back({other, roster.members().find(other)->peer_address,
                             PingRequest{number, probe.node, record->peer_address}});
  }
  output_.stream_pings.push_back({probe.node, number});
}

void Prober::end(const Probe& probe) {
  if (probe.of_down) return;
  const std::uint32_t asked = probe.asked.value_or(0);
  health_.adjust(asked == 0 ? +1 : static_cast<int>(asked - std::min(asked, probe.nacks)));
  output_.missed.push_back(probe.node);
}

void Prober::on_ack(ProbeNumber number) {
  if (const auto probe = probes_.find(number); probe != probes_.end()) {
    if (!probe->second.of_down) health_.adjust(-1);
    output_.answered.push_back(probe->second.node);
    if (probe->second.asked.has_value()) ++output_.helped;
    probes_.erase(probe);
    return;
  }
  if (const auto relay = relays_.find(number); relay != relays_.end()) {
    output_.sends.push_back(
        {relay->second.asker, std::move(relay->second.address), Ack{relay->second.number}});
    relays_.erase(relay);
  }
}

void Prober::on_nack(ProbeNumber number) {
  if (const auto probe = probes_.find(number); probe != probes_.end()) ++probe->second.nacks;
}

void Prober::on_refused(ProbeNumber number) {
  const auto probe = probes_.find(number);
  if (probe == probes_.end() || probe->second.of_down) return;
  output_.refused.push_back(probe->second.node);
  probes_.erase(probe);
}

void Prober::on_request(NodeId from, const std::string& address, const PingRequest& request,
                        Instant now) {
  if (relays_.size() >= kRelaysMax) return;
  const ProbeNumber number = ++last_;
  relays_.emplace(number, Relay{from, address, request.number, now + options_.probe_timeout * 4 / 5,
                                false, now + health_.stretch(options_.probe_interval)});
  output_.sends.push_back({request.to, request.address, Ping{number, request.to}});
}

void Prober::relay(Instant now) {
  for (auto& [number, relay] : relays_) {
    if (relay.nacked || now < relay.nack) continue;
    relay.nacked = true;
    output_.sends.push_back({relay.asker, relay.address, Nack{relay.number}});
  }
  std::erase_if(relays_, [&](const auto& relay) { return now >= relay.second.ends; });
}

void Prober::stalled(Duration by) {
  health_.adjust(+1);
  for (auto& [number, probe] : probes_) {
    probe.ask_others = probe.ask_others + by;
    probe.ends = probe.ends + by;
  }
  for (auto& [number, relay] : relays_) {
    relay.nack = relay.nack + by;
    relay.ends = relay.ends + by;
  }
}

Prober::Output Prober::take_output() {
  return std::exchange(output_, {});
}

Instant Prober::next_deadline() const {
  if (!hinted_.empty()) return Instant{};
  Instant next = std::min(next_probe_, next_of_down_);
  for (const auto& [number, probe] : probes_) {
    const bool asks = !probe.of_down && !probe.asked.has_value();
    next = std::min(next, asks ? probe.ask_others : probe.ends);
  }
  for (const auto& [number, relay] : relays_) {
    next = std::min(next, relay.nacked ? relay.ends : relay.nack);
  }
  return next;
}

}  // namespace grapevine::gossip
