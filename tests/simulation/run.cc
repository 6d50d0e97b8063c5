#include "tests/simulation/run.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "server/view_table.h"
#include "tests/simulation/cluster_run.h"
#include "tests/simulation/comparison.h"
#include "tests/storage/rocksdb_chance.h"

namespace grapevine::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kProbeInterval = milliseconds(200);
constexpr Duration kFormTime = seconds(30);
constexpr Duration kHealTime = seconds(180);
// Views that an exchange left behind are closed by then, and calls have run into their time-outs.
constexpr Duration kIdleTime = server::ViewTable::kIdleTime + seconds(30);
constexpr std::size_t kOwners = 3;
// Of a node at rest, but for the last large values, which stay in memtables.
constexpr std::size_t kHeapMax = std::size_t{8} << 20;
constexpr std::size_t kLargeInMemtables = 3;
constexpr std::size_t kSeeds = 3;
// By how much a node may underrate how late a request is.
constexpr Duration kGreetTime = server::PeerLinks::kGreetTime;

std::string shown(const model::Clock& clock) {
  std::string text = "{";
  for (const auto& [actor, counters] : clock.actors()) {
    text += fmt::format(" {:x}:", actor.value);
    text += clock.closed(actor) ? "closed" : fmt::format("1..{}", counters.base());
    for (const auto& more : counters.above()) text += fmt::format(",{}..{}", more.first, more.last);
  }
  return text + " }";
}

}  // namespace

Run::Run(const RunOptions& options)
    : options_(options),
      world_(options.seed),
      log_tap_(world_, options.trace),
      random_(world_.random().next()),
      network_(world_, world_.random().next()) {
  world_.keep_trace(options.trace);
  world_.keep_steps(options.steps);
  disk_.hold_background();
  storage::seed_rocksdb(static_cast<std::uint32_t>(world_.random().next()));
  world_.settle_with([this] { settle(); });
  if (options.faults.has_value()) {
    level_ = *options.faults;
  } else {
    const double drawn = random_.unit();
    level_ = drawn < 0.2 ? Faults::kCalm : drawn < 0.7 ? Faults::kNormal : Faults::kHell;
  }
  fault_pause_ = level_ == Faults::kHell ? seconds(2) : seconds(10);
  quality_.delay_max =
      draw(random_, milliseconds(1), milliseconds(level_ == Faults::kHell ? 50 : 5));
  if (level_ == Faults::kHell) quality_.loss = random_.chance(0.5) ? 0.05 * random_.unit() : 0;
  network_.set_quality(quality_);
  make_nodes();
  make_clients();
}

Run::~Run() {
  for (auto& client : clients_) client->stop_calling();
  clients_.clear();
  nodes_.clear();
}

void Run::make_nodes() {
  const std::size_t count = options_.nodes != 0 ? options_.nodes : 3 + random_.below(3);
  config_.partitions = 1U << random_.below(5);
  config_.network = random_.chance(0.5) ? "local" : "lan";
  config_.cache_bytes = std::size_t{1} << 20;
  config_.dot_log_bytes = random_.chance(0.5) ? std::size_t{1} << 20 : std::size_t{2'000};
  config_.scrub_keys = random_.chance(0.5) ? 100 : 0;
  workload_.timeout = milliseconds(500 + static_cast<int>(random_.below(4'500)));
  records_ = std::make_unique<Records>(config_.partitions, std::min(count, kOwners),
                                       workload_.timeout + kGreetTime);
  const std::size_t spare = random_.chance(0.4) ? 0 : 1 + random_.below(2);
  for (std::size_t i = 0; i < count + spare; ++i) {
    server::Config config = config_;
    for (std::size_t seed = 0; seed < std::min(count, kSeeds); ++seed) {
      if (seed != i)
        config.join.push_back(
            fmt::format("{}:{}", SimulatedNode::host_of(seed), SimulatedNode::kPeerPort));
    }
    nodes_.push_back(std::make_unique<SimulatedNode>(
        world_, network_, disk_, i, std::move(config), world_.random().next(),
        SimulatedNode::Report{[this](SimulatedNode& node, const absl::Status& status,
                                     bool opening) { on_ended(node, status, opening); }}));
    if (i < count) members_.push_back(nodes_.back().get());
  }
}

void Run::make_clients() {
  workload_.keys = 1 + random_.below(random_.chance(0.5) ? 5 : 60);
  workload_.pause = draw(random_, milliseconds(5), milliseconds(200));
  workload_.outstanding_max = 1 + random_.below(16);
  workload_.writes = 0.2 + 0.6 * random_.unit();
  workload_.removes = 0.5 * random_.unit();
  workload_.with_context = random_.unit();
  workload_.hot = 0.5 * random_.unit();
  workload_.large = random_.chance(0.3) ? 0.1 : 0;
  workload_.large_bytes = random_.chance(0.2) ? 300'000 : 6'000;
  if (random_.chance(0.03)) {
    workload_.large_bytes = std::size_t{4} << 20;
    workload_.large = 0.02;
  }
  if (random_.chance(0.25)) workload_.expiring = random_.unit();
  counts_.expiring = workload_.expiring > 0 ? 1 : 0;
  Random sessions(options_.seed ^ 0x5e55);  // apart, so that a run without them is what it was
  if (sessions.chance(0.4)) {
    workload_.in_session = sessions.unit();
    workload_.one = sessions.unit();
    if (sessions.chance(0.3)) workload_.session_keys = sessions.below(4);
  }
  pause_ = workload_.pause;
  const std::size_t count = 1 + random_.below(4);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<rpc::Address> addresses;
    for (const auto& node : nodes_) addresses.push_back({node->host(), SimulatedNode::kClientPort});
    std::rotate(addresses.begin(),
                addresses.begin() + static_cast<std::ptrdiff_t>(random_.below(addresses.size())),
                addresses.end());
    clients_.push_back(std::make_unique<SimulatedClient>(
        world_, network_, i, addresses, workload_, *records_, world_.random().next(),
        [this](const std::string& what) { broken(what); }));
  }
}

void Run::broken(const std::string& what) {
  world_.note("BROKEN: " + what);
  if (!broken_.has_value()) broken_ = what;
}

// ---- checks ----

void Run::probe() {
  for (const SimulatedNode* const one : members_) {
    for (const SimulatedNode* const other : members_) {
      if (one->index() >= other->index() || !one->serving() || !other->serving()) continue;
      for (const PartitionId id : owned_by_both(*one, *other)) {
        const storage::View& mine = live(*one, id);
        const storage::View& theirs = live(*other, id);
        // After damage this may be until an exchange settles it; and what expires each drops by its
        // own clock.
        if (counts_.damages == 0 && workload_.expiring == 0 && mine.clock() == theirs.clock() &&
            mine.tree().root().unquiet == 0 && theirs.tree().root().unquiet == 0 &&
            mine.tree().root().sum != theirs.tree().root().sum) {
          say_contents(*one, id);
          say_contents(*other, id);
          broken(
              fmt::format("{} and {} have equal clocks in partition {}, both quiet, and hold "
                          "different versions (I3)",
                          one->name(), other->name(), id.value));
        }
      }
    }
  }
  if ((records_->went_back() || mending_) && !any_leaving() && not_equal_because().empty()) {
    records_->caught_up(world_.now());
    mending_ = false;
  }
  if (random_.chance(0.1)) compare_two();
  world_.after(kProbeInterval, nullptr, [this] { probe(); });
}

// The divergence tool finds the keys that differ, as many as there are, whatever is going on.
void Run::compare_two() {
  const SimulatedNode& one = any_member();
  const SimulatedNode& other = any_member();
  if (&one == &other || reads_fail_ || mending_ || !one.serving() || !other.serving()) return;
  const std::vector<PartitionId> shared = owned_by_both(one, other);
  if (shared.empty()) return;
  const PartitionId partition = shared[random_.below(shared.size())];
  const auto compared = compare_as_the_tool_does(live(one, partition), live(other, partition));
  if (!compared.ok()) return broken(std::string(text_of(compared.status())));
  ++counts_.compared;
  counts_.differed += *compared > 0 ? 1 : 0;
}

void Run::say_contents(const SimulatedNode& node, PartitionId partition) {
  const storage::View& view = live(node, partition);
  std::string text = fmt::format("{} holds in partition {}:", node.name(), partition.value);
  const auto status = view.scan_stored(
      view.range(), std::nullopt, model::Values::kWithout, storage::Reach::kDisk,
      [&](std::string_view key, const model::Entry& entry) {
        text += fmt::format(" '{}' [", key);
        for (const auto& version : entry.versions) {
          text += fmt::format(" {:x}:{}", version.dot.actor.value, version.dot.counter);
        }
        text += " |";
        for (const auto& [actor, counter] : entry.vector.items()) {
          text += fmt::format(" {:x}:{}", actor.value, counter);
        }
        text += " ]";
        return true;
      });
  world_.say(status.ok() ? text : std::string(text_of(status)));
  world_.say(fmt::format("{} knows {}", node.name(), shown(view.clock())));
}

// Empty: all owners hold the same, and every entry is quiet.
std::string Run::not_equal_because() const {
  if (std::string because = not_acquainted_because(); !because.empty()) return because;
  for (const SimulatedNode* const a : members_) {
    for (const SimulatedNode* const b : members_) {
      if (a == b) continue;
      for (const PartitionId id : owned_by_both(*a, *b)) {
        const storage::View& mine = live(*a, id);
        const storage::View& theirs = live(*b, id);
        if (mine.clock() != theirs.clock()) {
          return fmt::format("clocks of {} and {} differ in partition {}: {} and {}", a->name(),
                             b->name(), id.value, shown(mine.clock()), shown(theirs.clock()));
        }
        if (mine.tree().root().sum != theirs.tree().root().sum) {
          return fmt::format("digests of {} and {} differ in partition {}", a->name(), b->name(),
                             id.value);
        }
        if (mine.tree().root().unquiet != 0) {
          return fmt::format("{} has {} entries in partition {} that are not quiet", a->name(),
                             mine.tree().root().unquiet, id.value);
        }
      }
    }
  }
  if (std::string because = not_told_because(); !because.empty()) return because;
  return not_handed_over_because();
}

void Run::heal() {
  world_.note("everything heals");
  faults_on_ = false;
  forget_doomed();
  crash_in_a_pull_until_.reset();
  network_.heal_all();
  network_.set_quality({});
  disk_.heal_reads();
  reads_fail_ = false;
  for (const std::size_t index : full_) disk_.make_room(nodes_[index]->directory());
  full_.clear();
  for (auto& client : clients_) client->stop_calling();
  for (const auto& node : nodes_) {
    node->disk_speed() = DiskSpeed{};
    node->time().set_wrong_by(Duration::zero());
  }
  const Instant begun = world_.now();
  const auto quiet = [&] {
    return is_over() ||
           (!any_leaving() &&
            std::all_of(clients_.begin(), clients_.end(),
                        [](const auto& client) { return client->outstanding() == 0; }) &&
            not_equal_because().empty());
  };
  if (!world_.run_until(begun + kHealTime, quiet)) {
    if (world_.traces()) {
      for (const SimulatedNode* const node : members_) {
        for (std::uint32_t id = 0; node->serving() && id < config_.partitions; ++id) {
          say_contents(*node, {id});
        }
      }
    }
    broken(fmt::format(
        "{:.0f} s after everything healed {}", std::chrono::duration<double>(kHealTime).count(),
        not_equal_because().empty() ? "calls are still outstanding" : not_equal_because()));
  }
}

// Empty: nothing of what clients and nodes have asked of each other is kept here.
std::string Run::busy_because(const SimulatedNode& node) const {
  // It may have found damage only now.
  if (!node.ready()) return fmt::format("{} is not ready", node.name());
  server::Node& real = node.node();
  if (const auto count = real.coordination().coordinator().under_way(); count > 0) {
    return fmt::format("{} has {} requests, calls or waits under way", node.name(), count);
  }
  if (const auto count = real.views().size(); count > 0) {
    return fmt::format("{} holds {} views", node.name(), count);
  }
  if (!real.store().all_durable()) return fmt::format("{} waits for its disk", node.name());
  if (real.backups().under_way()) return fmt::format("{} makes a backup", node.name());
  if (!real.anti_entropy().idle()) return fmt::format("{} is in an exchange", node.name());
  if (!real.handover().idle()) return fmt::format("{} is handing over", node.name());
  if (!real.cluster().idle()) return fmt::format("{} is telling members something", node.name());
  for (const auto& [what, count] : {std::pair("links", real.links().size()),
                                    std::pair("peers", real.anti_entropy().peers().size())}) {
    if (count < members_.size()) continue;
    return fmt::format("{} keeps {} {} in a cluster of {}", node.name(), count, what,
                       members_.size());
  }
  return {};
}

// Every node comes to rest, though not all at the same moment: they go on asking after each other.
void Run::await_idle() {
  std::set<const SimulatedNode*> busy(members_.begin(), members_.end());
  const auto all_rested = [&] {
    std::erase_if(
        busy, [&](const auto* node) { return !is_member(*node) || busy_because(*node).empty(); });
    return is_over() || (busy.empty() && not_equal_because().empty());
  };
  if (!world_.run_until(world_.now() + kIdleTime, all_rested)) {
    broken(fmt::format("{:.0f} s after all was equal {}",
                       std::chrono::duration<double>(kIdleTime).count(),
                       busy.empty() ? not_equal_because() : busy_because(**busy.begin())));
  }
}

void Run::check_end() {
  for (const auto& [key, writes] : records_->keys()) {
    for (const SimulatedNode* const node : members_) {
      server::Node& real = node->node();
      const PartitionId partition = real.store().partitioning().of(key);
      if (!real.cluster().owns(real.store().node(), partition)) continue;
      const auto entry = real.store().load(key, model::Values::kWith);
      if (!entry.ok()) return broken(std::string(text_of(entry.status())));
      Records::Held held;
      held.vector = entry->vector;
      for (const model::Version& version : entry->versions) {
        held.versions.emplace_back(version.dot, version.value);
      }
      if (auto what = records_->check_end(key, held, world_.now())) {
        return broken(fmt::format("{}: {}", node->name(), *what));
      }
    }
  }
  for (const SimulatedNode* const node : members_) {
    for (std::uint32_t id = 0; id < config_.partitions; ++id) {
      if (!owns(*node, *node, {id})) continue;
      const storage::View& view = live(*node, {id});
      const auto status =
          view.scan(view.range(), std::nullopt, model::Values::kWithout,
                    [&](std::string_view key, const model::Entry& entry) {
                      if (entry.versions.empty()) {
                        broken(fmt::format("{} keeps an entry of '{}' without live versions (I4)",
                                           node->name(), key));
                      }
                      return true;
                    });
      if (!status.ok()) broken(std::string(text_of(status)));
    }
  }
}

// At rest a node keeps no more memory than its caches, its memtables and its tables of what it holds
// come to, however much has gone through it. Ends the nodes: what that frees was theirs.
std::size_t Run::heap_at_rest() {
  const auto in_use = [] {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  clients_.clear();
  const std::size_t with_nodes = in_use();
  for (SimulatedNode* const node : members_) node->kill();
  const std::size_t without = in_use();
  const std::size_t each = (with_nodes - std::min(with_nodes, without)) / members_.size();
  world_.say(fmt::format("a node at rest holds {} KiB", each / 1024));
  if (each > kHeapMax + kLargeInMemtables * workload_.large_bytes)
    broken(fmt::format("a node at rest holds {} KiB of memory", each / 1024));
  return each;
}

RunResult Run::go() {
  for (SimulatedNode* const node : members_) {
    start_later(*node, draw(random_, Duration::zero(), seconds(1)));
  }
  const auto formed = [&] { return not_acquainted_because().empty(); };
  RunResult result;
  if (!world_.run_until(world_.now() + kFormTime, [&] { return is_over() || formed(); })) {
    broken("the cluster does not form");
  }
  if (!is_over()) {
    faults_on_ = true;
    probe();
    for (auto& client : clients_) client->start();
    schedule_fault();
    tell_events();
    world_.run_until(world_.now() + options_.duration, [&] { return is_over(); });
  }
  if (!is_over()) {
    const Instant begun = world_.now();
    heal();
    result.healed_in = world_.now() - begun;
  }
  if (!is_over()) await_idle();
  if (!is_over()) check_end();
  for (const auto& client : clients_) {
    counts_.calls += client->calls();
    counts_.failed_calls += client->failures();
    counts_.in_session += client->calls_in_session();
    if (client->siblings_max() >= 200) counts_.crowded = 1;
  }
  for (const SimulatedNode* const node : members_) {
    if (!node->ready()) continue;
    counts_.settled += node->node().anti_entropy().counters().differences_settled;
    const auto& requests = node->node().coordination().coordinator().counters();
    counts_.caught_up += requests.caught_up;  // in its last life
    counts_.behind += requests.behind;
  }
  counts_.events_told = told_.size();
  if (!is_over()) result.heap_at_rest = heap_at_rest();
  counts_.refused_appends = disk_.refused_appends();
  counts_.writes_acknowledged = records_->acknowledged();
  counts_.reads = records_->reads();
  counts_.reads_with_siblings = records_->siblings_seen();
  result.broken = broken_;
  result.hash = world_.hash();
  result.events = world_.events();
  result.virtual_time = world_.now().since_start;
  result.counts = counts_;
  result.trace = world_.trace();
  result.steps = world_.steps();
  return result;
}

namespace {

constexpr std::pair<const char*, std::uint64_t Counts::*> kCounts[] = {
    {"calls", &Counts::calls},
    {"failed calls", &Counts::failed_calls},
    {"acknowledged writes", &Counts::writes_acknowledged},
    {"reads", &Counts::reads},
    {"reads with siblings", &Counts::reads_with_siblings},
    {"events told", &Counts::events_told},
    {"calls in a session", &Counts::in_session},
    {"session reads that asked more owners", &Counts::caught_up},
    {"session reads refused", &Counts::behind},
    {"kills", &Counts::kills},
    {"power losses", &Counts::power_losses},
    {"stops", &Counts::stops},
    {"freezes", &Counts::freezes},
    {"cuts", &Counts::cuts},
    {"splits", &Counts::partitions},
    {"bad networks", &Counts::bad_networks},
    {"slow disks", &Counts::slow_disks},
    {"clock jumps", &Counts::clock_jumps},
    {"restores", &Counts::restores},
    {"backups", &Counts::backups},
    {"backups failed", &Counts::backups_failed},
    {"backups restored", &Counts::backups_restored},
    {"crashes in a restore", &Counts::restore_crashes},
    {"crashes in a backup", &Counts::backup_crashes},
    {"crashes while opening", &Counts::opening_crashes},
    {"crashes in a pull", &Counts::pull_crashes},
    {"forgotten logs", &Counts::forgotten_logs},
    {"joins", &Counts::joins},
    {"leaves", &Counts::leaves},
    {"left", &Counts::left},
    {"left unheard", &Counts::unheard},
    {"removals", &Counts::removals},
    {"replacements", &Counts::replacements},
    {"bad reads", &Counts::bad_reads},
    {"damages", &Counts::damages},
    {"salvages", &Counts::salvages},
    {"beyond salvage", &Counts::beyond_salvage},
    {"differences settled", &Counts::settled},
    {"full disks", &Counts::full_disks},
    {"refused appends", &Counts::refused_appends},
    {"started anew", &Counts::started_anew},
    {"bursts", &Counts::bursts},
    {"crowds", &Counts::crowds},
    {"crowded runs", &Counts::crowded},
    {"runs with times to live", &Counts::expiring},
    {"pairs compared", &Counts::compared},
    {"pairs that differed", &Counts::differed},
};

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  for (const auto& [name, count] : kCounts) this->*count += other.*count;
  return *this;
}

std::vector<std::pair<const char*, std::uint64_t>> Counts::named() const {
  std::vector<std::pair<const char*, std::uint64_t>> all;
  for (const auto& [name, count] : kCounts) all.emplace_back(name, this->*count);
  return all;
}

RunResult run(const RunOptions& options) {
  return Run(options).go();
}

}  // namespace grapevine::simulation
