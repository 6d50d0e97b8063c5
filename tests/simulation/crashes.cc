// Crashes in the middle of something: of opening, of a digest pull, of a backup or its restore.
//
// Opening, backups and restores are one event each: what a crash in the middle of them leaves is what
// the disk holds after so many changes (LossyDisk::stop_after); the process is killed, or loses power,
// before anybody hears of the rest.
#include <algorithm>

#include <fmt/format.h>

#include "tests/simulation/cluster_run.h"

namespace grapevine::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using NoBackups = std::vector<storage::BackupInfo>;

constexpr Duration kDoomTime = seconds(5);  // then it was not to be
constexpr Duration kPullTime = seconds(20);

}  // namespace

// After each event.
void Run::settle() {
  disk_.await_idle();
  if (doomed_.has_value()) {
    SimulatedNode& node = *doomed_->node;
    const bool lives = node.running() && node.lives() == doomed_->life;
    if (lives && disk_.stopped()) {
      ++*doomed_->count;
      crash(node, doomed_->what);
      forget_doomed();
    } else if (node.lives() > doomed_->life || world_.now() > doomed_->until) {
      forget_doomed();
    }
  }
  if (!crash_in_a_pull_until_.has_value()) return;
  if (world_.now() > *crash_in_a_pull_until_) return crash_in_a_pull_until_.reset();
  const bool pulls = std::any_of(members_.begin(), members_.end(), [](const SimulatedNode* node) {
    return node->serving() && node->node().views().size() > 0;
  });
  if (!pulls || !random_.chance(0.3)) return;
  SimulatedNode* const node = any_running();
  if (node == nullptr) return;
  crash_in_a_pull_until_.reset();
  ++counts_.pull_crashes;
  crash(*node, "a digest pull, its own or another one's");
}

void Run::crash(SimulatedNode& node, const std::string& what) {
  const bool power = random_.chance(0.5);
  world_.note(fmt::format("{} {} in the middle of {}", node.name(),
                          power ? "loses power" : "is killed", what));
  if (power) {
    node.lose_power();
  } else {
    node.kill();
  }
  start_later(node, draw(random_, milliseconds(10), seconds(3)));
}

// The node's life that runs, or that begins next, ends when so much has been changed.
void Run::stop_soon(SimulatedNode& node, const std::string& directory, std::uint64_t changes,
                    const std::string& what, std::uint64_t& count) {
  disk_.stop_after(directory, changes);
  doomed_ = Doomed{&node, node.lives() + (node.running() ? 0 : 1), what, &count,
                   world_.now() + kDoomTime};
}

void Run::forget_doomed() {
  disk_.go_on();
  doomed_.reset();
}

void Run::crash_while_opening() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || doomed_.has_value() || mending_ || reads_fail_ || !full_.empty()) return;
  if (random_.chance(0.5)) {
    node->kill();
  } else {
    node->lose_power();
  }
  world_.note(fmt::format("{} is started anew", node->name()));
  stop_soon(*node, node->directory(), random_.below(random_.chance(0.5) ? 12 : 60), "opening",
            counts_.opening_crashes);
  start_later(*node, milliseconds(10));
}

void Run::crash_in_a_pull() {
  if (crash_in_a_pull_until_.has_value()) return;
  for (const SimulatedNode* const node : members_) {
    if (node->serving()) node->node().store().forget_dot_logs();
  }
  crash_in_a_pull_until_ = world_.now() + kPullTime;
}

// ---- backups ----

void Run::make_backup() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->ready()) return;
  const bool crash = !doomed_.has_value() && random_.chance(0.3);
  world_.note(fmt::format("{} makes a backup", node->name()));
  if (crash) {
    stop_soon(*node, node->backup_directory(), random_.below(random_.chance(0.5) ? 12 : 80),
              "a backup", counts_.backup_crashes);
  }
  const auto keep = static_cast<std::uint32_t>(random_.below(4));
  node->as_the_process([this, node, keep](server::Node& real) {
    real.loop().spawn(real.backups()
                          .make(node->backup_directory(), keep, 0)
                          .then([this, node](const absl::StatusOr<server::Backups::Made>& made) {
                            const bool trouble = mending_ || reads_fail_ ||
                                                 full_.contains(node->index()) ||
                                                 damaged_.contains(node->index());
                            on_backed_up(*node, made.status(), trouble);
                          }));
  });
}

void Run::on_backed_up(SimulatedNode& node, const absl::Status& status, bool trouble) {
  world_.note(fmt::format("{}: backup {}", node.name(), status.ok() ? "made" : "not made"));
  world_.say(text_of(status));
  if (status.ok()) {
    ++counts_.backups;
    return;
  }
  ++counts_.backups_failed;
  const bool stopped = doomed_.has_value() && doomed_->node == &node;
  const bool busy = absl::IsFailedPrecondition(status) || absl::IsUnavailable(status) ||
                    absl::IsCancelled(status);
  if (stopped || trouble || busy || node.stopping()) return;
  broken(fmt::format("{} makes no backup: {}", node.name(), std::string(text_of(status))));
}

// The disk of a node is lost, not that of its backups; whatever crashed while they were made, those
// that are listed are whole. False: there are none.
bool Run::restore_own_backup() {
  if (any_leaving() || doomed_.has_value()) return false;
  std::vector<SimulatedNode*> backed_up;
  for (SimulatedNode* const member : members_) {
    const bool may = member->serving() && !member->node().backups().under_way();
    if (may && all_others_serve(*member) && !member->backups().value_or(NoBackups{}).empty()) {
      backed_up.push_back(member);
    }
  }
  if (backed_up.empty()) return false;
  SimulatedNode* const node = backed_up[random_.below(backed_up.size())];
  const auto backups = node->backups();
  const std::uint32_t number = (*backups)[random_.below(backups->size())].number;
  world_.note(
      fmt::format("{} is restored from backup {} of {}", node->name(), number, backups->size()));
  ++counts_.restores;
  ++counts_.backups_restored;
  records_->disks_went_back(world_.now());
  forgive_what_it_alone_had(*node);
  node->kill();
  if (random_.chance(0.5)) {
    disk_.stop_after(node->directory(), random_.below(60));
    const absl::Status first = node->restore_backup(number);
    if (disk_.stopped()) ++counts_.restore_crashes;
    disk_.go_on();
    world_.say(text_of(first));
  }
  if (const absl::Status done = node->restore_backup(number); !done.ok()) {
    broken(fmt::format("{}: backup {} cannot be restored: {}", node->name(), number,
                       std::string(text_of(done))));
  }
  damaged_.erase(node->index());
  start_later(*node, draw(random_, milliseconds(10), seconds(5)));
  return true;
}

}  // namespace grapevine::simulation
