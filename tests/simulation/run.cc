#include "tests/simulation/run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "tests/simulation/log_tap.h"
#include "tests/simulation/records.h"
#include "tests/simulation/simulated_client.h"
#include "tests/simulation/simulated_node.h"
#include "tests/storage/rocksdb_chance.h"

namespace grapevine::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kProbeInterval = milliseconds(200);
constexpr Duration kFormTime = seconds(30);
constexpr Duration kHealTime = seconds(180);
constexpr std::size_t kOwners = 3;
constexpr std::size_t kSeeds = 3;
// By how much a node may underrate how late a request is.
constexpr Duration kGreetTime = server::PeerLinks::kGreetTime;

Duration draw(Random& random, Duration from, Duration to) {
  return from + Duration(static_cast<Duration::rep>(
                    random.below(static_cast<std::uint64_t>((to - from).count()) + 1)));
}

std::string shown(const model::Clock& clock) {
  std::string text = "{";
  for (const auto& [actor, counters] : clock.actors()) {
    text += fmt::format(" {:x}:", actor.value);
    text += clock.closed(actor) ? "closed" : fmt::format("1..{}", counters.base());
    for (const auto& more : counters.above()) text += fmt::format(",{}..{}", more.first, more.last);
  }
  return text + " }";
}

class Run {
 public:
  explicit Run(const RunOptions& options);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunResult go();

 private:
  // A kind of misfortune: adding one is adding a row and a function.
  struct Fault {
    unsigned weight;
    void (Run::*happen)();
  };
  static const std::vector<Fault>& all_faults();

  void kill();
  void lose_power();
  void stop_and_start();
  void freeze();
  void cut_one_way();
  void split();
  void isolate();
  void flap();
  void worsen_network();
  void slow_a_disk();
  void jump_a_clock();
  void back_up();
  void restore();
  void forget_dot_logs();
  void fail_reads();
  void damage();

  void make_nodes();
  void make_clients();
  void schedule_fault();
  void start_later(SimulatedNode& node, Duration pause);
  void on_ended(SimulatedNode& node, const absl::Status& status, bool opening);
  bool all_others_serve(const SimulatedNode& node) const;
  void forgive_what_it_alone_had(const SimulatedNode& node);
  void probe();
  void heal();
  std::string not_equal_because() const;
  void say_contents(const SimulatedNode& node, PartitionId partition);
  void check_end();
  void broken(const std::string& what);
  // The same, unless it is what damage is known to do now and then (README.md).
  void differ_for_good(const std::string& what);
  bool is_over() const { return broken_.has_value() || never_equal_; }
  SimulatedNode* any_running();
  std::set<PartitionId> owned_by_both(const SimulatedNode& a, const SimulatedNode& b) const;
  static const storage::View& live(const SimulatedNode& node, PartitionId partition) {
    return const_cast<SimulatedNode&>(node).node().store().live(partition);
  }

  const RunOptions options_;
  World world_;
  LogTap log_tap_;
  Random random_;
  Network network_;
  Network::Quality quality_;  // but for misfortunes
  storage::LossyDisk disk_;
  server::Config config_;
  Workload workload_;
  Faults level_ = Faults::kNormal;
  Duration fault_pause_{0};  // mean between two
  std::unique_ptr<Records> records_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
  struct Backup {
    std::size_t node;
    storage::LossyDisk::Image image;
  };
  std::vector<Backup> backups_;
  bool faults_on_ = false;
  bool reads_fail_ = false;  // somewhere
  bool mending_ = false;     // somewhere something was lost, and not all owners hold the same again
  std::set<std::size_t> salvaging_;
  std::optional<std::string> broken_;
  bool never_equal_ = false;  // after damage
  Counts counts_;
};

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
  world_.settle_with([this] { disk_.await_idle(); });
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
  config_.cache_bytes = std::size_t{1} << 20;
  config_.dot_log_bytes = random_.chance(0.5) ? std::size_t{1} << 20 : std::size_t{2'000};
  config_.scrub_keys = random_.chance(0.5) ? 100 : 0;
  workload_.timeout = milliseconds(500 + static_cast<int>(random_.below(4'500)));
  records_ = std::make_unique<Records>(config_.partitions, std::min(count, kOwners),
                                       workload_.timeout + kGreetTime);
  for (std::size_t i = 0; i < count; ++i) {
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

void Run::differ_for_good(const std::string& what) {
  if (counts_.damages == 0) return broken(what);
  world_.note("after damage: " + what);
  never_equal_ = true;
}

// ---- misfortunes ----

const std::vector<Run::Fault>& Run::all_faults() {
  static const std::vector<Fault> faults{
      {10, &Run::kill},          {10, &Run::lose_power},
      {5, &Run::stop_and_start}, {8, &Run::freeze},
      {8, &Run::cut_one_way},    {6, &Run::split},
      {6, &Run::isolate},        {4, &Run::flap},
      {6, &Run::worsen_network}, {5, &Run::slow_a_disk},
      {3, &Run::jump_a_clock},   {5, &Run::back_up},
      {3, &Run::restore},        {4, &Run::forget_dot_logs},
      {4, &Run::fail_reads},     {4, &Run::damage},
  };
  return faults;
}

void Run::schedule_fault() {
  if (level_ == Faults::kCalm) return;
  world_.after(draw(random_, Duration::zero(), 2 * fault_pause_), nullptr, [this] {
    if (!faults_on_) return;
    unsigned total = 0;
    for (const Fault& fault : all_faults()) total += fault.weight;
    std::uint64_t drawn = random_.below(total);
    for (const Fault& fault : all_faults()) {
      if (drawn < fault.weight) {
        (this->*fault.happen)();
        break;
      }
      drawn -= fault.weight;
    }
    schedule_fault();
  });
}

SimulatedNode* Run::any_running() {
  std::vector<SimulatedNode*> running;
  for (const auto& node : nodes_) {
    if (node->running() && !node->stopping()) running.push_back(node.get());
  }
  return running.empty() ? nullptr : running[random_.below(running.size())];
}

void Run::start_later(SimulatedNode& node, Duration pause) {
  world_.after(pause, nullptr, [this, &node] {
    if (node.stopping() && node.running()) return start_later(node, seconds(1));
    if (node.running()) return;
    world_.note(fmt::format("{} is started", node.name()));
    node.start();
  });
}

void Run::on_ended(SimulatedNode& node, const absl::Status& status, bool opening) {
  // Somebody starts it again, until the disk is well.
  if (reads_fail_) return start_later(node, seconds(1));
  if (absl::IsDataLoss(status) && salvaging_.contains(node.index())) {
    // Beyond salvage: it would go on as another node, with an empty directory, and the operator would
    // remove the old one. Here the disk turns out to be well after all.
    ++counts_.beyond_salvage;
    node.undo_damage();
    return start_later(node, seconds(1));
  }
  if (absl::IsDataLoss(status) && mending_) {
    // It starts anew by itself; where it is refused, an operator asks for what can be read.
    if (opening) {
      ++counts_.salvages;
      salvaging_.insert(node.index());
    }
    world_.after(seconds(1), nullptr, [this, &node, opening] {
      if (!node.running()) node.start(/*salvage=*/opening);
    });
    return;
  }
  broken(fmt::format("{} ended by itself: {}", node.name(), std::string(text_of(status))));
}

void Run::kill() {
  SimulatedNode* const node = any_running();
  if (node == nullptr) return;
  world_.note(fmt::format("{} is killed", node->name()));
  ++counts_.kills;
  node->kill();
  start_later(*node, draw(random_, milliseconds(10), seconds(random_.chance(0.3) ? 20 : 2)));
}

void Run::lose_power() {
  SimulatedNode* const node = any_running();
  if (node == nullptr) return;
  world_.note(fmt::format("{} loses power", node->name()));
  ++counts_.power_losses;
  node->lose_power();
  start_later(*node, draw(random_, milliseconds(500), seconds(random_.chance(0.3) ? 20 : 5)));
}

void Run::stop_and_start() {
  SimulatedNode* const node = any_running();
  if (node == nullptr) return;
  world_.note(fmt::format("{} is told to stop", node->name()));
  ++counts_.stops;
  node->stop();
  start_later(*node, draw(random_, seconds(8), seconds(20)));
}

void Run::freeze() {
  SimulatedNode* const node = any_running();
  if (node == nullptr) return;
  const Duration duration = draw(random_, milliseconds(50), seconds(random_.chance(0.3) ? 15 : 2));
  world_.note(fmt::format("{} is frozen for {:.1f} s", node->name(),
                          std::chrono::duration<double>(duration).count()));
  ++counts_.freezes;
  node->freeze_for(duration);
}

void Run::cut_one_way() {
  const SimulatedNode& from = *nodes_[random_.below(nodes_.size())];
  const SimulatedNode& to = *nodes_[random_.below(nodes_.size())];
  if (&from == &to) return;
  const bool both = random_.chance(0.5);
  world_.note(fmt::format("cut from {} to {}{}", from.name(), to.name(), both ? " and back" : ""));
  ++counts_.cuts;
  network_.cut(from.host(), to.host());
  if (both) network_.cut(to.host(), from.host());
  world_.after(draw(random_, milliseconds(300), seconds(20)), nullptr, [this, &from, &to] {
    network_.heal(from.host(), to.host());
    network_.heal(to.host(), from.host());
  });
}

void Run::split() {
  std::vector<std::string> left;
  std::vector<std::string> right;
  for (const auto& node : nodes_) (random_.chance(0.5) ? left : right).push_back(node->host());
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    (random_.chance(0.5) ? left : right).push_back(fmt::format("10.1.0.{}", i + 1));
  }
  world_.note("the network splits");
  ++counts_.partitions;
  for (const auto& a : left) {
    for (const auto& b : right) {
      network_.cut(a, b);
      network_.cut(b, a);
    }
  }
  world_.after(draw(random_, seconds(1), seconds(25)), nullptr, [this, left, right] {
    world_.note("the split heals");
    for (const auto& a : left) {
      for (const auto& b : right) {
        network_.heal(a, b);
        network_.heal(b, a);
      }
    }
  });
}

void Run::isolate() {
  const SimulatedNode& one = *nodes_[random_.below(nodes_.size())];
  world_.note(fmt::format("{} is alone", one.name()));
  ++counts_.partitions;
  for (const auto& node : nodes_) {
    network_.cut(one.host(), node->host());
    network_.cut(node->host(), one.host());
  }
  world_.after(draw(random_, seconds(1), seconds(25)), nullptr, [this, &one] {
    for (const auto& node : nodes_) {
      network_.heal(one.host(), node->host());
      network_.heal(node->host(), one.host());
    }
  });
}

void Run::flap() {
  const SimulatedNode& from = *nodes_[random_.below(nodes_.size())];
  const SimulatedNode& to = *nodes_[random_.below(nodes_.size())];
  if (&from == &to) return;
  world_.note(fmt::format("the way from {} to {} flaps", from.name(), to.name()));
  ++counts_.cuts;
  Duration at{0};
  for (std::size_t i = 0; i < 10; ++i) {
    at += draw(random_, milliseconds(50), milliseconds(1'500));
    world_.after(at, nullptr, [this, &from, &to] { network_.cut(from.host(), to.host()); });
    at += draw(random_, milliseconds(50), milliseconds(1'500));
    world_.after(at, nullptr, [this, &from, &to] { network_.heal(from.host(), to.host()); });
  }
}

void Run::worsen_network() {
  world_.note("the network is bad");
  ++counts_.bad_networks;
  Network::Quality bad;
  bad.delay_max =
      draw(random_, milliseconds(10), milliseconds(level_ == Faults::kHell ? 800 : 200));
  bad.loss = 0.2 * random_.unit();
  network_.set_quality(bad);
  world_.after(draw(random_, seconds(1), seconds(15)), nullptr,
               [this] { network_.set_quality(quality_); });
}

void Run::slow_a_disk() {
  SimulatedNode& node = *nodes_[random_.below(nodes_.size())];
  world_.note(fmt::format("the disk of {} is slow", node.name()));
  ++counts_.slow_disks;
  node.disk_speed() = {milliseconds(1), draw(random_, milliseconds(10), milliseconds(1'500))};
  world_.after(draw(random_, seconds(1), seconds(15)), nullptr,
               [&node] { node.disk_speed() = DiskSpeed{}; });
}

void Run::jump_a_clock() {
  SimulatedNode& node = *nodes_[random_.below(nodes_.size())];
  const Duration by =
      draw(random_, -seconds(3'600), seconds(3'600)) / (random_.chance(0.5) ? 1 : 500);
  world_.note(fmt::format("the clock of {} is wrong by {:.1f} s", node.name(),
                          std::chrono::duration<double>(by).count()));
  ++counts_.clock_jumps;
  node.time().set_wrong_by(by);
}

void Run::back_up() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->serving()) return;
  world_.note(fmt::format("{} is copied", node->name()));
  backups_.push_back({node->index(), disk_.copy_while_running(node->directory(), random_)});
}

bool Run::all_others_serve(const SimulatedNode& node) const {
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [&](const auto& other) { return other.get() == &node || other->serving(); });
}

void Run::forgive_what_it_alone_had(const SimulatedNode& node) {
  records_->for_each_acknowledged([&](WriteRecord& record) {
    for (const auto& other : nodes_) {
      if (other.get() == &node) continue;
      const auto entry = other->node().store().load(record.key, model::Values::kWithout);
      if (entry.ok() && entry->vector.covers(*record.dot)) return;
    }
    record.may_be_lost = true;
  });
}

// One at a time: until all owners hold the same again, a second one could lose what quorums
// acknowledged.
void Run::restore() {
  if (backups_.empty() || records_->went_back() || mending_ || reads_fail_) return;
  const Backup& backup = backups_[random_.below(backups_.size())];
  SimulatedNode& node = *nodes_[backup.node];
  if (node.stopping() || !all_others_serve(node)) return;
  world_.note(fmt::format("{} is restored from its copy", node.name()));
  ++counts_.restores;
  node.restore(backup.image);
  records_->disks_went_back(world_.now());
  forgive_what_it_alone_had(node);
  start_later(node, draw(random_, milliseconds(10), seconds(5)));
}

void Run::damage() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || records_->went_back() || mending_ || reads_fail_) return;
  if (!all_others_serve(*node)) return;
  node->kill();
  const std::string what = node->damage();
  world_.note(fmt::format("{} is killed, {}", node->name(), what));
  if (!what.empty()) {
    ++counts_.damages;
    mending_ = true;
    salvaging_.clear();
    records_->disk_was_damaged(world_.now());
    forgive_what_it_alone_had(*node);
  }
  start_later(*node, draw(random_, milliseconds(10), seconds(5)));
}

void Run::forget_dot_logs() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->serving()) return;
  ++counts_.forgotten_logs;
  node->node().store().forget_dot_logs();
}

// Reads of tables fail for a while, at one machine at a time.
void Run::fail_reads() {
  const SimulatedNode* const node = any_running();
  if (node == nullptr || mending_) return;
  world_.note(fmt::format("reads of the disk of {} fail", node->name()));
  const std::uint64_t before = disk_.bad_reads();
  disk_.fail_reads(node->directory(), random_.below(3), storage::LossyDisk::BadRead::kError);
  reads_fail_ = true;
  world_.after(draw(random_, milliseconds(10), seconds(5)), nullptr, [this, before] {
    disk_.heal_reads();
    reads_fail_ = false;
    counts_.bad_reads += disk_.bad_reads() - before;
  });
}

// ---- checks ----

std::set<PartitionId> Run::owned_by_both(const SimulatedNode& a, const SimulatedNode& b) const {
  std::set<PartitionId> both;
  const auto& ring = const_cast<SimulatedNode&>(a).node().cluster();
  for (const PartitionId id :
       ring.shared_with(const_cast<SimulatedNode&>(b).node().store().node())) {
    both.insert(id);
  }
  return both;
}

void Run::probe() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (std::size_t j = i + 1; j < nodes_.size(); ++j) {
      if (!nodes_[i]->serving() || !nodes_[j]->serving()) continue;
      for (const PartitionId id : owned_by_both(*nodes_[i], *nodes_[j])) {
        const storage::View& mine = live(*nodes_[i], id);
        const storage::View& theirs = live(*nodes_[j], id);
        if (mine.clock() == theirs.clock() && mine.tree().root().unquiet == 0 &&
            theirs.tree().root().unquiet == 0 &&
            mine.tree().root().sum != theirs.tree().root().sum) {
          say_contents(*nodes_[i], id);
          say_contents(*nodes_[j], id);
          differ_for_good(
              fmt::format("{} and {} have equal clocks in partition {}, both quiet, and hold "
                          "different versions (I3)",
                          nodes_[i]->name(), nodes_[j]->name(), id.value));
        }
      }
    }
  }
  if ((records_->went_back() || mending_) && not_equal_because().empty()) {
    records_->caught_up(world_.now());
    mending_ = false;
  }
  world_.after(kProbeInterval, nullptr, [this] { probe(); });
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
  for (const auto& node : nodes_) {
    if (!node->ready()) return fmt::format("{} is not ready", node->name());
  }
  for (const auto& a : nodes_) {
    for (const auto& b : nodes_) {
      if (a.get() == b.get()) continue;
      const auto shared = owned_by_both(*a, *b);
      if (shared.empty() && nodes_.size() <= kOwners) {
        return fmt::format("{} does not know {}", a->name(), b->name());
      }
      for (const PartitionId id : shared) {
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
  return {};
}

void Run::heal() {
  world_.note("everything heals");
  faults_on_ = false;
  network_.heal_all();
  network_.set_quality({});
  disk_.heal_reads();
  reads_fail_ = false;
  for (auto& client : clients_) client->stop_calling();
  for (const auto& node : nodes_) {
    node->disk_speed() = DiskSpeed{};
    node->time().set_wrong_by(Duration::zero());
  }
  const Instant begun = world_.now();
  const auto quiet = [&] {
    return is_over() ||
           (std::all_of(clients_.begin(), clients_.end(),
                        [](const auto& client) { return client->outstanding() == 0; }) &&
            not_equal_because().empty());
  };
  if (!world_.run_until(begun + kHealTime, quiet)) {
    differ_for_good(fmt::format(
        "{:.0f} s after everything healed {}", std::chrono::duration<double>(kHealTime).count(),
        not_equal_because().empty() ? "calls are still outstanding" : not_equal_because()));
  }
}

void Run::check_end() {
  for (const auto& [key, writes] : records_->keys()) {
    for (const auto& node : nodes_) {
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
  for (const auto& node : nodes_) {
    for (std::uint32_t id = 0; id < config_.partitions; ++id) {
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

RunResult Run::go() {
  for (const auto& node : nodes_) start_later(*node, draw(random_, Duration::zero(), seconds(1)));
  const auto formed = [&] {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
      return node->ready() && node->node().cluster().members().size() == nodes_.size();
    });
  };
  RunResult result;
  if (!world_.run_until(world_.now() + kFormTime, [&] { return is_over() || formed(); })) {
    broken("the cluster does not form");
  }
  if (!is_over()) {
    faults_on_ = true;
    probe();
    for (auto& client : clients_) client->start();
    schedule_fault();
    world_.run_until(world_.now() + options_.duration, [&] { return is_over(); });
  }
  if (!is_over()) {
    const Instant begun = world_.now();
    heal();
    result.healed_in = world_.now() - begun;
  }
  if (!is_over()) check_end();
  for (const auto& client : clients_) {
    counts_.calls += client->calls();
    counts_.failed_calls += client->failures();
  }
  counts_.never_equal = never_equal_ ? 1 : 0;
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

}  // namespace

namespace {

constexpr std::pair<const char*, std::uint64_t Counts::*> kCounts[] = {
    {"calls", &Counts::calls},
    {"failed calls", &Counts::failed_calls},
    {"acknowledged writes", &Counts::writes_acknowledged},
    {"reads", &Counts::reads},
    {"reads with siblings", &Counts::reads_with_siblings},
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
    {"forgotten logs", &Counts::forgotten_logs},
    {"bad reads", &Counts::bad_reads},
    {"damages", &Counts::damages},
    {"salvages", &Counts::salvages},
    {"beyond salvage", &Counts::beyond_salvage},
    {"never equal after damage", &Counts::never_equal},
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
