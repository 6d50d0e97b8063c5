#include "gossip/swim.h"

#include <algorithm>
#include <type_traits>

#include "gossip/sampling.h"
#include "storage/base/check.h"

namespace grapevine::gossip {
namespace {

constexpr int kUnchangedLoadPeriods = 10;
constexpr std::size_t kFarewellCalls = 3;

template <typename T>
constexpr bool kIsOfAProbe =
    std::is_same_v<T, Ping> || std::is_same_v<T, Ack> || std::is_same_v<T, PingRequest> ||
    std::is_same_v<T, Nack> || std::is_same_v<T, Summary>;

bool of_a_probe(const Message& message) {
  return std::visit([](const auto& one) { return kIsOfAProbe<std::decay_t<decltype(one)>>; },
                    message);
}

bool holds_a_ping(const Packet& packet) {
  return std::any_of(packet.messages.begin(), packet.messages.end(),
                     [](const Message& message) { return std::holds_alternative<Ping>(message); });
}

}  // namespace

Swim::Swim(MemberRecord self, std::vector<std::string> seeds,
           const std::vector<MemberRecord>& known, const SwimOptions& options, Random& random,
           std::uint64_t first_rumour, Instant now)
    : options_(options),
      random_(random),
      roster_(std::move(self), known, options_, now),
      prober_(options_, random, now),
      schedule_(options_, random, std::move(seeds), roster_.self().peer_address, now),
      rumours_(roster_.self().id, first_rumour),
      due_(now),
      next_gossip_(now),
      next_load_(now) {
  GRAPEVINE_CHECK(options_.check().ok(), "the options of SWIM are within their bounds");
  absorb_news(now);
}

// ---- what happened ----

void Swim::tick(Instant now) {
  const bool takes_part = !stopping_ && self().state == MemberState::kUp;
  if (takes_part) {
    make_up_for_lateness(now);
    roster_.tick(now);
    prober_.tick(roster_, now);
    absorb_probes(now);
    for (SyncSchedule::Target& target : schedule_.due(roster_, now)) {
      PushPull state = hashes(true);
      if (target.joining) {
        state.members = roster_.views();
        state.rumours = rumours_.all(now);
      }
      const std::string address = target.address;
      Calling calling;
      calling.tells_all = target.joining;
      calling.target = std::move(target);
      call(calling.target->to, address, std::move(state), std::move(calling), now);
    }
    rumours_.tick(now);
    report_load(now);
  }
  gossip(now);
  due_ = std::max(next_deadline(), now);
}

void Swim::make_up_for_lateness(Instant now) {
  // Something may have made the next tick unnecessary, or necessary at once, since the last one.
  const Duration late = now - std::max(next_deadline(), due_);
  if (late < options_.probe_interval) return;
  roster_.stalled(late);
  prober_.stalled(late);
}

void Swim::on_packet(const std::string& address, std::string_view bytes, Instant now) {
  if (stopping_) return;
  const auto packet = decode_packet(bytes, options_.cluster);
  if (!packet.ok()) {
    ++counters_.packets_refused;
    return;
  }
  const NodeId from = packet->from;
  if (from == self().id) return;
  if (self().state == MemberState::kRemoved) {
    // Whoever still probes it has not heard.
    const Message removed = self();
    if (holds_a_ping(*packet)) send(from, address, {removed});
    return;
  }
  const bool outcast = removed(from);
  // Updates first: what is answered below already knows of them.
  for (const Message& message : packet->messages) {
    if (!outcast && !of_a_probe(message)) hear(message, now);
  }
  absorb_news(now);
  for (const Message& message : packet->messages) {
    if (outcast && !std::holds_alternative<Ping>(message)) continue;
    if (of_a_probe(message)) answer(from, address, message, now);
  }
  absorb_probes(now);
}

bool Swim::removed(NodeId node) const {
  const MemberRecord* const record = members().find(node);
  return record != nullptr && record->state == MemberState::kRemoved;
}

void Swim::hear(const Message& message, Instant now) {
  std::visit(
      [&](const auto& update) {
        using Update = std::decay_t<decltype(update)>;
        if constexpr (std::is_same_v<Update, LoadReport>) {
          hear(update);
        } else if constexpr (std::is_same_v<Update, Rumour>) {
          hear(update, now);
        } else if constexpr (!kIsOfAProbe<Update>) {
          roster_.hear(update, now);
        }
      },
      message);
}

void Swim::hear(const LoadReport& report) {
  if (report.node == self().id || members().find(report.node) == nullptr) return;
  const auto age = [](const LoadReport& of) { return std::pair(of.incarnation, of.sequence); };
  const auto [known, fresh] = loads_.emplace(report.node, report);
  if (!fresh && age(report) <= age(known->second)) return;
  known->second = report;
  output_.loads.push_back(report.node);
  queue_.put(report);
}

void Swim::hear(const Rumour& rumour, Instant now) {
  if (!rumours_.hear(rumour, now)) return;
  output_.rumours.push_back(rumour);
  queue_.put(rumour);
}

void Swim::answer(NodeId from, const std::string& address, const Message& message, Instant now) {
  if (const auto* const ping = std::get_if<Ping>(&message)) {
    if (ping->to != self().id) return;
    std::vector<Message> ack{Ack{ping->number}};
    if (summary_of_) {
      if (const auto summary = summary_of_(from)) ack.emplace_back(*summary);
    }
    send(from, address, ack);
  } else if (const auto* const ack = std::get_if<Ack>(&message)) {
    prober_.on_ack(ack->number);
  } else if (const auto* const nack = std::get_if<Nack>(&message)) {
    prober_.on_nack(nack->number);
  } else if (const auto* const request = std::get_if<PingRequest>(&message)) {
    prober_.on_request(from, address, *request, now);
  } else if (const auto* const summary = std::get_if<Summary>(&message)) {
    output_.summaries.emplace_back(from, *summary);
  }
}

void Swim::absorb_probes(Instant now) {
  const Prober::Output output = prober_.take_output();
  for (const NodeId node : output.answered) roster_.heard_from(node, now);
  counters_.probes_helped += output.helped;
  for (const NodeId node : output.missed) {
    ++counters_.probes_missed;
    roster_.missed(node, now);
  }
  for (const NodeId node : output.refused) {
    ++counters_.probes_missed;
    roster_.refused(node, now);
  }
  absorb_news(now);
  for (const Prober::Send& out : output.sends) send(out.to, out.address, {out.message});
  for (const Prober::StreamPing& ping : output.stream_pings) {
    Calling calling;
    calling.ping = ping.number;
    call(ping.to, members().find(ping.to)->peer_address, std::nullopt, std::move(calling), now);
  }
}

void Swim::absorb_news(Instant now) {
  const Roster::News news = roster_.take_news();
  for (const Message& update : news.spread) {
    if (const auto* const record = std::get_if<MemberRecord>(&update)) {
      queue_.forget({Subject::Kind::kAccusation, record->id, 0});
    }
    queue_.put(update);
  }
  for (const NodeId node : news.changed) {
    if (members().find(node)->state != MemberState::kUp) loads_.erase(node);
  }
  for (const NodeId node : news.came_up) {
    prober_.came_up(node);
    schedule_.soon(node, now);
  }
  for (std::uint32_t i = 0; i < news.refutations; ++i) prober_.refuted();
  counters_.refutations += news.refutations;
  const auto append = [](std::vector<NodeId>& to, const std::vector<NodeId>& nodes) {
    to.insert(to.end(), nodes.begin(), nodes.end());
  };
  append(output_.changed, news.changed);
  append(output_.came_up, news.came_up);
  append(output_.went_down, news.went_down);
  output_.later_epoch = std::max(output_.later_epoch, news.later_epoch);
  output_.elsewhere.insert(output_.elsewhere.end(), news.elsewhere.begin(), news.elsewhere.end());
}

// ---- push-pull ----

PushPull Swim::hashes(bool wants_answer) const {
  return {self().id, roster_.hash(), rumours_.hash(), wants_answer, {}, {}};
}

PushPull Swim::on_push_pull(const PushPull& call, Instant now) {
  if (!stopping_ && call.from != self().id && !removed(call.from)) {
    roster_.hear(call.members, call.from, now);
    for (const Rumour& rumour : call.rumours) hear(rumour, now);
    absorb_news(now);
  }
  PushPull answer = hashes(false);
  if (!call.wants_answer) return answer;
  if (answer.members_hash != call.members_hash) answer.members = roster_.lacking(call.members);
  if (answer.rumours_hash != call.rumours_hash) {
    answer.rumours = rumours_.lacking(call.rumours, now);
  }
  return answer;
}

void Swim::on_synced(CallNumber number, const PushPull& answer, Instant now) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  const Calling calling = std::move(found->second);
  calling_.erase(found);
  if (calling.target.has_value()) schedule_.ended(*calling.target);
  if (stopping_ || answer.from == self().id || removed(answer.from)) return;
  const bool same = answer.members_hash == calling.members_hash;
  if (same || calling.tells_all) output_.told.push_back({answer.from, calling.begun});
  if (calling.checked.has_value() && !same && now >= next_sync_after_check_) {
    next_sync_after_check_ = now + options_.sync_after_check_period(roster_.n());
    schedule_.soon(answer.from, now);
  }
  if (!calling.target.has_value()) return;
  roster_.hear(answer.members, answer.from, now);
  roster_.heard_from(answer.from, now);
  for (const Rumour& rumour : answer.rumours) hear(rumour, now);
  absorb_news(now);
  if (calling.target->joining) return;  // it has been told everything
  PushPull more = hashes(false);
  if (!answer.members.empty()) more.members = roster_.lacking(answer.members);
  if (answer.rumours_hash != more.rumours_hash) {
    more.rumours = rumours_.lacking(answer.rumours, now);
  }
  if (!same && more.members.empty()) output_.told.push_back({answer.from, calling.begun});
  if (more.members.empty() && more.rumours.empty()) return;
  Calling next;
  next.tells_all = true;
  call(answer.from, calling.target->address, std::move(more), std::move(next), now);
}

void Swim::on_answered(CallNumber number, Instant now) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  const Calling calling = std::move(found->second);
  calling_.erase(found);
  if (calling.target.has_value()) schedule_.ended(*calling.target);
  if (calling.ping.has_value()) prober_.on_ack(*calling.ping);
  absorb_probes(now);
}

void Swim::on_failure(CallNumber number, Instant /*now*/) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  if (found->second.target.has_value()) schedule_.ended(*found->second.target);
  calling_.erase(found);
}

void Swim::on_refused(CallNumber number, Instant now) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  const std::optional<ProbeNumber> ping = found->second.ping;
  const std::optional<NodeId> checked = found->second.checked;
  on_failure(number, now);
  if (ping.has_value()) prober_.on_refused(*ping);
  if (checked.has_value()) prober_.hint(*checked);
  absorb_probes(now);
}

void Swim::call(std::optional<NodeId> to, const std::string& address,
                std::optional<PushPull> push_pull, Calling calling, Instant now) {
  const CallNumber number = ++last_call_;
  calling.begun = now;
  if (push_pull.has_value()) calling.members_hash = push_pull->members_hash;
  calling_.emplace(number, std::move(calling));
  output_.calls.push_back({number, to, address, std::move(push_pull)});
}

// ---- what this node does ----

void Swim::change_self(const MemberRecord& record, Instant now) {
  roster_.change_self(record);
  absorb_news(now);
}

void Swim::check(NodeId node, Instant now) {
  const MemberRecord* const record = members().find(node);
  if (stopping_ || record == nullptr || record->state != MemberState::kUp) return;
  if (node == self().id) return;
  Calling calling;
  calling.checked = node;
  call(node, record->peer_address, hashes(false), std::move(calling), now);
}

void Swim::report_load(Instant now) {
  if (!own_load_.has_value() || now < next_load_) return;
  LoadReport& report = loads_[self().id];
  const Load load = *std::exchange(own_load_, std::nullopt);
  const Duration period = options_.load_period(roster_.n());
  const bool changed = report.sequence == 0 || report.load != load;
  if (!changed && now < next_load_ + (kUnchangedLoadPeriods - 1) * period) return;
  report = {self().id, self().incarnation, report.sequence + 1, load};
  next_load_ = now + period;
  queue_.put(report);
}

absl::StatusOr<RumourId> Swim::tell(std::string name, std::string payload, Instant now) {
  auto rumour = rumours_.tell(std::move(name), std::move(payload), now);
  if (!rumour.ok()) return rumour.status();
  queue_.put(*rumour);
  return rumour->id;
}

absl::Status Swim::remove(NodeId node, Instant now) {
  if (node == self().id) {
    return absl::InvalidArgumentError("a node cannot remove itself; let it leave, or ask another");
  }
  if (!roster_.remove(node, now)) {
    return absl::NotFoundError("no member has the id " + to_string(node));
  }
  absorb_news(now);
  return absl::OkStatus();
}

void Swim::leave(Instant now) {
  MemberRecord record = self();
  record.state = MemberState::kLeft;
  change_self(record, now);
  // Packets are not answered; whoever answers a call has heard it, and tells it on.
  const std::vector<NodeId>& others = roster_.reachable();
  for (std::size_t i = 0; i < std::min(others.size(), kFarewellCalls); ++i) {
    PushPull all = hashes(false);
    all.members = roster_.views();
    Calling calling;
    calling.tells_all = true;
    call(others[i], members().find(others[i])->peer_address, std::move(all), std::move(calling),
         now);
  }
}

void Swim::stop(Instant now) {
  stopping_ = true;
  queue_.put(Down{self().id, self().incarnation, self().id});
  next_gossip_ = now;
}

bool Swim::told() const {
  return roster_.reachable().empty() || !(queue_.holds({Subject::Kind::kRecord, self().id, 0}) ||
                                          queue_.holds({Subject::Kind::kAccusation, self().id, 0}));
}

// ---- packets ----

void Swim::gossip(Instant now) {
  if (now < next_gossip_ || queue_.empty()) return;
  next_gossip_ = now + options_.gossip_interval;
  std::vector<NodeId> listeners = roster_.reachable();
  for (const NodeId node : roster_.gone_lately(now)) listeners.push_back(node);
  for (const NodeId node : sample(std::move(listeners), options_.gossip_fanout, random_)) {
    send(node, members().find(node)->peer_address, {});
  }
}

void Swim::send(NodeId to, const std::string& address, const std::vector<Message>& messages) {
  PacketWriter packet(options_.cluster, self().id, options_.packet_bytes_max);
  for (const Message& message : messages) packet.add(message);
  if (const auto news = roster_.news_for(to)) packet.add(*news);
  queue_.fill(packet, options_.transmissions(roster_.n()));
  if (!packet.empty()) output_.packets.push_back({to, address, packet.take()});
}

Swim::Output Swim::take_output() {
  return std::exchange(output_, {});
}

Instant Swim::next_deadline() const {
  Instant next{Duration::max()};
  if (!queue_.empty() && roster_.anyone_to_tell()) next = next_gossip_;
  if (stopping_ || self().state != MemberState::kUp) return next;
  if (own_load_.has_value()) next = std::min(next, next_load_);
  return std::min({next, roster_.next_deadline(), prober_.next_deadline(),
                   schedule_.next_deadline(), rumours_.next_deadline()});
}

const Load* Swim::load(NodeId node) const {
  const auto known = loads_.find(node);
  return known == loads_.end() ? nullptr : &known->second.load;
}

}  // namespace grapevine::gossip
