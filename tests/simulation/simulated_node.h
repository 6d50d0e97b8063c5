// One machine of a simulated cluster with the real node on it, over all the lives of its process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/node.h"
#include "storage/backup.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/network.h"
#include "tests/simulation/world.h"
#include "tests/storage/lossy_disk.h"

namespace grapevine::simulation {

// Resource. Starts and ends of its process happen in events of the world, never inside the process's
// own.
class SimulatedNode {
 public:
  static constexpr std::uint16_t kClientPort = 4740;
  static constexpr std::uint16_t kPeerPort = 4741;
  static constexpr std::uint16_t kHttpPort = 4742;

  struct Report {
    // The process ended by itself: it could not open its directory (`opening`), or could not go on.
    // OK: it has left its cluster.
    std::function<void(SimulatedNode&, const absl::Status&, bool opening)> on_ended;
  };

  // `config`: names, ports, directory and seeds are filled in here. `hosts`: of all machines.
  SimulatedNode(World& world, Network& network, storage::LossyDisk& disk, std::size_t index,
                server::Config config, std::uint64_t seed, Report report);
  ~SimulatedNode();
  SimulatedNode(const SimulatedNode&) = delete;
  SimulatedNode& operator=(const SimulatedNode&) = delete;

  static std::string host_of(std::size_t index) { return "10.0.0." + std::to_string(index + 1); }
  const std::string& host() const { return host_; }
  const std::string& name() const { return config_.name; }
  std::size_t index() const { return index_; }
  const std::string& directory() const { return config_.data_dir; }

  // REQUIRES of all that follow: running() or not, as the words say.
  void start(bool salvage = false);
  void stop();        // SIGTERM: ends by itself a moment later
  void kill();        // SIGKILL
  void lose_power();  // what was not synced is lost, in part; goes dark until start()
  void freeze_for(Duration duration);  // SIGSTOP … SIGCONT
  // Something happens to a stored table: it is lost, or a bit of it turns over. What, in words;
  // empty: there is none. REQUIRES: not running.
  std::string damage();
  void undo_damage();  // REQUIRES: not running, and nothing has run since but in vain
  // Where the node puts its backups when told; on the same disk.
  std::string backup_directory() const { return "/backups" + std::to_string(index_ + 1); }
  // Those that are there. REQUIRES: none is being made.
  absl::StatusOr<std::vector<storage::BackupInfo>> backups() const;
  // `grapevine restore` into an emptied directory. REQUIRES: not running.
  absl::Status restore_backup(std::uint32_t number);
  // Another directory, which holds this; another boot of the machine.
  void restore(const storage::LossyDisk::Image& image);
  // Its disk is another, empty one, its backups are lost: what starts here next is another node. REQUIRES: not running.
  void scrap();
  // Gives up membership; `done` in an event of the world, unless the process ends before.
  void leave(Duration timeout, std::function<void(const absl::Status&)> done);
  // Does something within the process, in an event of its own; not if that has ended before.
  void as_the_process(std::function<void(server::Node&)> act) {
    loop_->post([this, act = std::move(act)] { act(*node_); });
  }
  // Of the lives that begin from now on.
  void set_seeds(std::vector<std::string> seeds) { config_.join = std::move(seeds); }
  // Its machine has another address from the next start on, which is not any other machine's.
  void move_to(const std::string& host);

  bool running() const { return node_ != nullptr; }
  bool stopping() const { return stopping_; }
  bool serving() const { return running() && !stopping_ && !node_->opening(); }
  bool ready() const { return serving() && node_->not_ready_because().empty(); }
  server::Node& node() const { return *node_; }

  // Of the lives that begin from now on.
  void set_memtable_bytes(std::size_t bytes) { memtable_bytes_ = bytes; }
  MachineTime& time() { return time_; }
  DiskSpeed& disk_speed() { return disk_speed_; }
  std::uint64_t lives() const { return lives_; }

 private:
  void drop();

  World& world_;
  Network& network_;
  storage::LossyDisk& disk_;
  const std::size_t index_;
  std::string host_;
  server::Config config_;
  Random random_;
  const Report report_;
  MachineTime time_;
  DiskSpeed disk_speed_;
  std::size_t memtable_bytes_ = std::size_t{64} << 10;
  std::uint64_t boots_ = 1;
  std::uint64_t directories_ = 1;
  std::uint64_t lives_ = 0;
  bool stopping_ = false;
  storage::LossyDisk::Image before_damage_;
  std::optional<NodeId> id_;  // as it was first
  std::unique_ptr<SimulatedLoop> loop_;
  std::unique_ptr<server::Node> node_;
};

}  // namespace grapevine::simulation
