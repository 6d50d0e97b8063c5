#include "server/cluster.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "gossip/placement.h"
#include "rpc/errors.h"
#include "server/wire.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {
namespace {

constexpr const char* kMembersNote = "members";

std::uint64_t first_rumour(const rpc::Loop& loop) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(loop.time().wall_now().unix_ms, 0));
}

}  // namespace

std::vector<gossip::MemberRecord> remembered_members(const storage::Store& store) {
  const auto note = store.note(kMembersNote);
  if (!note.ok() || !note->has_value()) return {};
  auto records = gossip::MemberList::decode(**note);
  if (records.ok()) return *std::move(records);
  spdlog::warn("{}: forgotten, it is learnt anew", text_of(records.status()));
  return {};
}

Cluster::Cluster(rpc::Loop& loop, storage::Store& store, PeerLinks& links, Random& random,
                 Parts parts, Handlers handlers)
    : loop_(loop),
      store_(store),
      links_(links),
      options_(parts.options),
      replication_factor_(parts.replication_factor),
      handlers_(std::move(handlers)),
      datagrams_(std::move(parts.datagrams)),
      seal_(std::move(parts.seal)),
      swim_(std::move(parts.self), std::move(parts.seeds), remembered_members(store), options_,
            random, first_rumour(loop), loop.now()),
      alarm_(loop,
             [this] {
               swim_.tick(loop_.now());
               drain();
             }),
      check_alarm_(loop, [this] { check_a_link(); }) {
  swim_.summarize_with([this](NodeId node) -> std::optional<gossip::Summary> {
    if (!neighbours_.contains(node) || protocol_with(node) < 2) return std::nullopt;
    return handlers_.summarize(node);
  });
  recompute_owners();
}

Cluster::~Cluster() noexcept = default;

void Cluster::start() {
  // The incarnation of this life is kept before anybody hears of it.
  const absl::Status kept = store_.put_note(kMembersNote, members().encode());
  if (!kept.ok()) spdlog::warn("member list not kept: {}", text_of(kept));
  datagrams_->start(
      [this](const rpc::Address& from, std::string_view bytes) { on_packet(from, bytes); });
  alarm_.set(loop_.now());
  check_alarm_.set(loop_.now() + options_.probe_interval);
}

kj::Promise<void> Cluster::stop() {
  swim_.stop(loop_.now());
  return until_told(kFarewellTime);
}

void Cluster::stop_silently() {
  datagrams_->stop();
}

kj::Promise<bool> Cluster::leave() {
  left_ = loop_.now();
  swim_.leave(*left_);
  return until_told(kLeaveTime).then([this] { return heard_leaving_; });
}

kj::Promise<void> Cluster::until_told(Duration timeout) {
  auto told = kj::newPromiseAndFulfiller<void>();
  wants_told_ = kj::mv(told.fulfiller);
  drain();
  return told.promise.exclusiveJoin(loop_.after(timeout));
}

// ---- coming and going ----

absl::Status Cluster::may_leave() const {
  if (members().self().state != gossip::MemberState::kUp) {
    return absl::FailedPreconditionError("this node is no member any more");
  }
  for (std::uint32_t i = 0; i < owners_.size(); ++i) {
    if (!owns(self(), PartitionId{i})) continue;
    const bool kept = std::any_of(owners_[i].begin(), owners_[i].end(), [&](NodeId owner) {
      return owner != self() && reachable(owner);
    });
    if (kept) continue;
    return absl::FailedPreconditionError(fmt::format(
        "partition {} has no other owner that can be reached, so its data would go with this node; "
        "bring the others back first, or export the data and stop it",
        i));
  }
  return absl::OkStatus();
}

absl::Status Cluster::remove(NodeId node) {
  if (node != self() && reachable(node)) {
    return absl::FailedPreconditionError(
        fmt::format("node {} answers: have it leave (grapevine node leave), or stop it first",
                    to_string(node)));
  }
  const absl::Status removed = swim_.remove(node, loop_.now());
  drain();
  return removed;
}

absl::Status Cluster::tell(const std::string& name, const std::string& payload) {
  if (name.empty()) return absl::InvalidArgumentError("an event needs a name of 1 to 64 bytes");
  const auto told = swim_.tell(name, payload, loop_.now());
  if (!told.ok()) return told.status();
  handlers_.on_rumour({*told, 0, name, payload});
  drain();
  return absl::OkStatus();
}

absl::Status Cluster::replace(NodeId node) {
  const gossip::MemberRecord* const gone = members().find(node);
  if (gone == nullptr || node == self() || reachable(node)) return remove(node);
  const NodeId place = gone->place.valid() ? gone->place : node;
  for (const auto& [id, member] : members().records()) {
    if (id == node || member.state != gossip::MemberState::kUp) continue;
    if (member.place != place && id != place) continue;
    return absl::FailedPreconditionError(
        fmt::format("node {} ({}) has taken the place of {} already", member.name, to_string(id),
                    to_string(node)));
  }
  gossip::MemberRecord record = members().self();
  record.place = place;
  swim_.change_self(record, loop_.now());
  return remove(node);
}

void Cluster::on_packet(const rpc::Address& from, std::string_view bytes) {
  ++counters_.packets_received;
  const auto packet = seal_.open(bytes);
  if (!packet.ok()) {
    ++counters_.packets_unsealed;
    return;
  }
  swim_.on_packet(rpc::to_string(from), *packet, loop_.now());
  drain();
}

void Cluster::drain() {
  gossip::Swim::Output output = swim_.take_output();
  if (output.later_epoch > members().self().epoch) handlers_.on_later_epoch(output.later_epoch);
  if (!output.changed.empty()) {
    recompute_owners();
    const absl::Status kept = store_.put_note(kMembersNote, members().encode());
    if (!kept.ok()) spdlog::warn("member list not kept: {}", text_of(kept));
    handlers_.on_changed();
  }
  for (const NodeId node : output.came_up) {
    say_up(node);
    handlers_.on_up(node);
    if (neighbours_.contains(node)) {
      unchecked_.insert(node);
      check_alarm_.set(loop_.now());
    }
  }
  for (const NodeId node : output.went_down) {
    say_down(node);
    links_.drop(node);
    handlers_.on_down(node);
  }
  for (gossip::Rumour& rumour : output.rumours) handlers_.on_rumour(std::move(rumour));
  for (const std::string& address : output.elsewhere) {
    if (complaints_.worth_saying("elsewhere " + address, loop_.now())) {
      handlers_.on_elsewhere(address);
    }
  }
  for (const gossip::Swim::Told& told : output.told) {
    handlers_.on_told(told.node, told.begun);
    if (left_.has_value() && told.begun >= *left_) heard_leaving_ = true;
  }
  for (const auto& [node, summary] : output.summaries) {
    if (neighbours_.contains(node)) handlers_.on_summary(node, summary);
  }
  for (const gossip::Swim::Datagram& packet : output.packets) {
    ++counters_.packets_sent;
    datagrams_->send(packet.address, seal_.seal(packet.bytes));
  }
  for (gossip::Swim::Call& call : output.calls) make(std::move(call));
  if (removed(self()) && !std::exchange(told_removed_, true)) handlers_.on_removed();
  KJ_IF_MAYBE (wanting, wants_told_) {
    if (left_.has_value() ? heard_leaving_ : swim_.told()) (*wanting)->fulfill();
  }
  alarm_.set(swim_.next_deadline());
}

void Cluster::say_up(NodeId node) const {
  spdlog::info("node {} ({}) is up", members().find(node)->name, to_string(node));
}

void Cluster::say_down(NodeId node) const {
  const gossip::MemberRecord& member = *members().find(node);
  const char* what = "does not answer";
  if (member.state == gossip::MemberState::kLeft) what = "has left the cluster";
  if (member.state == gossip::MemberState::kRemoved) what = "was removed from the cluster";
  spdlog::warn("node {} ({}) {}", member.name, to_string(node), what);
}

// ---- calls ----

void Cluster::make(gossip::Swim::Call call) {
  const Duration limit = call.push_pull.has_value() ? kSyncTime : options_.probe_timeout;
  const Made made{call, !links_.linked(call.address), links_.bytes_received(call.address),
                  loop_.now() + limit};
  auto late = loop_.after(limit).then([]() -> std::optional<gossip::PushPull> {
    kj::throwFatalException(rpc::to_exception(absl::UnavailableError("no answer in time")));
  });
  tasks_.spawn(
      links_.reach(call.address, call.to)
          .then([this, call](wire::Peer::Client peer) { return carry_out(kj::mv(peer), call); })
          .exclusiveJoin(kj::mv(late))
          .then(
              [this, number = call.number](std::optional<gossip::PushPull> answer) {
                if (answer.has_value()) {
                  swim_.on_synced(number, *answer, loop_.now());
                } else {
                  swim_.on_answered(number, loop_.now());
                }
                drain();
              },
              [this, made](kj::Exception&& exception) {
                failed(made, exception);
                drain();
              }));
}

kj::Promise<std::optional<gossip::PushPull>> Cluster::carry_out(wire::Peer::Client peer,
                                                                const gossip::Swim::Call& call) {
  auto request = peer.syncRequest();
  if (!call.push_pull.has_value()) {
    return request.send().then([](auto&&) -> std::optional<gossip::PushPull> { return {}; });
  }
  request.setState(bytes_of(gossip::encode_push_pull(*call.push_pull)));
  return request.send().then([](auto&& reply) -> std::optional<gossip::PushPull> {
    auto answer = gossip::decode_push_pull(view(reply.getState()));
    rpc::throw_if_error(answer.status());
    return *std::move(answer);
  });
}

void Cluster::failed(const Made& made, const kj::Exception& exception) {
  const gossip::Swim::Call& call = made.call;
  const absl::Status status = rpc::to_status(exception);
  const std::string text(text_of(status));
  if (!absl::IsFailedPrecondition(status)) {
    spdlog::debug("call of {}: {}", call.address, text);
  } else if (complaints_.worth_saying(text, loop_.now())) {
    spdlog::error("{}", text);
  }
  const bool timed_out = loop_.now() >= made.ends;
  // The link may lead nowhere, with nobody to say so: the next call dials anew.
  const bool silent = links_.bytes_received(call.address) == made.bytes_before;
  if (timed_out && silent && call.push_pull.has_value() &&
      !GRAPEVINE_FLAW(keeps_links_to_nowhere)) {
    links_.drop(call.address);
  }
  // Somebody else may have come to live there: that is FailedPrecondition.
  const bool refused = rpc::is_refusal(exception) || absl::IsFailedPrecondition(status);
  if (made.fresh && !timed_out && refused) {
    swim_.on_refused(call.number, loop_.now());
  } else {
    swim_.on_failure(call.number, loop_.now());
  }
}

void Cluster::check_a_link() {
  check_alarm_.set(loop_.now() + options_.probe_interval);
  if (!unchecked_.empty()) {
    for (const NodeId node : std::exchange(unchecked_, {})) {
      if (reachable(node)) swim_.check(node, loop_.now());
    }
    drain();
    return;
  }
  std::vector<NodeId> up;
  for (const gossip::MemberRecord& member : members().all()) {
    const bool used = neighbours_.contains(member.id) || links_.linked(member.peer_address);
    if (member.id != self() && used && reachable(member.id)) up.push_back(member.id);
  }
  if (up.empty()) return;
  std::sort(up.begin(), up.end());
  // In turn.
  const auto next = std::upper_bound(up.begin(), up.end(), last_checked_);
  last_checked_ = next == up.end() ? up.front() : *next;
  swim_.check(last_checked_, loop_.now());
  drain();
}

void Cluster::set_load(const gossip::Load& load) {
  swim_.set_load(load);
  alarm_.set(swim_.next_deadline());
}

std::uint32_t Cluster::busy(NodeId node) const {
  constexpr std::uint32_t kQueueStep = 64;
  constexpr std::uint32_t kCpuStep = 30;
  const gossip::Load* const load = swim_.load(node);
  return load == nullptr ? 0 : load->queue_depth / kQueueStep + load->cpu_percent / kCpuStep;
}

// ---- placement ----

void Cluster::recompute_owners() {
  const std::vector<gossip::MemberRecord> all = members().all();
  owners_.clear();
  neighbours_.clear();
  for (std::uint32_t i = 0; i < store_.partitioning().count(); ++i) {
    owners_.push_back(gossip::owners(PartitionId{i}, all, replication_factor_));
    if (owns(self(), PartitionId{i})) {
      neighbours_.insert(owners_.back().begin(), owners_.back().end());
    }
  }
  neighbours_.erase(self());
}

bool Cluster::owns(NodeId node, PartitionId partition) const {
  const std::vector<NodeId>& list = owners(partition);
  return std::find(list.begin(), list.end(), node) != list.end();
}

std::vector<PartitionId> Cluster::shared_with(NodeId peer) const {
  std::vector<PartitionId> shared;
  for (std::uint32_t i = 0; i < owners_.size(); ++i) {
    const PartitionId partition{i};
    if (owns(self(), partition) && owns(peer, partition)) shared.push_back(partition);
  }
  return shared;
}

std::string Cluster::peer_address(NodeId node) const {
  const gossip::MemberRecord* const member = members().find(node);
  return member == nullptr ? std::string() : member->peer_address;
}

std::uint32_t Cluster::protocol_with(NodeId node) const {
  const gossip::MemberRecord* const member = members().find(node);
  const gossip::ProtocolRange& mine = members().self().protocols;
  return member == nullptr ? mine.min : common_protocol(mine, member->protocols);
}

bool Cluster::removed(NodeId node) const {
  const gossip::MemberRecord* const member = members().find(node);
  return member != nullptr && member->state == gossip::MemberState::kRemoved;
}

// ---- what happens ----

gossip::PushPull Cluster::on_push_pull(const gossip::PushPull& call) {
  gossip::PushPull answer = swim_.on_push_pull(call, loop_.now());
  drain();
  return answer;
}

void Cluster::on_connection_lost(NodeId node) {
  swim_.on_connection_lost(node);
  drain();
}

void Cluster::change_epoch(std::uint64_t epoch) {
  gossip::MemberRecord record = members().self();
  record.epoch = epoch;
  swim_.change_self(record, loop_.now());
  drain();
}

}  // namespace grapevine::server
