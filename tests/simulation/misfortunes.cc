// What befalls a simulated cluster.
#include <algorithm>

#include <fmt/format.h>

#include "tests/simulation/cluster_run.h"

namespace grapevine::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

const std::vector<Run::Fault>& Run::all_faults() {
  static const std::vector<Fault> faults{
      {10, &Run::kill},           {10, &Run::lose_power},
      {5, &Run::stop_and_start},  {8, &Run::freeze},
      {8, &Run::cut_one_way},     {6, &Run::split},
      {6, &Run::isolate},         {4, &Run::flap},
      {6, &Run::worsen_network},  {5, &Run::slow_a_disk},
      {3, &Run::jump_a_clock},    {5, &Run::back_up},
      {8, &Run::restore},         {4, &Run::forget_dot_logs},
      {6, &Run::fail_reads},      {4, &Run::damage},
      {4, &Run::fill_a_disk},     {4, &Run::burst},
      {1, &Run::crowd},           {6, &Run::join},
      {5, &Run::leave},           {4, &Run::bury},
      {4, &Run::replace},         {8, &Run::make_backup},
      {4, &Run::crash_in_a_pull}, {4, &Run::crash_while_opening},
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
  for (SimulatedNode* const node : members_) {
    if (node->running() && !node->stopping()) running.push_back(node);
  }
  return running.empty() ? nullptr : running[random_.below(running.size())];
}

void Run::start_later(SimulatedNode& node, Duration pause) {
  world_.after(pause, nullptr, [this, &node] {
    if (node.stopping() && node.running()) return start_later(node, seconds(1));
    if (node.running() || !is_member(node)) return;
    world_.note(fmt::format("{} is started", node.name()));
    node.start();
  });
}

void Run::on_ended(SimulatedNode& node, const absl::Status& status, bool opening) {
  if (status.ok()) return on_left(node);
  // Somebody starts it again, until the disk is well.
  if (reads_fail_ || full_.contains(node.index())) return start_later(node, seconds(1));
  if (absl::IsDataLoss(status) && salvaging_.contains(node.index())) {
    // Beyond salvage: it would go on as another node, with an empty directory, and the operator would
    // remove the old one. Here the disk turns out to be well after all.
    ++counts_.beyond_salvage;
    node.undo_damage();
    return start_later(node, seconds(1));
  }
  // Its disk has room again; it starts anew by itself.
  if (absl::IsAborted(status) && counts_.full_disks > 0) {
    ++counts_.started_anew;
    return start_later(node, milliseconds(10));
  }
  if (absl::IsDataLoss(status) && (mending_ || damaged_.contains(node.index()))) {
    // It may be found long after: all were equal again, and nobody had read there.
    if (!mending_) {
      mending_ = true;
      salvaging_.clear();
      records_->disk_was_damaged(world_.now());
    }
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
  const SimulatedNode& from = any_member();
  const SimulatedNode& to = any_member();
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
  const SimulatedNode& one = any_member();
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
  const SimulatedNode& from = any_member();
  const SimulatedNode& to = any_member();
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
  SimulatedNode& node = any_member();
  world_.note(fmt::format("the disk of {} is slow", node.name()));
  ++counts_.slow_disks;
  node.disk_speed() = {milliseconds(1), draw(random_, milliseconds(10), milliseconds(1'500))};
  world_.after(draw(random_, seconds(1), seconds(15)), nullptr,
               [&node] { node.disk_speed() = DiskSpeed{}; });
}

void Run::jump_a_clock() {
  SimulatedNode& node = any_member();
  const Duration by =
      draw(random_, -seconds(3'600), seconds(3'600)) / (random_.chance(0.5) ? 1 : 500);
  world_.note(fmt::format("the clock of {} is wrong by {:.1f} s", node.name(),
                          std::chrono::duration<double>(by).count()));
  ++counts_.clock_jumps;
  node.time().set_wrong_by(by);
  records_->clocks_wrong_by(by < Duration::zero() ? -by : by);
}

void Run::back_up() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->serving()) return;
  world_.note(fmt::format("{} is copied", node->name()));
  backups_.push_back({node->index(), disk_.copy_while_running(node->directory(), random_)});
}

bool Run::all_others_serve(const SimulatedNode& node) const {
  return std::all_of(members_.begin(), members_.end(), [&](const SimulatedNode* other) {
    return other == &node || other->serving();
  });
}

void Run::forgive_what_it_alone_had(const SimulatedNode& node) {
  records_->for_each_acknowledged([&](WriteRecord& record) {
    for (const SimulatedNode* const other : members_) {
      if (other == &node) continue;
      const auto entry = other->node().store().load(record.key, model::Values::kWithout);
      if (entry.ok() && entry->vector.covers(*record.dot)) return;
    }
    record.may_be_lost = true;
  });
}

// One at a time: until all owners hold the same again, a second one could lose what quorums
// acknowledged.
void Run::restore() {
  if (records_->went_back() || mending_ || reads_fail_) return;
  if ((backups_.empty() || random_.chance(0.7)) && restore_own_backup()) return;
  if (backups_.empty()) return;
  const Backup& backup = backups_[random_.below(backups_.size())];
  SimulatedNode& node = *nodes_[backup.node];
  if (!is_member(node) || any_leaving() || node.stopping() || !all_others_serve(node)) return;
  world_.note(fmt::format("{} is restored from its copy", node.name()));
  ++counts_.restores;
  node.restore(backup.image);
  damaged_.erase(node.index());
  records_->disks_went_back(world_.now());
  forgive_what_it_alone_had(node);
  start_later(node, draw(random_, milliseconds(10), seconds(5)));
}

void Run::damage() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || records_->went_back() || mending_ || reads_fail_ || any_leaving()) return;
  if (!all_others_serve(*node)) return;
  node->kill();
  const std::string what = node->damage();
  world_.note(fmt::format("{} is killed, {}", node->name(), what));
  if (!what.empty()) {
    ++counts_.damages;
    mending_ = true;
    damaged_.insert(node->index());
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

// A machine's disk takes no more for a while.
void Run::fill_a_disk() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || mending_ || full_.contains(node->index())) return;
  world_.note(fmt::format("the disk of {} is full", node->name()));
  ++counts_.full_disks;
  full_.insert(node->index());
  disk_.fill(node->directory(), random_.below(random_.chance(0.5) ? 200 : 50'000));
  world_.after(draw(random_, milliseconds(10), seconds(10)), nullptr, [this, node] {
    world_.note(fmt::format("the disk of {} has room", node->name()));
    disk_.make_room(node->directory());
    full_.erase(node->index());
  });
}

// Every client calls as fast as it can for a while.
void Run::burst() {
  if (workload_.pause != pause_) return;
  world_.note("a burst of calls");
  ++counts_.bursts;
  workload_.pause /= 20;
  workload_.outstanding_max *= 16;
  world_.after(draw(random_, milliseconds(200), seconds(3)), nullptr, [this] {
    workload_.pause = pause_;
    workload_.outstanding_max /= 16;
  });
}

void Run::crowd() {
  if (crowded_) return;
  crowded_ = true;
  const std::size_t puts = 200 + random_.below(1'300);
  world_.note(fmt::format("{} puts of one key", puts));
  ++counts_.crowds;
  clients_[random_.below(clients_.size())]->crowd(puts);
}

}  // namespace grapevine::simulation
