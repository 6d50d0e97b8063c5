#include "tests/simulation/simulated_node.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "storage/base/check.h"

namespace grapevine::simulation {

SimulatedNode::SimulatedNode(World& world, Network& network, storage::LossyDisk& disk,
                             std::size_t index, server::Config config, std::uint64_t seed,
                             Report report)
    : world_(world),
      network_(network),
      disk_(disk),
      index_(index),
      host_(host_of(index)),
      config_(std::move(config)),
      random_(seed),
      report_(std::move(report)),
      time_(world) {
  config_.name = fmt::format("node{}", index + 1);
  config_.data_dir = fmt::format("/node{}", index + 1);
  move_to(host_of(index));
}

void SimulatedNode::move_to(const std::string& host) {
  host_ = host;
  config_.client_listen = {host_, kClientPort};
  config_.peer_listen = {host_, kPeerPort};
  config_.http_listen = {host_, kHttpPort};
}

SimulatedNode::~SimulatedNode() {
  if (running()) drop();
}

void SimulatedNode::start(bool salvage) {
  GRAPEVINE_CHECK(!running(), "the process runs already");
  const std::uint64_t life = ++lives_;
  network_.power_on(host_);
  stopping_ = false;
  loop_ = std::make_unique<SimulatedLoop>(world_, network_, time_, host_, config_.name);
  // The process may end only outside of its own events.
  const auto end = [this, life](absl::Status status) {
    world_.after(Duration::zero(), nullptr, [this, life, status = std::move(status)] {
      if (life != lives_ || !running()) return;
      world_.note(fmt::format("{} ends", name()));
      world_.say(text_of(status));  // RocksDB draws names, which checksums are of, from the machine
      const bool opening = node_->opening();
      drop();
      report_.on_ended(*this, status, opening);
    });
  };
  server::Machine machine;
  machine.seed = random_.next();
  for (auto& byte : machine.packet_salt) byte = static_cast<std::uint8_t>(random_.next());
  machine.store.environment = disk_.environment();
  machine.store.memtable_bytes = memtable_bytes_;
  machine.begin_life = [this](const std::string&) -> absl::StatusOr<storage::Life> {
    return storage::Life{fmt::format("machine {}", index_), fmt::format("boot {}", boots_),
                         fmt::format("directory {}", directories_)};
  };
  machine.make_disk = [this](rpc::Loop&) -> std::unique_ptr<server::Disk> {
    return std::make_unique<SimulatedDisk>(*loop_, disk_speed_, random_.next());
  };
  machine.on_fatal = [this, end](const absl::Status& status) {
    // From here on the real process does nothing more.
    loop_->process()->stopped_until = Instant{Duration::max()};
    disk_.freeze(config_.data_dir);
    end(status);
  };
  server::Config config = config_;
  config.salvage = salvage;
  auto node = server::Node::start(*loop_, std::move(config), std::move(machine));
  GRAPEVINE_CHECK(node.ok(), "a simulated node does not start");
  node_ = *std::move(node);
  loop_->post([this, end] {
    loop_->spawn(node_->opened().then([this, end](absl::Status status) {
      if (absl::IsCancelled(status)) return;
      if (status.ok() && id_.has_value() && *id_ != node_->store().node()) {
        status = absl::DataLossError("it would go on as another node");
      }
      if (!status.ok()) return end(std::move(status));
      id_ = node_->store().node();
    }));
    loop_->spawn(node_->ended().then([this, end](const absl::Status& status) {
      stopping_ = true;
      return node_->stop().then([end, status] { end(status); });
    }));
  });
}

// The objects go; on the disk nothing happens.
void SimulatedNode::drop() {
  disk_.freeze(config_.data_dir);
  loop_->process()->gone = true;
  node_.reset();
  loop_.reset();
  disk_.thaw(config_.data_dir);
}

void SimulatedNode::stop() {
  stopping_ = true;
  const std::uint64_t life = lives_;
  loop_->post([this, life] {
    loop_->spawn(node_->stop().then([this, life] {
      world_.after(Duration::zero(), nullptr, [this, life] {
        if (life != lives_ || !running()) return;
        world_.note(fmt::format("{} has stopped", name()));
        loop_->process()->gone = true;
        node_.reset();
        loop_.reset();
      });
    }));
  });
}

void SimulatedNode::leave(Duration timeout, std::function<void(const absl::Status&)> done) {
  loop_->post([this, timeout, done = std::move(done)]() mutable {
    loop_->spawn(node_->leave(timeout).then([this, done](const absl::Status& status) {
      world_.after(Duration::zero(), nullptr, [done, status] { done(status); });
    }));
  });
}

void SimulatedNode::kill() {
  drop();
}

void SimulatedNode::lose_power() {
  network_.power_off(host_);
  if (running()) drop();
  disk_.lose_power(config_.data_dir, random_);
  disk_.lose_power(backup_directory(), random_);
  ++boots_;
}

void SimulatedNode::freeze_for(Duration duration) {
  loop_->process()->stopped_until = world_.now() + duration;
}

std::string SimulatedNode::damage() {
  storage::LossyDisk::Image image = disk_.copy(config_.data_dir);
  std::vector<std::string> tables;
  for (const auto& [name, bytes] : image) {
    if (name.ends_with(".sst")) tables.push_back(name);
  }
  if (tables.empty()) return {};
  before_damage_ = image;
  const std::string& table = tables[random_.below(tables.size())];
  std::string& bytes = image.at(table);
  std::string what;
  if (random_.chance(0.3)) {
    image.erase(table);
    what = fmt::format("{} is lost", table);
  } else {
    const std::size_t at = random_.below(bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_.below(8)));
    what = fmt::format("a bit of {} turns over, at {} of {}", table, at, bytes.size());
  }
  disk_.place(config_.data_dir, image);
  return what;
}

void SimulatedNode::undo_damage() {
  disk_.place(config_.data_dir, before_damage_);
}

void SimulatedNode::scrap() {
  disk_.remove(config_.data_dir);
  disk_.remove(backup_directory());
  ++directories_;
  id_.reset();
}

absl::StatusOr<std::vector<storage::BackupInfo>> SimulatedNode::backups() const {
  if (!id_.has_value()) return absl::NotFoundError("nothing has run here");
  return storage::list_backups(backup_directory() + "/" + to_string(*id_), disk_.environment());
}

absl::Status SimulatedNode::restore_backup(std::uint32_t number) {
  disk_.remove(config_.data_dir);
  ++directories_;
  storage::RestoreOptions options;
  options.backup_directory = backup_directory() + "/" + to_string(id_.value());
  options.number = number;
  options.data_directory = config_.data_dir;
  options.environment = disk_.environment();
  return storage::restore_backup(options).status();
}

void SimulatedNode::restore(const storage::LossyDisk::Image& image) {
  if (running()) drop();
  disk_.place(config_.data_dir, image);
  ++directories_;
}

}  // namespace grapevine::simulation
