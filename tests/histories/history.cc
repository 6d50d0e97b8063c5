#include "tests/histories/history.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>
#include <xxhash.h>

#include "gossip/responder.h"

namespace grapevine::histories {

// A row of the table of steps: adding a kind is adding a row and a function.
struct StepKind {
  const char* name;
  unsigned weight;
  bool misfortune;  // only in histories that have them
  void (History::*run)(Random&);

  static const std::vector<StepKind>& all() {
    static const std::vector<StepKind> kinds{
        {"write", 26, false, &History::write},
        {"read", 8, false, &History::read},
        {"deliver", 12, false, &History::deliver},
        {"begin exchange", 7, false, &History::begin_exchange},
        {"move exchanges", 34, false, &History::move_exchanges},
        {"let time pass", 3, false, &History::let_time_pass},
        {"forget dots", 2, false, &History::forget_dots},
        {"upkeep", 3, false, &History::upkeep},
        {"sync", 5, false, &History::sync},
        {"stop", 1, true, &History::stop},
        {"kill", 1, true, &History::kill},
        {"lose power", 2, true, &History::lose_power},
        {"back up", 2, true, &History::back_up},
        {"restore", 1, true, &History::restore},
        {"read badly", 3, true, &History::read_badly},
    };
    return kinds;
  }
};

namespace {

constexpr std::size_t kHealRoundsMax = 12;
constexpr std::size_t kBackgroundKeys = 200;   // deep enough for a tree of 16 leaves
constexpr std::uint64_t kBackgroundNode = 99;  // wrote them, and has ended
constexpr std::size_t kRecent = 12;

std::string name_of(model::Dot dot) {
  return fmt::format("{}.{}:{}", to_string(dot.actor.node()).substr(0, 3), dot.actor.epoch(),
                     dot.counter);
}

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  writes += other.writes;
  retries_recognised += other.retries_recognised;
  messages += other.messages;
  delta_pulls += other.delta_pulls;
  digest_pulls += other.digest_pulls;
  equal_roots += other.equal_roots;
  clocks_adopted += other.clocks_adopted;
  regained += other.regained;
  splits += other.splits;
  in_flight += other.in_flight;
  stops += other.stops;
  kills += other.kills;
  power_losses += other.power_losses;
  fallen_back += other.fallen_back;
  restores += other.restores;
  bad_reads += other.bad_reads;
  closed_gaps += other.closed_gaps;
  return *this;
}

Plan Plan::of(std::uint64_t seed) {
  Random random(seed);
  Plan plan{random.next(), {}};
  const bool misfortunes = random.chance(0.6);
  unsigned weights = 0;
  for (const StepKind& kind : StepKind::all()) {
    if (misfortunes || !kind.misfortune) weights += kind.weight;
  }
  const std::uint64_t steps = 20 + random.below(120);
  while (plan.steps.size() < steps) {
    std::uint64_t drawn = random.below(weights);
    for (std::size_t i = 0; i < StepKind::all().size(); ++i) {
      const StepKind& kind = StepKind::all()[i];
      if (kind.misfortune && !misfortunes) continue;
      if (drawn < kind.weight) {
        plan.steps.push_back({i, random.next()});
        break;
      }
      drawn -= kind.weight;
    }
  }
  return plan;
}

History::History(LossyDisk& disk, const Plan& plan)
    : disk_(disk), plan_(plan), keys_{"k", "l", "m"} {
  Random random(plan.seed);
  const std::uint64_t count[] = {2, 3, 3, 4, 5};
  const std::uint64_t replicas = count[random.below(5)];
  storage::StoreOptions options;
  const std::uint32_t partitions[] = {1, 1, 1, 2, 4};
  options.partitions = partitions[random.below(5)];
  options.memtable_bytes = std::size_t{64} << 10;
  options.block_cache_bytes = 0;  // every read of a table is one of the disk
  options.dot_log_bytes = random.chance(0.2) ? 600 * options.partitions : std::size_t{1} << 20;
  loss_ = random.unit();
  // Small enough that answers are cut, and one request waits for another.
  if (random.chance(0.5)) options_.limits.reply_bytes_max = 1 + random.below(400);
  options_.exchange.pull.requests_in_flight_max = 1 + random.below(4);
  options_.exchange.pull.keys_per_fetch = 1 + random.below(3);
  options_.exchange.pull.ranges_per_split = 1 + random.below(3);
  time_.advance(std::chrono::hours(1));
  for (std::size_t i = 0; i < replicas; ++i) {
    replicas_.push_back(
        std::make_unique<StoredReplica>(disk_, time_, i, plan.seed + i + 1, options));
    backups_.emplace_back();
    open(i);
  }
  if (random.chance(0.05) && !broken_.has_value()) preload(random);
}

// Keys that all replicas hold, so that there is a tree to descend; some replicas' trees are not
// deep.
void History::preload(Random& random) {
  std::vector<model::KeyedEntry> written;
  const ActorId writer = storage::actor(kBackgroundNode);
  std::map<PartitionId, std::uint64_t> counters;
  const model::Partitioning partitioning = replicas_.front()->store().partitioning();
  for (std::size_t i = 0; i < kBackgroundKeys; ++i) {
    const std::string key = fmt::format("background {}", i);
    const model::Dot dot{writer, ++counters[partitioning.of(key)]};
    written.push_back({key, storage::filled_entry({storage::version_of(dot, "v")}), {}});
  }
  for (const auto& replica : replicas_) {
    if (!went_well(replica->receive(written, {}), "preloading")) return;
    while (random.chance(0.9)) {
      const auto more = replica->store().upkeep(50);
      if (!went_well(more.status(), "upkeep") || !*more) break;
      replica->sync();
    }
  }
}

std::size_t History::other_than(std::size_t at, Random& random) const {
  return (at + 1 + random.below(replicas_.size() - 1)) % replicas_.size();
}

std::size_t History::index_of(const gossip::GhostlyReplica& replica) const {
  std::size_t i = 0;
  while (replicas_[i].get() != &replica) ++i;
  return i;
}

void History::broken(std::string what) {
  if (!broken_.has_value()) broken_ = fmt::format("step {}: {}", step_, what);
}

bool History::went_well(const absl::Status& status, std::string_view what) {
  if (status.ok()) return true;
  if (!reads_go_bad_) broken(fmt::format("{}: {}", what, text_of(status)));
  return false;
}

void History::note(std::string line) {
  trace_hash_ = XXH3_64bits_withSeed(line.data(), line.size(), trace_hash_);
  trace_.push_back(fmt::format("{:3} {}", step_, line));
}

std::optional<std::string> History::run() {
  for (; step_ < plan_.steps.size() && !broken_.has_value(); ++step_) {
    const Step& step = plan_.steps[step_];
    Random random(step.seed);
    (this->*StepKind::all()[step.kind].run)(random);
    const bool trees = random.chance(0.1);
    for (const std::size_t at : touched_) check(at, trees);
    touched_.clear();
  }
  if (!broken_.has_value()) heal();
  counts_.writes = events_.size();
  return broken_;
}

// ---- users ----

History::Read History::read_at(std::size_t at, const std::string& key) {
  const auto entry = replicas_[at]->store().load(key, model::Values::kWithout);
  if (!went_well(entry.status(), "reading")) return {key, {}, {}};
  return {key, entry->vector, replicas_[at]->reached(key)};
}

void History::read(Random& random) {
  const std::size_t at = any_replica(random);
  reads_.push_back(read_at(at, any_key(random)));
  note(fmt::format("{} reads {}", at, reads_.back().key));
}

History::Attempt History::draw_attempt(std::size_t at, Random& random) {
  if (!attempts_.empty() && random.chance(0.1)) {
    const std::size_t recent = std::min(attempts_.size(), kRecent);
    return attempts_[attempts_.size() - 1 - random.below(recent)];
  }
  Attempt attempt;
  attempt.key = any_key(random);
  attempt.write_id = ++last_write_id_;
  if (random.chance(0.7)) attempt.value = fmt::format("value {}", attempt.write_id);
  const double how = random.unit();
  if (how < 0.6 && !reads_.empty()) {
    const std::size_t recent = std::min(reads_.size(), kRecent);
    const Read& seen = reads_[reads_.size() - 1 - random.below(recent)];
    attempt.key = seen.key;
    attempt.context = seen.context;
    attempt.seen = seen.seen;
  } else if (how < 0.7) {
    const Read seen = read_at(at, attempt.key);
    attempt.context = seen.context;
    attempt.seen = seen.seen;
  } else if (how < 0.85) {
    attempt.context.emplace();  // it has seen nothing
  }
  return attempt;
}

void History::write(Random& random) {
  write_at(any_replica(random), random);
}

void History::write_at(std::size_t at, Random& random) {
  const std::uint64_t operations = 1 + (random.chance(0.2) ? random.below(3) : 0);
  if (events_.size() + operations > gossip::kEventsMax) return;
  StoredReplica& replica = *replicas_[at];
  touched_.insert(at);
  std::vector<Attempt> asked;
  for (std::uint64_t i = 0; i < operations; ++i) asked.push_back(draw_attempt(at, random));
  auto batch = replica.store().begin();
  if (!went_well(batch.status(), "beginning a batch")) return;
  std::vector<Event> fresh;
  std::vector<Read> next_reads;
  ReachedByKey reached;
  for (const Attempt& attempt : asked) {
    Reached& known = reached.try_emplace(attempt.key, replica.reached(attempt.key)).first->second;
    const auto outcome =
        (*batch)->write({attempt.key, attempt.value, attempt.context,
                         WallTime{static_cast<std::int64_t>(attempt.write_id)}, attempt.write_id});
    if (!outcome.ok()) {
      went_well(outcome.status(), "writing");
      note(fmt::format("{} fails to write {}", at, attempt.key));
      return;
    }
    const PartitionId partition = replica.store().partitioning().of(attempt.key);
    const bool reissued = issued_.contains({partition, outcome->dot});
    Reached before = attempt.context.has_value() ? attempt.seen : known;
    std::size_t number = events_.size() + fresh.size();
    const auto of_attempt = [&](const Event& event) {
      return event.partition == partition && event.dot == outcome->dot;
    };
    const auto old = std::find_if(events_.begin(), events_.end(), of_attempt);
    const auto same_batch = std::find_if(fresh.begin(), fresh.end(), of_attempt);
    const Event* const earlier = old != events_.end()        ? &*old
                                 : same_batch != fresh.end() ? &*same_batch
                                                             : nullptr;
    if (earlier != nullptr) {
      const bool recognised = earlier->key == attempt.key && earlier->write_id == attempt.write_id;
      if (!recognised) {
        broken(fmt::format("replica {} issued dot {} twice", at, name_of(outcome->dot)));
        return;
      }
      number = old != events_.end()
                   ? static_cast<std::size_t>(old - events_.begin())
                   : events_.size() + static_cast<std::size_t>(same_batch - fresh.begin());
      ++counts_.retries_recognised;
    } else if (reissued) {
      broken(fmt::format("replica {} issued dot {} twice", at, name_of(outcome->dot)));
      return;
    } else {
      fresh.push_back(
          {partition, outcome->dot, attempt.key, attempt.value, attempt.write_id, before});
      known |= before;
      known.set(number);
    }
    note(fmt::format("{} {} {} as {}{}", at, attempt.value.has_value() ? "writes" : "deletes",
                     attempt.key, name_of(outcome->dot),
                     !attempt.context.has_value()       ? ""
                     : attempt.context->items().empty() ? ", blind"
                                                        : ", with a context"));
    // The writer's next context. It may also cover writes that it has not seen and that are
    // superseded here already: what such a context knows no set of events says.
    Reached covered;
    const auto cover = [&](std::size_t e, const Event& event) {
      covered[e] = event.key == attempt.key && known[e] && outcome->seen.covers(event.dot);
    };
    for (std::size_t e = 0; e < events_.size(); ++e) cover(e, events_[e]);
    for (std::size_t e = 0; e < fresh.size(); ++e) cover(events_.size() + e, fresh[e]);
    Reached seen = before;
    if (outcome->seen.covers(outcome->dot)) seen.set(number);
    if ((covered & ~seen).none() && (earlier == nullptr || attempt.context.has_value())) {
      next_reads.push_back({attempt.key, outcome->seen, seen});
    }
  }
  auto committed = replica.store().commit(*std::move(batch));
  if (!went_well(committed.status(), "committing")) return;
  for (Event& event : fresh) {
    issued_.insert({event.partition, event.dot});
    events_.push_back(std::move(event));
  }
  replica.committed(committed->number, reached);
  for (Read& read : next_reads) reads_.push_back(std::move(read));
  for (Attempt& attempt : asked) attempts_.push_back(std::move(attempt));
  for (std::size_t to = 0; to < replicas_.size(); ++to) {
    if (to == at || random.chance(loss_)) continue;
    mail_.push_back({to, committed->to_replicate, reached});
  }
}

void History::deliver(Random& random) {
  if (!mail_.empty()) deliver_mail(random.below(mail_.size()), random);
}

void History::deliver_mail(std::size_t which, Random& random) {
  const bool again = random.chance(0.1);  // it will come once more
  Mail mail = mail_[which];
  if (!again) mail_.erase(mail_.begin() + static_cast<std::ptrdiff_t>(which));
  touched_.insert(mail.to);
  ++counts_.messages;
  note(fmt::format("{} receives {} entries, {} first", mail.to, mail.entries.size(),
                   mail.entries.front().key));
  went_well(replicas_[mail.to]->receive(mail.entries, mail.reached), "receiving");
}

// ---- exchanges ----

void History::begin_exchange(Random& random) {
  const std::size_t at = any_replica(random);
  const std::size_t other = other_than(at, random);
  note(fmt::format("{} begins an exchange with {}", at, other));
  conversations_.push_back(
      std::make_unique<gossip::Conversation>(*replicas_[at], *replicas_[other], options_));
}

// A few messages, whichever they are; now and then one is lost.
void History::move_exchanges(Random& random) {
  for (std::uint64_t moves = 1 + random.below(4); moves > 0 && !conversations_.empty(); --moves) {
    const std::size_t which = random.below(conversations_.size());
    gossip::Conversation& conversation = *conversations_[which];
    const std::size_t at = index_of(conversation.initiator());
    const std::size_t other = index_of(conversation.responder());
    touched_.insert(at);
    if (conversation.under_way() > 0) {
      const std::size_t message = random.below(conversation.under_way());
      const bool lost = random.chance(0.02);
      note(fmt::format("{} message {} of the exchange of {} with {}",
                       lost ? "lost:" : "moves:", message, at, other));
      if (lost) {
        conversation.lose(message);
      } else {
        conversation.move(message);
      }
      if (auto states = conversation.take_states()) {
        conversations_.push_back(std::make_unique<gossip::Conversation>(
            *replicas_[other], *replicas_[at], *std::move(states), options_));
      }
    }
    if (conversations_[which]->under_way() == 0) finish(which);
  }
}

void History::finish(std::size_t which) {
  const gossip::Conversation& over = *conversations_[which];
  if (!over.done()) broken("an exchange waits for nothing and is not done");
  const gossip::ExchangeReport& report = over.report();
  counts_.delta_pulls += report.delta_pulls;
  counts_.digest_pulls += report.digest_pulls;
  counts_.equal_roots += report.equal_roots;
  counts_.clocks_adopted += report.clocks_adopted;
  counts_.in_flight += report.in_flight;
  counts_.regained += over.asked<gossip::FetchRequest>();
  counts_.splits += over.asked<gossip::SplitRequest>();
  if (report.damage_suspected > 0) broken("damage suspected where there is none (I3)");
  if (over.views_open() > 0) broken("a view is left open");
  conversations_.erase(conversations_.begin() + static_cast<std::ptrdiff_t>(which));
}

// ---- time ----

void History::let_time_pass(Random& random) {
  time_.advance(std::chrono::milliseconds(50 + random.below(300)));
  note("time passes");
}

void History::forget_dots(Random& random) {
  const std::size_t at = any_replica(random);
  replicas_[at]->store().forget_dot_logs();
  note(fmt::format("{} forgets its dot logs", at));
}

void History::upkeep(Random& random) {
  upkeep_at(any_replica(random), random);
}

void History::upkeep_at(std::size_t at, Random& random) {
  touched_.insert(at);
  note(fmt::format("{} does upkeep", at));
  const auto more = replicas_[at]->store().upkeep(1 + random.below(50));
  // What was not in memory is read beside, and used the next time.
  if (went_well(more.status(), "upkeep") && *more && random.chance(0.5)) replicas_[at]->sync();
}

void History::sync(Random& random) {
  const std::size_t at = any_replica(random);
  replicas_[at]->sync();
  note(fmt::format("{} syncs", at));
}

// ---- misfortune ----

// The process ends, and with it its exchanges.
void History::break_off(std::size_t at) {
  touched_.insert(at);
  for (std::size_t i = conversations_.size(); i > 0; --i) {
    gossip::Conversation& conversation = *conversations_[i - 1];
    if (&conversation.responder() == replicas_[at].get()) {
      conversation.break_off();
      touched_.insert(index_of(conversation.initiator()));
      finish(i - 1);
    } else if (&conversation.initiator() == replicas_[at].get()) {
      conversations_.erase(conversations_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
  }
}

// Starts as a node does (R7): not before a peer was asked for dots of its actor that it has
// forgotten. A directory that comes from elsewhere draws its epoch; that it draws one that it had
// before is a chance of one in a thousand that a node takes, and histories do not.
void History::open(std::size_t at) {
  StoredReplica& replica = *replicas_[at];
  const absl::Status opened = replica.open();
  if (!opened.ok())
    return broken(fmt::format("replica {} does not start: {}", at, text_of(opened)));
  storage::Store& store = replica.store();
  bool forgot = false;
  if (store.kept_actor()) {
    const std::size_t peer = (at + 1) % replicas_.size();
    const std::vector<std::uint64_t> mine = store.tops(store.actor());
    const std::vector<std::uint64_t> theirs = replicas_[peer]->store().tops(store.actor());
    for (std::size_t i = 0; i < mine.size(); ++i) forgot = forgot || theirs[i] > mine[i];
  } else {
    forgot = actors_.contains(store.actor());
  }
  while (forgot && went_well(store.renew_actor(), "renewing the actor")) {
    forgot = actors_.contains(store.actor());
  }
  actors_.insert(store.actor());
}

void History::stop(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  const bool power_lost = random.chance(0.3);
  note(fmt::format("{} is stopped{} and started", at, power_lost ? ", loses power" : ""));
  ++counts_.stops;
  went_well(replicas_[at]->stop(), "stopping");
  if (power_lost && !replicas_[at]->lose_power(random)) broken("a stopped store lost something");
  open(at);
}

void History::kill(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  note(fmt::format("{} is killed and started", at));
  ++counts_.kills;
  replicas_[at]->kill();
  open(at);
}

void History::lose_power(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  note(fmt::format("{} loses power and is started", at));
  ++counts_.power_losses;
  const std::vector<PartitionId> partitions = replicas_[at]->partitions();
  std::map<PartitionId, ReachedByKey> before;
  for (const PartitionId id : partitions) before[id] = replicas_[at]->reached(id);
  if (!replicas_[at]->lose_power(random)) {
    broken(fmt::format("replica {} lost a write that it had called durable", at));
  }
  open(at);
  if (broken_.has_value()) return;
  for (const PartitionId id : partitions) {
    if (before[id] == replicas_[at]->reached(id)) continue;
    ++counts_.fallen_back;
    break;
  }
}

void History::back_up(Random& random) {
  const std::size_t at = any_replica(random);
  note(fmt::format("{} is backed up", at));
  backups_[at].push_back(random.chance(0.5) ? replicas_[at]->back_up()
                                            : replicas_[at]->copy_while_running(random));
}

void History::restore(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  ++counts_.restores;
  if (backups_[at].empty() || random.chance(0.3)) {
    note(fmt::format("{} is copied while it runs, and started from the copy", at));
    replicas_[at]->restore(replicas_[at]->copy_while_running(random));
  } else {
    const std::size_t which = random.below(backups_[at].size());
    note(fmt::format("{} is restored from its backup {}", at, which));
    replicas_[at]->restore(backups_[at][which]);
  }
  open(at);
}

// Something is done while reads of the disk go wrong.
void History::read_badly(Random& random) {
  const std::size_t at = any_replica(random);
  const bool flips = random.chance(0.5);
  note(fmt::format("reads of {} {}", at, flips ? "bring other bytes" : "fail"));
  const std::uint64_t before = disk_.bad_reads();
  disk_.fail_reads(fmt::format("/replica{}", at), random.below(3),
                   flips ? LossyDisk::BadRead::kFlippedBit : LossyDisk::BadRead::kError);
  reads_go_bad_ = true;
  const double what = random.unit();
  if (what < 0.4) {
    write_at(at, random);
  } else if (what < 0.6) {
    deliver(random);
  } else if (what < 0.7) {
    upkeep_at(at, random);
  } else {
    move_exchanges(random);
  }
  reads_go_bad_ = false;
  disk_.heal_reads();
  counts_.bad_reads += disk_.bad_reads() - before;
  touched_.insert(at);
  // Bytes that came back wrong end the process sooner or later; the disk has the right ones.
  if (flips && disk_.bad_reads() > before) {
    break_off(at);
    replicas_[at]->kill();
    open(at);
    if (!broken_.has_value() && replicas_[at]->store().any_suspect()) {
      broken("a partition is suspect and nothing is damaged");
    }
  }
}

// ---- the end ----

void History::heal() {
  Random random(plan_.seed);
  while (!conversations_.empty() && !broken_.has_value()) move_exchanges(random);
  bool all_proven = false;
  for (std::size_t round = 0; round < kHealRoundsMax && !all_proven && !broken_.has_value();
       ++round) {
    all_proven = true;
    for (std::size_t a = 0; a < replicas_.size(); ++a) {
      for (std::size_t b = 0; b < replicas_.size() && !broken_.has_value(); ++b) {
        if (a == b) continue;
        time_.advance(std::chrono::seconds(1));
        const gossip::ExchangeReport report =
            gossip::push_pull(*replicas_[a], *replicas_[b], options_);
        went_well(report.status, "an exchange in the end");
        all_proven = all_proven && report.proven_equal;
        check(a, false);
        check(b, false);
      }
    }
    for (std::size_t at = 0; at < replicas_.size(); ++at) {
      went_well(replicas_[at]->upkeep_all(), "upkeep");
    }
  }
  if (!all_proven) broken("not all pairs are proven equal in the end");
  if (!broken_.has_value()) close_gaps();
  if (!broken_.has_value()) check_end();
}

// R8: what nobody holds any more counts as seen, of every actor that has ended.
void History::close_gaps() {
  for (const auto& ending : replicas_) {
    storage::Store& store = ending->store();
    const NodeId node = store.node();
    const auto last = std::prev(actors_.upper_bound(ActorId::of(node, ActorId::kEpochMax)));
    // Epochs that were drawn may have gone back: what came after must end, too.
    if (store.actor() < *last) {
      while (store.actor() <= *last && went_well(store.renew_actor(), "renewing the actor")) {
      }
    }
    close_up_to(node, store.actor().epoch() - 1);
  }
  close_up_to(NodeId{kBackgroundNode}, 1);
  for (const auto& replica : replicas_) {
    went_well(replica->upkeep_all(), "upkeep");
  }
}

void History::close_up_to(NodeId node, std::uint64_t epoch) {
  if (epoch == 0) return;
  for (const PartitionId id : replicas_.front()->partitions()) {
    for (const auto& replica : replicas_) {
      const model::Clock before = replica->store().live(id).clock();
      went_well(replica->close_actors(id, node, epoch), "closing");
      counts_.closed_gaps += before == replica->store().live(id).clock() ? 0U : 1U;
    }
  }
}

void History::check_end() {
  using Contents = std::vector<std::pair<std::string, model::Entry>>;
  std::vector<Contents> contents;
  for (std::size_t at = 0; at < replicas_.size(); ++at) {
    Contents& mine = contents.emplace_back();
    const storage::Store& store = replicas_[at]->store();
    for (const PartitionId id : replicas_[at]->partitions()) {
      const storage::View& view = store.live(id);
      went_well(view.scan(view.range(), std::nullopt, model::Values::kWith,
                          [&](std::string_view key, model::Entry entry) {
                            mine.emplace_back(key, std::move(entry));
                            return true;
                          }),
                "scanning");
      if (view.tree().root().unquiet > 0) broken("an entry is not quiet in the end (I4)");
      if (view.clock() != replicas_.front()->store().live(id).clock()) {
        broken("clocks are not the same in the end");
      }
    }
    for (const auto& [key, entry] : mine) {
      if (entry.versions.empty()) broken("an entry without live versions is left (I4)");
    }
    if (mine != contents.front()) broken("contents are not the same in the end");
    const auto trees = storage::trees_are_true(store);
    if (!trees) broken(fmt::format("replica {}: {}", at, trees.message()));
  }
}

// ---- what must always hold ----

void History::check(std::size_t at, bool trees) {
  if (broken_.has_value()) return;
  if (!replicas_[at]->fatal().empty()) {
    return broken(fmt::format("replica {}: {}", at, text_of(replicas_[at]->fatal().front())));
  }
  for (const std::string& key : keys_) check_key(at, key);
  for (std::size_t other = 0; other < replicas_.size(); ++other) {
    if (other != at) check_pair(at, other);
  }
  if (trees) {
    const auto result = storage::trees_are_true(replicas_[at]->store());
    if (!result) broken(fmt::format("replica {}: {}", at, result.message()));
  }
}

void History::check_key(std::size_t at, const std::string& key) {
  const storage::Store& store = replicas_[at]->store();
  const PartitionId partition = store.partitioning().of(key);
  const model::Clock& clock = store.live(partition).clock();
  const Reached reached = replicas_[at]->reached(key);
  const auto entry = store.load(key, model::Values::kWith);
  if (!entry.ok()) return broken(fmt::format("replica {}: {}", at, text_of(entry.status())));
  Reached superseded;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (reached[i]) superseded |= events_[i].past;
  }
  std::size_t live = 0;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (event.key != key) continue;
    const bool maximal = reached[i] && !superseded[i] && event.value.has_value();
    const model::Version* const version = entry->find(event.dot);
    live += version != nullptr ? 1 : 0;
    const auto says = [&](const char* what) {
      broken(fmt::format("replica {}, key {}, write {} {}", at, key, name_of(event.dot), what));
    };
    if (maximal && version == nullptr) says("is lost (I1)");
    if (!maximal && version != nullptr) says("came back (I1)");
    if (version != nullptr && version->value != event.value) says("has another value (I1)");
    const bool claimed = entry->vector.covers(event.dot) || clock.contains(event.dot);
    if (!reached[i] && claimed) says("is claimed and never came (I2)");
    if (reached[i] && !entry->vector.covers(event.dot)) says("came and is forgotten (I1)");
  }
  if (live != entry->versions.size()) {
    broken(fmt::format("replica {}, key {}: a version that nobody wrote (I1)", at, key));
  }
  const std::uint64_t state = clock.hash() ^ live;
  trace_hash_ = XXH3_64bits_withSeed(&state, sizeof state, trace_hash_);
}

void History::check_pair(std::size_t at, std::size_t other) {
  for (const PartitionId id : replicas_[at]->partitions()) {
    const storage::View& mine = replicas_[at]->store().live(id);
    const storage::View& theirs = replicas_[other]->store().live(id);
    const bool certified = mine.tree().root().unquiet == 0 && theirs.tree().root().unquiet == 0 &&
                           mine.clock() == theirs.clock();
    if (certified && mine.tree().root().sum != theirs.tree().root().sum) {
      broken(fmt::format("replicas {} and {}: equal clocks, other versions (I3)", at, other));
    }
  }
}

// ---- shrinking ----

std::optional<Shrunk> shrink(LossyDisk& disk, Plan plan, double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  const auto attempt = [&](const Plan& tried) -> std::optional<Shrunk> {
    History history(disk, tried);
    auto broken = history.run();
    if (!broken.has_value()) return std::nullopt;
    return Shrunk{tried, *std::move(broken), history.trace()};
  };
  std::optional<Shrunk> best = attempt(plan);
  if (!best.has_value()) return std::nullopt;
  for (std::size_t chunk = (plan.steps.size() + 1) / 2; chunk > 0;) {
    bool shorter = false;
    for (std::size_t from = best->plan.steps.size(); from > 0;) {
      if (std::chrono::steady_clock::now() > deadline) return best;
      from -= std::min(from, chunk);
      Plan tried = best->plan;
      const auto begin = tried.steps.begin() + static_cast<std::ptrdiff_t>(from);
      const std::size_t count = std::min(chunk, tried.steps.size() - from);
      tried.steps.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
      if (auto smaller = attempt(tried)) {
        best = std::move(smaller);
        shorter = true;
      }
    }
    if (chunk == 1 && !shorter) break;
    if (chunk > 1) chunk /= 2;
  }
  return best;
}

}  // namespace grapevine::histories
