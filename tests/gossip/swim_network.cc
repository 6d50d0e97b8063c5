#include "tests/gossip/swim_network.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "tests/gossip/member_records.h"

namespace grapevine::gossip {

SwimNetwork::SwimNetwork(std::uint64_t seed, const SwimOptions& options, Weather weather)
    : options_(options), weather_(weather), random_(seed) {}

// ---- processes ----

Swim& SwimNetwork::start(const MemberRecord& self, std::vector<std::string> seeds,
                         const std::vector<MemberRecord>& known) {
  auto& node = nodes_[self.id];
  node = std::make_unique<Node>(random_.next(), self, std::move(seeds), known, options_, now_);
  node->address = self.peer_address;
  node->life = ++last_life_;
  carry_out(*node);
  return node->swim;
}

void SwimNetwork::start_acquainted(std::uint64_t n) {
  PushPull all;
  for (const MemberRecord& record : members(n)) {
    all.members.push_back({record, Belief::kUp, record.incarnation});
  }
  for (const MemberView& view : all.members) {
    start(view.record);
    all.from = NodeId{view.record.id.value == 1 ? 2U : 1U};
    at(view.record.id.value).on_push_pull(all, now_);
    Node& started = node(view.record.id.value);
    started.swim.take_output();
    set_alarm(started);
  }
}

// ---- network ----

void SwimNetwork::heal() {
  cuts_.clear();
  split_.reset();
  datagrams_blocked_ = false;
}

bool SwimNetwork::passes(NodeId from, NodeId to) const {
  const bool split = split_.has_value() && (from <= *split_) != (to <= *split_);
  return !split && !cuts_.contains({from, to});
}

Duration SwimNetwork::delay() {
  const auto spread =
      static_cast<std::uint64_t>((weather_.delay_max - weather_.delay_min).count()) + 1;
  return weather_.delay_min + Duration(static_cast<Duration::rep>(random_.below(spread)));
}

Duration SwimNetwork::stream_delay() {
  Duration late{0};
  for (Duration resend = kResendTime; random_.chance(weather_.loss); resend *= 2) late += resend;
  return late + delay();
}

SwimNetwork::Node* SwimNetwork::listens(const std::string& address) {
  // "hostN:4741", as member() has it, or whatever a test has made of it.
  for (const auto& [id, node] : nodes_) {
    if (node->address == address) return node.get();
  }
  return nullptr;
}

SwimNetwork::Node* SwimNetwork::living(NodeId id, std::uint64_t life) {
  const auto found = nodes_.find(id);
  return found == nodes_.end() || found->second->life != life ? nullptr : found->second.get();
}

void SwimNetwork::send(const Node& from, Swim::Datagram datagram) {
  ++traffic_.packets;
  traffic_.packet_bytes += datagram.bytes.size();
  GRAPEVINE_CHECK(datagram.bytes.size() <= options_.packet_bytes_max, "a packet is within bounds");
  if (datagrams_blocked_ || random_.chance(weather_.loss)) return;
  Node* to = nullptr;
  if (const auto found = nodes_.find(datagram.to);
      found != nodes_.end() && found->second->address == datagram.address) {
    to = found->second.get();
  } else {
    to = listens(datagram.address);
  }
  if (to == nullptr || !passes(from.swim.self().id, to->swim.self().id)) return;
  later(delay() + to->slow, *to,
        [this, sender = from.address, bytes = std::move(datagram.bytes)](Node& receiver) {
          receiver.swim.on_packet(sender, bytes, now_);
        });
}

void SwimNetwork::call(Node& from, Swim::Call call) {
  const auto fail = [this, number = call.number](Node& caller) {
    caller.swim.on_failure(number, now_);
  };
  Node* const to = listens(call.address);
  if (to == nullptr) {
    return later(
        stream_delay() + delay(), from,
        [this, number = call.number, refused = refusing_.contains(call.address)](Node& caller) {
          if (refused) {
            caller.swim.on_refused(number, now_);
          } else {
            caller.swim.on_failure(number, now_);
          }
        });
  }
  const NodeId caller = from.swim.self().id;
  const NodeId called = to->swim.self().id;
  if (!passes(caller, called) || !passes(called, caller)) return later(kConnectTime, from, fail);
  if (call.to.has_value() && *call.to != called) return later(stream_delay() + delay(), from, fail);
  later(kCallTime, from, fail);  // ends nothing that has ended before
  later(stream_delay() + to->slow, *to,
        [this, caller, life = from.life, call = std::move(call)](Node& callee) {
          std::optional<std::string> answer;
          if (call.push_pull.has_value()) {
            const std::string request = encode_push_pull(*call.push_pull);
            answer =
                encode_push_pull(callee.swim.on_push_pull(decode_push_pull(request).value(), now_));
            traffic_.stream_bytes += request.size() + answer->size();
          }
          Node* const waiting = living(caller, life);
          if (waiting == nullptr) return;
          later(stream_delay() + waiting->slow, *waiting,
                [this, answer, number = call.number](Node& asker) {
                  if (answer.has_value()) {
                    asker.swim.on_synced(number, decode_push_pull(*answer).value(), now_);
                  } else {
                    asker.swim.on_answered(number, now_);
                  }
                });
        });
}

// ---- time ----

void SwimNetwork::after(Duration delay, std::function<void()> act) {
  events_.push_back({now_ + delay, ++last_event_, std::move(act)});
  std::push_heap(events_.begin(), events_.end());
}

void SwimNetwork::later(Duration delay, const Node& node, std::function<void(Node&)> act) {
  after(delay, [this, id = node.swim.self().id, life = node.life, act = std::move(act)] {
    Node* const acting = living(id, life);
    if (acting == nullptr) return;
    if (acting->paused) {
      acting->held.push_back(act);
      return;
    }
    act(*acting);
    carry_out(*acting);
  });
}

void SwimNetwork::resume(std::uint64_t id) {
  Node& resumed = node(id);
  resumed.paused = false;
  resumed.swim.tick(now_);
  for (const auto& act : std::exchange(resumed.held, {})) act(resumed);
  carry_out(resumed);
}

void SwimNetwork::carry_out(Node& node) {
  Swim::Output output = node.swim.take_output();
  const NodeId self = node.swim.self().id;
  for (const NodeId id : output.came_up) verdicts_.push_back({now_, self, id, true});
  for (const NodeId id : output.went_down) verdicts_.push_back({now_, self, id, false});
  node.told.insert(node.told.end(), output.told.begin(), output.told.end());
  for (Rumour& rumour : output.rumours) node.rumours.push_back(std::move(rumour));
  for (const auto& [from, summary] : output.summaries) {
    if (on_summary) on_summary(self, from, summary);
  }
  for (Swim::Datagram& datagram : output.packets) send(node, std::move(datagram));
  for (Swim::Call& wanted : output.calls) call(node, std::move(wanted));
  set_alarm(node);
}

void SwimNetwork::set_alarm(Node& node) {
  const Instant next = std::max(node.swim.next_deadline(), now_);
  if (node.alarm == next || next == Instant{Duration::max()}) return;
  node.alarm = next;
  later(next - now_, node, [this, next](Node& ringing) {
    if (ringing.alarm != next) return;
    ringing.alarm.reset();
    ringing.swim.tick(now_);
  });
}

void SwimNetwork::run(Duration time) {
  const Instant end = now_ + time;
  while (!events_.empty() && events_.front().at <= end) {
    std::pop_heap(events_.begin(), events_.end());
    Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.at;
    event.act();
  }
  now_ = end;
}

std::optional<Duration> SwimNetwork::run_until(const std::function<bool()>& done, Duration limit,
                                               Duration step) {
  const Instant began = now_;
  while (!done()) {
    if (now_ - began >= limit) return std::nullopt;
    run(step);
  }
  return now_ - began;
}

// ---- what is seen ----

bool SwimNetwork::acquainted() const {
  for (const auto& [id, node] : nodes_) {
    for (const auto& [other, record] : node->swim.members().records()) {
      if (node->swim.up(other) != nodes_.contains(other)) return false;
    }
    for (const auto& [other, living] : nodes_) {
      if (!node->swim.up(other)) return false;
    }
  }
  return true;
}

bool SwimNetwork::all_believe(std::uint64_t id, bool up) const {
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    return node.first == NodeId{id} || node.second->swim.up(NodeId{id}) == up;
  });
}

std::size_t SwimNetwork::down_verdicts_since(Instant since) const {
  return static_cast<std::size_t>(
      std::count_if(verdicts_.begin(), verdicts_.end(),
                    [&](const Verdict& verdict) { return !verdict.up && verdict.at >= since; }));
}

}  // namespace grapevine::gossip
