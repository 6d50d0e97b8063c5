#include "tests/histories/history.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>

#include <xxhash.h>
#include "tests/storage/rocksdb_chance.h"

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
        {"damage", 2, true, &History::damage},
        {"spread members", 6, true, &History::spread_members},
        {"close actors", 3, true, &History::close_actors},
    };
    return kinds;
  }
};

namespace {

constexpr std::size_t kBackgroundKeys = 200;  // deep enough for a tree of 16 leaves
}  // namespace

std::string name_of(model::Dot dot) {
  return fmt::format("{}.{}:{}", to_string(dot.actor.node()).substr(0, 3), dot.actor.epoch(),
                     dot.counter);
}

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
  damages += other.damages;
  damages_found += other.damages_found;
  salvages += other.salvages;
  refills += other.refills;
  entries_lost += other.entries_lost;
  refused_as_suspect += other.refused_as_suspect;
  recovered += other.recovered;
  settled += other.settled;
  closed += other.closed;
  refused_late += other.refused_late;
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
  disk.hold_background();
  storage::seed_rocksdb(static_cast<std::uint32_t>(plan.seed));
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
  options_.exchange.settle = [](PartitionId) { return true; };
  options_.exchange.pull.requests_in_flight_max = 1 + random.below(4);
  options_.exchange.pull.keys_per_fetch = 1 + random.below(3);
  options_.exchange.pull.sketches = random.chance(0.6);
  options_.exchange.pull.ranges_per_split = 1 + random.below(3);
  settle_ = std::chrono::milliseconds(50 + random.below(300));
  time_.advance(std::chrono::hours(1));
  for (std::size_t i = 0; i < replicas; ++i) {
    replicas_.push_back(
        std::make_unique<StoredReplica>(disk_, time_, i, plan.seed + i + 1, options));
    backups_.emplace_back();
    memories_.emplace_back();
    gossip::MemberRecord gone;
    gone.id = NodeId{kBackgroundNode};
    gone.epoch = 1;
    gone.state = gossip::MemberState::kRemoved;
    members_.push_back({{gone.id, gone}});
    suspect_.emplace_back();
    ever_reached_.emplace_back();
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
  for (; step_ < plan_.steps.size() && !is_over(); ++step_) {
    const Step& step = plan_.steps[step_];
    Random random(step.seed);
    (this->*StepKind::all()[step.kind].run)(random);
    const bool trees = random.chance(0.1);
    for (std::size_t at = 0; at < replicas_.size(); ++at) keep_record(at);
    for (const std::size_t at : touched_) check(at, trees);
    touched_.clear();
  }
  if (!is_over()) heal();
  counts_.writes = events_.size();
  return broken_;
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
