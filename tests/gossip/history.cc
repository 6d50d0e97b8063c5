#include "tests/gossip/history.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grapevine::gossip {
namespace {

constexpr PartitionId kPartition{0};
constexpr std::size_t kHealRoundsMax = 16;
constexpr std::size_t kBackgroundKeys = 200;  // deep enough for a tree of 16 leaves
constexpr NodeId kGone{99};                   // wrote them, and was removed

}  // namespace

History::History(std::uint64_t seed, Flaw flaw) : seed_(seed), flaw_(flaw), random_(seed) {
  const std::uint64_t count[] = {2, 3, 3, 4, 5};
  const std::uint64_t replicas = count[random_.below(5)];
  for (std::uint64_t i = 1; i <= replicas; ++i) {
    replicas_.push_back(std::make_unique<FakeReplica>(NodeId{i}, 1, flaw));
  }
  loss_ = random_.unit();
  misfortunes_ = random_.chance(0.5);
  // Small enough that answers are cut, and one request waits for another.
  if (random_.chance(0.5)) options_.limits.reply_bytes_max = 1 + random_.below(400);
  options_.exchange.pull.requests_in_flight_max = 1 + random_.below(4);
  options_.exchange.pull.keys_per_fetch = 1 + random_.below(3);
  options_.exchange.pull.sketches = random_.chance(0.6);
  options_.exchange.pull.ranges_per_split = 1 + random_.below(3);
  if (random_.chance(0.1)) preload();
  for (const auto& replica : replicas_) copies_.push_back({replica->copy()});
  closing_.settle = Duration(1 + random_.below(10));
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    owners_.push_back(NodeId{i + 1});
    peers_.push_back(
        {std::vector<std::uint64_t>(replicas_.size(), 1), Closing(NodeId{i + 1}, closing_)});
  }
  std::rotate(owners_.begin(),
              owners_.begin() + static_cast<std::ptrdiff_t>(random_.below(owners_.size())),
              owners_.end());
  for (std::size_t i = 0; i < replicas_.size(); ++i) learn(i, peers_[i].epochs);
}

// Keys that all replicas hold, so that there is a tree to descend; some replicas' trees are not
// deep.
void History::preload() {
  FakeReplica writer(kGone);
  for (std::size_t i = 0; i < kBackgroundKeys; ++i) {
    const KeyedEntry written = writer.put(fmt::format("background {}", i), "v");
    for (const auto& replica : replicas_) {
      if (!replica->merge(kPartition, {written}).ok()) broken("preload");
    }
  }
  for (const auto& replica : replicas_) {
    if (random_.chance(0.8)) replica->deepen_tree();
  }
}

std::string History::any_key() {
  return std::string(1, "klm"[random_.below(3)]);
}

std::size_t History::other_than(std::size_t at) {
  return (at + 1 + random_.below(replicas_.size() - 1)) % replicas_.size();
}

std::size_t History::index_of(const GhostlyReplica& replica) const {
  std::size_t i = 0;
  while (replicas_[i].get() != &replica) ++i;
  return i;
}

void History::broken(std::string what) {
  if (!broken_.has_value()) broken_ = fmt::format("seed {}, step {}: {}", seed_, step_, what);
}

std::optional<std::string> History::run() {
  const std::uint64_t steps = 40 + random_.below(200);
  for (; step_ < steps && !broken_.has_value(); ++step_) step();
  if (!broken_.has_value()) heal();
  counts_.writes = events_.size();
  return broken_;
}

void History::step() {
  now_ = now_ + Duration(1);
  const std::size_t at = random_.below(replicas_.size());
  FakeReplica& replica = *replicas_[at];
  const double act = random_.unit();
  if (act < 0.08) {
    call(at, other_than(at));
  } else if (act < 0.11) {
    const std::size_t closer = owners_.front().value - 1;
    if (close_due(closer)) ++counts_.closed;
    check(closer);
  } else if (act < 0.28) {
    write(at);
  } else if (act < 0.33) {
    read(at);
  } else if (act < 0.43) {
    receive_mail();
  } else if (act < 0.50) {
    begin_exchange(at);
  } else if (act < 0.90) {
    move_exchanges();
  } else if (act < 0.92) {
    copies_[at].push_back(replica.copy());
  } else if (act < 0.94) {
    replica.evict(random_, 0.7);
  } else if (act < 0.96) {
    replica.settle();
  } else if (act < 0.98) {
    replica.strip_all();
  } else if (misfortunes_) {
    crash(at);
  }
  check(at);
}

// ---- users ----

History::Read History::read_at(std::size_t at, const std::string& key) const {
  const FakeReplica& replica = *replicas_[at];
  const auto& reached = replica.partition(kPartition).reached;
  const auto ghost = reached.find(key);
  return {key, replica.load(key).vector, ghost == reached.end() ? Reached{} : ghost->second};
}

void History::write(std::size_t at) {
  if (events_.size() == kEventsMax) return;
  FakeReplica& replica = *replicas_[at];
  Read seen{any_key(), {}, {}};
  if (!reads_.empty() && random_.chance(0.6)) {
    const std::size_t recent = std::min<std::size_t>(reads_.size(), 12);
    seen = reads_[reads_.size() - 1 - random_.below(recent)];
  } else if (random_.chance(0.5)) {
    seen = read_at(at, seen.key);
  }
  Event event{{}, seen.key, random_.chance(0.3), seen.seen};
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (seen.seen[i]) event.past |= events_[i].past;
  }
  const KeyedEntry written =
      event.is_delete ? replica.remove(seen.key, seen.context)
                      : replica.put(seen.key, fmt::format("{}", events_.size()), seen.context);
  event.dot = written.events.front();
  Reached reached = event.past;
  reached.set(events_.size());
  replica.reach(seen.key, reached);
  events_.push_back(std::move(event));
  const Reached& all = replica.partition(kPartition).reached.at(seen.key);
  for (std::size_t to = 0; to < replicas_.size(); ++to) {
    if (to != at && !random_.chance(loss_)) mail_.push_back({to, written, all});
  }
}

void History::receive_mail() {
  if (mail_.empty()) return;
  const auto picked = mail_.begin() + static_cast<std::ptrdiff_t>(random_.below(mail_.size()));
  Mail mail = std::move(*picked);
  mail_.erase(picked);
  if (flaw_ != Flaw::kTakesLateMail &&
      peers_[mail.to].closing.ended(mail.entry.events.front().actor)) {
    ++counts_.mail_refused;
    return;
  }
  FakeReplica& to = *replicas_[mail.to];
  to.arriving(std::make_shared<const ReachedByKey>(ReachedByKey{{mail.entry.key, mail.reached}}));
  const absl::Status status = to.merge(kPartition, {std::move(mail.entry)});
  to.arriving(nullptr);
  if (!status.ok()) broken(fmt::format("replication refused: {}", text_of(status)));
  check(mail.to);
}

// ---- exchanges ----

void History::begin_exchange(std::size_t at) {
  const std::size_t other = other_than(at);
  meet(at, other);
  talks_.push_back({std::make_unique<Conversation>(*replicas_[at], *replicas_[other],
                                                   options_between(at, other)),
                    peers_[at].closing.mark(NodeId{other + 1})});
}

// A few messages, whichever they are; now and then one is lost.
void History::move_exchanges() {
  for (std::uint64_t moves = 1 + random_.below(4); moves > 0 && !talks_.empty(); --moves) {
    const std::size_t which = random_.below(talks_.size());
    Conversation& conversation = *talks_[which].conversation;
    if (conversation.under_way() > 0) {
      const std::size_t message = random_.below(conversation.under_way());
      if (random_.chance(0.02)) {
        conversation.lose(message);
      } else {
        conversation.move(message);
      }
      check(index_of(conversation.initiator()));
      if (auto states = conversation.take_states()) {
        talks_.push_back(
            {std::make_unique<Conversation>(*replicas_[index_of(conversation.responder())],
                                            *replicas_[index_of(conversation.initiator())],
                                            *std::move(states), options_),
             std::nullopt});
      }
      if (auto hint = conversation.take_hint()) {
        const std::size_t at = index_of(conversation.responder());
        const std::size_t other = index_of(conversation.initiator());
        talks_.push_back(
            {std::make_unique<Conversation>(*replicas_[at], *replicas_[other], *std::move(hint),
                                            options_between(at, other)),
             peers_[at].closing.mark(NodeId{other + 1})});
      }
    }
    if (talks_[which].conversation->under_way() == 0) finish(which);
  }
}

void History::finish(std::size_t which) {
  const Conversation& over = *talks_[which].conversation;
  if (!over.done()) broken("an exchange waits for nothing and is not done");
  const ExchangeReport& report = over.report();
  if (talks_[which].mark.has_value()) {
    peers_[index_of(over.initiator())].closing.heard(replicas_[index_of(over.responder())]->node(),
                                                     *talks_[which].mark, report.heard_all);
  }
  counts_.delta_pulls += report.delta_pulls;
  counts_.digest_pulls += report.digest_pulls;
  counts_.equal_roots += report.equal_roots;
  counts_.clocks_adopted += report.clocks_adopted;
  counts_.in_flight += report.in_flight;
  counts_.regained += over.asked<FetchRequest>();
  counts_.splits += over.asked<SplitRequest>();
  if (!report.differences.empty()) broken("damage suspected where there is none");
  if (over.views_open() > 0) broken("a view is left open");
  talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(which));
}

// ---- members ----

void History::learn(std::size_t at, const std::vector<std::uint64_t>& epochs) {
  Peer& peer = peers_[at];
  std::vector<MemberRecord> records;
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    peer.epochs[i] = std::max(peer.epochs[i], epochs[i]);
    MemberRecord& record = records.emplace_back();
    record.id = NodeId{i + 1};
    record.epoch = peer.epochs[i];
  }
  MemberRecord& gone = records.emplace_back();
  gone.id = kGone;
  gone.epoch = 1;
  gone.state = MemberState::kRemoved;
  peer.closing.members(records, now_);
}

// Whoever makes a connection says who it is.
void History::meet(std::size_t a, std::size_t b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    std::vector<std::uint64_t> known = peers_[to].epochs;
    known[from] = peers_[from].epochs[from];
    learn(to, known);
  }
}

// A call with the member list, and its answer.
void History::call(std::size_t at, std::size_t other) {
  learn(other, peers_[at].epochs);
  learn(at, peers_[other].epochs);
  peers_[at].closing.told(NodeId{other + 1}, now_);
}

ConversationOptions History::options_between(std::size_t at, std::size_t other) const {
  ConversationOptions options = options_;
  options.exchange.hear_all = [this, at, other](PartitionId id) {
    const FakePartition& partition = replicas_[at]->partition(id);
    return peers_[at].closing.must_hear(NodeId{other + 1}, id, owners_, partition.clock,
                                        partition.tree.root().unquiet > 0);
  };
  return options;
}

// R8. True when something was closed.
bool History::close_due(std::size_t at) {
  const FakePartition& partition = replicas_[at]->partition(kPartition);
  std::vector<ActorId> ends = peers_[at].closing.due(kPartition, owners_, partition.clock,
                                                     partition.tree.root().unquiet > 0, now_);
  if (flaw_ == Flaw::kClosesUnheard) {
    ends.clear();
    for (const auto& [actor, counters] : partition.clock.actors()) {
      if (peers_[at].closing.ended(actor) && !partition.clock.closed(actor)) ends.push_back(actor);
    }
  }
  for (const ActorId last : ends) closes(at, last);
  return !ends.empty();
}

void History::closes(std::size_t at, ActorId last) {
  const auto of_key = [](const FakeReplica& replica, const std::string& key) {
    const ReachedByKey& reached = replica.partition(kPartition).reached;
    const auto ghost = reached.find(key);
    return ghost == reached.end() ? Reached{} : ghost->second;
  };
  bool gap = false;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (event.dot.actor.node() != last.node() || event.dot.actor > last) continue;
    const Reached mine = of_key(*replicas_[at], event.key);
    if (mine[i] || void_[i]) continue;
    gap = true;
    void_.set(i);
    // A client's context may have brought it back, with a later write, which carries it along.
    const auto by_itself = [&](const Reached& held) {
      bool carried = false;
      for (std::size_t j = 0; j < events_.size(); ++j) {
        carried = carried || (held[j] && !mine[j] && events_[j].past[i]);
      }
      return held[i] && !carried;
    };
    const auto complain = [&](std::string_view where) {
      broken(fmt::format("closed: {}:{}, which {}", to_string(event.dot.actor), event.dot.counter,
                         where));
    };
    for (const auto& replica : replicas_) {
      if (by_itself(of_key(*replica, event.key))) complain("a replica holds");
    }
    for (const Mail& mail : mail_) {
      if (mail.entry.key == event.key && by_itself(mail.reached) &&
          !peers_[mail.to].closing.ended(mail.entry.events.front().actor)) {
        complain("is under way");
      }
    }
  }
  counts_.closed_gaps += gap ? 1 : 0;
  if (!replicas_[at]->close_actors(kPartition, last.node(), last.epoch()).ok()) {
    broken("an actor is closed that has not ended");
  }
}

// The process ends, and with it its exchanges; it comes back as it was, with an older state, or
// with entries lost. What was lost does not come back by itself.
void History::crash(std::size_t at) {
  FakeReplica& replica = *replicas_[at];
  for (std::size_t i = talks_.size(); i > 0; --i) {
    Conversation& conversation = *talks_[i - 1].conversation;
    if (&conversation.responder() == &replica) {
      conversation.break_off();
      finish(i - 1);
    } else if (&conversation.initiator() == &replica) {
      talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
  }
  std::vector<FakeReplica::Copy>& copies = copies_[at];
  const double how = random_.unit();
  if (how < 0.2) {
    replica.restore(replica.copy());
  } else if (how < 0.65) {
    copies.resize(1 + random_.below(copies.size()));
    replica.restore(copies.back());
  } else {
    std::set<std::string> lost;
    for (const auto& [place, entry] : replica.partition(kPartition).stored) {
      if (random_.chance(0.5)) lost.insert(place.second);
    }
    replica.lose(lost);
    copies = {replica.copy()};
  }
  for (Peer& peer : peers_) peer.closing.lost(replica.node());
  peers_[at].closing = Closing(replica.node(), closing_);
  std::vector<std::uint64_t> epochs = peers_[at].epochs;
  epochs[at] = replica.actor().epoch();
  learn(at, epochs);
}

// ---- the end ----

void History::heal() {
  while (!talks_.empty() && !broken_.has_value()) move_exchanges();
  bool whole = false;
  for (std::size_t round = 0; round < kHealRoundsMax && !whole && !broken_.has_value(); ++round) {
    // In the first round all learn what has ended; what they hear before that does not count.
    whole = heal_round() && round > 0;
  }
  if (!whole) broken("not all pairs are proven equal, or not all is closed");
  if (!broken_.has_value()) check_end();
}

// True when all pairs are proven equal, and nothing is left to close.
bool History::heal_round() {
  bool all_proven = true;
  now_ = now_ + closing_.settle + Duration(1);
  for (std::size_t a = 0; a < replicas_.size(); ++a) {
    for (std::size_t b = 0; b < replicas_.size(); ++b) {
      if (a == b) continue;
      call(a, b);
      replicas_[a]->settle();
      replicas_[b]->settle();
      const Instant mark = *peers_[a].closing.mark(NodeId{b + 1});
      const ExchangeReport report = push_pull(*replicas_[a], *replicas_[b], options_between(a, b));
      if (!report.status.ok()) broken(fmt::format("exchange: {}", text_of(report.status)));
      if (!report.differences.empty()) broken("damage suspected where there is none");
      peers_[a].closing.heard(NodeId{b + 1}, mark, report.heard_all);
      all_proven = all_proven && report.proven_equal;
      check(a);
      check(b);
    }
  }
  for (const auto& replica : replicas_) replica->strip_all();
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!close_due(i)) continue;
    all_proven = false;
    check(i);
  }
  return all_proven;
}

void History::check_end() {
  for (const auto& replica : replicas_) {
    if (replica->tombstones() > 0) broken("an entry without live versions is left");
    if (!replica->quiet()) broken("an entry is not quiet in the end");
    const FakePartition& mine = replica->partition(kPartition);
    const FakePartition& first = replicas_.front()->partition(kPartition);
    if (mine.clock != first.clock || mine.stored != first.stored) broken("not the same in the end");
    for (const auto& [actor, counters] : mine.clock.actors()) {
      if (!counters.above().empty()) broken("a gap is left in the end");
    }
  }
}

// ---- what must always hold ----

void History::check(std::size_t at) {
  for (const char* const key : {"k", "l", "m"}) check_key(at, key);
  for (std::size_t other = 0; other < replicas_.size(); ++other) {
    if (other != at) check_pair(at, other);
  }
}

void History::check_key(std::size_t at, const std::string& key) {
  const FakeReplica& replica = *replicas_[at];
  const FakePartition& partition = replica.partition(kPartition);
  const auto ghost = partition.reached.find(key);
  const Reached reached = ghost == partition.reached.end() ? Reached{} : ghost->second;
  const model::Entry entry = replica.load(key);
  Reached superseded;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (reached[i]) superseded |= events_[i].past;
  }
  std::size_t live = 0;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (event.key != key) continue;
    const bool maximal = reached[i] && !superseded[i] && !event.is_delete;
    const bool is_live = entry.find(event.dot) != nullptr;
    live += is_live ? 1 : 0;
    const auto name = [&] {
      return fmt::format("replica {}, key {}, write {}:{}", at, key, to_string(event.dot.actor),
                         event.dot.counter);
    };
    if (maximal && !is_live) broken(name() + " is lost (I1)");
    if (!maximal && is_live) broken(name() + " came back (I1)");
    if (!reached[i] && !void_[i] &&
        (entry.vector.covers(event.dot) || partition.clock.contains(event.dot))) {
      broken(name() + " is claimed and never came (I2)");
    }
  }
  if (live != entry.versions.size()) broken(fmt::format("replica {}: a version nobody wrote", at));
}

void History::check_pair(std::size_t at, std::size_t other) {
  const FakePartition& mine = replicas_[at]->partition(kPartition);
  const FakePartition& theirs = replicas_[other]->partition(kPartition);
  const bool certified = mine.tree.root().unquiet == 0 && theirs.tree.root().unquiet == 0 &&
                         mine.clock == theirs.clock;
  if (certified && mine.tree.root().sum != theirs.tree.root().sum) {
    broken(fmt::format("replicas {} and {}: equal clocks, other versions (I3)", at, other));
  }
}

}  // namespace grapevine::gossip
