#include "server/anti_entropy.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "gossip/partition_states.h"
#include "rpc/errors.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {
AntiEntropy::AntiEntropy(rpc::Loop& loop, StoreReplica& replica, Cluster& cluster, PeerLinks& links,
                         Random& random, const gossip::SchedulerOptions& options,
                         std::uint64_t bytes_per_second)
    : loop_(loop),
      replica_(replica),
      cluster_(cluster),
      links_(links),
      scheduler_(options, random),
      settle_(kSettleIntervals * options.interval),
      budget_(bytes_per_second, loop.now()),
      closing_(cluster.self(), gossip::ClosingOptions{settle_}),
      alarm_(loop, [this] { tick(); }) {}

void AntiEntropy::start(bool told_of_peers) {
  told_of_peers_ = told_of_peers;
  members_changed();
  started_ = loop_.now();
  alarm_.set(loop_.now());
}

void AntiEntropy::members_changed() {
  closing_.members(cluster_.members().all(), loop_.now());
  for (const auto& [id, member] : cluster_.members().records()) {
    if (member.state == gossip::MemberState::kUp) continue;
    scheduler_.forget(id);
    differences_.erase(id);
  }
}

bool AntiEntropy::is_member(NodeId peer) const {
  const gossip::MemberRecord* const member = cluster_.members().find(peer);
  return member != nullptr && member->state == gossip::MemberState::kUp;
}

void AntiEntropy::peer_up(NodeId peer) {
  scheduler_.peer_up(peer, loop_.now());
  alarm_.set(scheduler_.next_deadline());
}

void AntiEntropy::peer_down(NodeId peer) {
  scheduler_.peer_down(peer);
}

void AntiEntropy::want(NodeId peer) {
  if (!is_member(peer)) return;
  scheduler_.want(peer, loop_.now());
  alarm_.set(scheduler_.next_deadline());
}

void AntiEntropy::tick() {
  for (const NodeId peer : scheduler_.due(loop_.now())) begin(peer, std::nullopt);
  close_actors();
  trust_again();
  alarm_.set(scheduler_.next_deadline());
}

void AntiEntropy::on_states(NodeId peer, std::vector<gossip::PartitionState> theirs,
                            std::uint64_t slots) {
  if (!is_member(peer) || !scheduler_.claim(peer)) return;
  begin(peer, Told{std::move(theirs), slots});
}

void AntiEntropy::on_compared(NodeId peer, gossip::Hint hint) {
  if (!is_member(peer) || !scheduler_.claim(peer)) return;
  begin(peer, std::nullopt, std::move(hint));
}

void AntiEntropy::begin(NodeId peer, std::optional<Told> theirs, gossip::Hint hint) {
  const std::uint64_t number = ++last_number_;
  tasks_.spawn(links_.reach(cluster_.peer_address(peer), peer)
                   .then(
                       [this, peer, number, theirs = std::move(theirs),
                        hint = std::move(hint)](wire::Peer::Client link) mutable {
                         gossip::ExchangeOptions options;
                         options.may_pull = [this](PartitionId partition) {
                           return std::none_of(running_.begin(), running_.end(),
                                               [&](const auto& other) {
                                                 return other.second->exchange.pulls(partition);
                                               });
                         };
                         options.hear_all = [this, peer](PartitionId partition) {
                           return must_hear(peer, partition);
                         };
                         options.compares = cluster_.protocol_with(peer) >= 2;
                         options.settle = [this, peer](PartitionId partition) {
                           return must_settle(peer, partition);
                         };
                         const auto mark = theirs.has_value() ? std::nullopt : closing_.mark(peer);
                         auto exchange =
                             theirs.has_value()
                                 ? gossip::Exchange::from_states(
                                       replica_, std::move(theirs->states), theirs->slots, options)
                                 : gossip::Exchange(replica_, cluster_.shared_with(peer), options,
                                                    std::move(hint));
                         running_[peer] = std::make_unique<Running>(Running{
                             peer, number, mark, std::move(exchange),
                             ExchangeCalls(kj::mv(link),
                                           [this](std::size_t bytes) { budget_.settle(bytes); })});
                         drain(peer, number);
                       },
                       [this, peer](kj::Exception&& exception) {
                         gossip::ExchangeReport report;
                         report.status = rpc::to_status(exception);
                         end(peer, report);
                       }));
}

AntiEntropy::Running* AntiEntropy::find(NodeId peer, std::uint64_t number) {
  const auto found = running_.find(peer);
  return found != running_.end() && found->second->number == number ? found->second.get() : nullptr;
}

// Carries out what an exchange wants; when it is done, lets go of it.
void AntiEntropy::drain(NodeId peer, std::uint64_t number) {
  Running* const running = find(peer, number);
  if (running == nullptr) return;
  gossip::Exchange::Output output = running->exchange.take_output();
  for (const auto& request : output.requests) {
    tasks_.spawn(within_budget(request.body)
                     .then([this, peer, number, to = request.number,
                            body = request.body]() mutable -> kj::Promise<gossip::ExchangeReply> {
                       Running* const asked = find(peer, number);
                       if (asked == nullptr) {
                         return rpc::to_exception(absl::CancelledError("the exchange has ended"));
                       }
                       return asked->calls.make(to.partition, body);
                     })
                     .then(
                         [this, peer, number, to = request.number,
                          body = request.body](gossip::ExchangeReply reply) {
                           hand_over(peer, number, to, body, std::move(reply));
                         },
                         [this, peer, number, to = request.number](kj::Exception&& exception) {
                           Running* const asked = find(peer, number);
                           if (asked == nullptr) return;
                           asked->exchange.on_failure(to, rpc::to_status(exception));
                           drain(peer, number);
                         }));
  }
  for (const PartitionId partition : output.close_views) running->calls.close_view(partition);
  if (!running->exchange.done()) return;
  const gossip::ExchangeReport report = running->exchange.report();
  if (running->mark.has_value()) closing_.heard(peer, *running->mark, report.heard_all);
  for (const PartitionId partition : report.heard_all) {
    if (replica_.suspect(partition)) lost_entries_heard_[partition].insert(peer);
  }
  running_.erase(peer);
  end(peer, report);
}

// The exchange reads what it merges or lists: that is brought into memory first.
void AntiEntropy::hand_over(NodeId peer, std::uint64_t number,
                            const gossip::Exchange::RequestNumber& to,
                            const gossip::ExchangeRequest& request, gossip::ExchangeReply reply) {
  // A pull may end while its answer waits here: then the exchange does not know it any more.
  const auto shared = std::make_shared<gossip::ExchangeReply>(std::move(reply));
  replica_.warm_for(to.partition, request, *shared, [this, peer, number, to, shared] {
    Running* const asked = find(peer, number);
    if (asked == nullptr) return;
    asked->exchange.on_reply(to, std::move(*shared));
    drain(peer, number);
  });
}

// Requests that bring entries wait until what came before is paid for.
kj::Promise<void> AntiEntropy::within_budget(const gossip::ExchangeRequest& request) {
  const auto* const compare = std::get_if<gossip::CompareRequest>(&request);
  const bool brings_entries =
      (compare != nullptr && compare->cells.size() != gossip::Comparison::kFirstCells) ||
      std::holds_alternative<gossip::DeltaRequest>(request) ||
      std::holds_alternative<gossip::PullRequest>(request) ||
      std::holds_alternative<gossip::FetchRequest>(request) ||
      std::holds_alternative<gossip::SketchRequest>(request);
  const Duration wait = brings_entries ? budget_.ask(loop_.now()) : Duration::zero();
  if (wait == Duration::zero()) return kj::READY_NOW;
  return loop_.after(wait).then([this, request] { return within_budget(request); });
}

void AntiEntropy::end(NodeId peer, const gossip::ExchangeReport& report) {
  scheduler_.ended(peer, report, loop_.now());
  ++counters_.exchanges;
  counters_.failed += report.status.ok() ? 0 : 1;
  counters_.proven_equal += report.proven_equal ? 1 : 0;
  counters_.comparisons += report.comparisons;
  counters_.delta_pulls += report.delta_pulls;
  counters_.digest_pulls += report.digest_pulls;
  counters_.sketch_pulls += report.sketch_pulls;
  counters_.sketches_undecoded += report.undecoded;
  counters_.equal_roots += report.equal_roots;
  counters_.keys_pulled += report.keys_pulled;
  counters_.bytes_pulled += report.bytes_pulled;
  if (!report.status.ok()) {
    spdlog::debug("exchange with {}: {}", to_string(peer), text_of(report.status));
  } else if (report.progress()) {
    spdlog::info(
        "pulled {} keys ({} bytes) from {}: {}{} delta, {} digest pulls, {} clocks adopted",
        report.keys_pulled, report.bytes_pulled, to_string(peer),
        report.comparisons > 0 ? "by comparing, " : "", report.delta_pulls, report.digest_pulls,
        report.clocks_adopted);
  }
  if (report.status.ok()) judge_differences(peer, report);
  alarm_.set(scheduler_.next_deadline());
}

void AntiEntropy::judge_differences(NodeId peer, const gossip::ExchangeReport& report) {
  if (!is_member(peer)) return;
  std::map<PartitionId, Difference>& known = differences_[peer];
  std::map<PartitionId, Difference> now;
  std::size_t standing = 0;
  for (const auto& [partition, sum] : report.differences) {
    Difference difference{sum, loop_.now()};
    const auto before = known.find(partition);
    if (before != known.end() && before->second.sum == sum) difference = before->second;
    if (!difference.stands && loop_.now() - difference.since >= kDamageTime) {
      difference.stands = true;
      ++standing;
    }
    now.emplace(partition, difference);
  }
  // Writes on their way are no answer.
  for (const PartitionId partition : report.other_clocks) {
    const auto before = known.find(partition);
    if (before != known.end()) now.insert(*before);
  }
  known = std::move(now);
  counters_.differences_settled += report.settled;
  if (report.settled > 0) {
    spdlog::warn(
        "{} partitions held other data here than at node {} under equal clocks; what is stored "
        "there adds up, so what it knew to be superseded is so here, too",
        report.settled, to_string(peer));
  }
  if (standing == 0) return;
  counters_.damage_suspected += standing;
  spdlog::error(
      "{} partitions hold other data here than at node {} under equal clocks: one of the two has "
      "lost something; both read all of it, and who finds nothing wrong is believed",
      standing, to_string(peer));
  want(peer);
}

// A partition that has lost entries knows that the difference is its own.
bool AntiEntropy::must_settle(NodeId peer, PartitionId partition) const {
  if (replica_.suspect(partition)) return true;
  const auto known = differences_.find(peer);
  if (known == differences_.end()) return false;
  const auto difference = known->second.find(partition);
  return difference != known->second.end() && difference->second.stands;
}

bool AntiEntropy::must_hear(NodeId peer, PartitionId partition) const {
  if (replica_.suspect(partition)) return true;
  const gossip::PartitionView& live = replica_.live(partition);
  return closing_.must_hear(peer, partition, cluster_.owners(partition), live.clock(),
                            live.share(live.range())->unquiet > 0);
}

bool AntiEntropy::must_hear_any(NodeId peer) const {
  const std::vector<PartitionId> shared = cluster_.shared_with(peer);
  return std::any_of(shared.begin(), shared.end(),
                     [&](PartitionId partition) { return must_hear(peer, partition); });
}

void AntiEntropy::on_summary(NodeId peer, const gossip::Summary& theirs) {
  if (!is_member(peer)) return;
  const bool equal = theirs == gossip::summarize(replica_, cluster_.shared_with(peer));
  if (equal) {
    ++counters_.proven_equal;
    differences_.erase(peer);
    proven_equal(peer);
  }
  scheduler_.told(peer, equal && !must_hear_any(peer), loop_.now());
}

// R9: a partition that had lost entries is whole again when every other owner has brought what it
// has. One that cannot be reached is waited for only for a while: what it alone holds comes later, as
// after any outage. A node that was told of others and knows none may have forgotten them, too.
void AntiEntropy::trust_again() {
  if (!replica_.any_suspect()) return;
  const bool patient = loop_.now() < started_ + kLostEntriesPatience;
  for (std::uint32_t i = 0; i < cluster_.partition_count(); ++i) {
    const PartitionId partition{i};
    if (!replica_.suspect(partition)) continue;
    const std::set<NodeId>& heard = lost_entries_heard_[partition];
    const std::vector<NodeId>& owners = cluster_.owners(partition);
    const bool alone =
        !told_of_peers_ && std::all_of(owners.begin(), owners.end(),
                                       [&](NodeId owner) { return owner == cluster_.self(); });
    const bool missing = std::any_of(owners.begin(), owners.end(), [&](NodeId owner) {
      return owner != cluster_.self() && !heard.contains(owner) &&
             (patient || cluster_.reachable(owner));
    });
    if (missing || (heard.empty() && !alone)) continue;
    if (const absl::Status status = replica_.trust_again(partition); !status.ok()) {
      spdlog::error("{}", text_of(status));
      return;
    }
    lost_entries_heard_.erase(partition);
    ++counters_.partitions_recovered;
  }
  if (!replica_.any_suspect()) {
    spdlog::info("what was lost to damage is back, as far as other nodes have it");
  }
}

// Who owned a partition once may alone hold writes of an actor that has ended, and no exchange hears
// it: it hands them over (handover.h) soon after it has come up. So nothing is closed while a member
// is away, or was lately.
bool AntiEntropy::all_have_been_up() const {
  const auto& records = cluster_.members().records();
  return std::all_of(records.begin(), records.end(), [this](const auto& it) {
    const auto& [id, member] = it;
    return member.state != gossip::MemberState::kUp || id == cluster_.self() ||
           (cluster_.reachable(id) && cluster_.since(id) >= settle_);
  });
}

// R8, where this node is to do it.
void AntiEntropy::close_actors() {
  if (!all_have_been_up() && !GRAPEVINE_FLAW(closes_without_hearing)) return;
  const std::uint32_t count = cluster_.partition_count();
  std::size_t closed = 0;
  for (std::uint32_t i = 0; i < count && closed < kClosesAtOnce; ++i) {
    const PartitionId partition{close_next_};
    close_next_ = (close_next_ + 1) % count;
    const gossip::PartitionView& live = replica_.live(partition);
    const bool unquiet = live.share(live.range())->unquiet > 0;
    for (const ActorId last :
         closing_.due(partition, cluster_.owners(partition), live.clock(), unquiet, loop_.now())) {
      const absl::Status status = replica_.close_actors(partition, last.node(), last.epoch());
      if (!status.ok()) {
        spdlog::debug("actors up to {} not closed: {}", to_string(last), text_of(status));
        return;
      }
      ++closed;
      ++counters_.actors_closed;
      std::uint64_t& logged = closed_[last.node()];
      if (logged >= last.epoch()) continue;
      logged = last.epoch();
      spdlog::info("node {}: its writes up to epoch {} are closed", to_string(last.node()),
                   last.epoch());
    }
  }
}

void AntiEntropy::proven_equal(NodeId peer) {
  if (is_member(peer)) scheduler_.proven(peer, loop_.now());
}

AntiEntropy::RepairReport AntiEntropy::repaired(Instant since,
                                                const AntiEntropyCounters& before) const {
  RepairReport report;
  report.finished = true;
  for (const gossip::MemberRecord& member : cluster_.members().all()) {
    if (member.id == cluster_.self() || member.state != gossip::MemberState::kUp) continue;
    ++report.peers;
    const auto peer = scheduler_.peers().find(member.id);
    const bool proven = peer != scheduler_.peers().end() && peer->second.proven_equal.has_value() &&
                        *peer->second.proven_equal >= since;
    const bool reachable = cluster_.reachable(member.id);
    report.unreachable += reachable ? 0 : 1;
    report.proven_equal += proven ? 1 : 0;
    if (reachable && !proven) report.finished = false;
  }
  report.keys_pulled = counters_.keys_pulled - before.keys_pulled;
  report.bytes_pulled = counters_.bytes_pulled - before.bytes_pulled;
  return report;
}

kj::Promise<void> AntiEntropy::until_repaired(Instant since) {
  if (repaired(since, counters_).finished) return kj::READY_NOW;
  for (const auto& [peer, known] : scheduler_.peers()) {
    if (!known.proven_equal.has_value() || *known.proven_equal < since) want(peer);
  }
  return loop_.after(gossip::Scheduler::kAgainAfter).then([this, since] {
    return until_repaired(since);
  });
}

kj::Promise<AntiEntropy::RepairReport> AntiEntropy::repair(Duration timeout) {
  const Instant since = loop_.now();
  const AntiEntropyCounters before = counters_;
  return until_repaired(since).exclusiveJoin(loop_.after(timeout)).then([this, since, before] {
    return repaired(since, before);
  });
}

}  // namespace grapevine::server
