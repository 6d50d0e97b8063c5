// One node of a history: a real store on a disk that forgets, behind gossip's ports, with a ghost.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/store_replica.h"
#include "storage/store.h"
#include "tests/gossip/ghost.h"
#include "tests/storage/lossy_disk.h"
#include "tests/storage/scene.h"

namespace grapevine::histories {

using gossip::Reached;
using gossip::ReachedByKey;
using storage::HandExecutor;
using storage::HandTime;
using storage::LossyDisk;

// A store over all its lives: opened, killed, restored. The ghost follows it: what a crash left on
// the disk decides which commits its events fall back to, and RocksDB is not asked.
//
// Resource. Disk and time must outlive it.
class StoredReplica final : public gossip::GhostlyReplica {
 public:
  // Not open yet. `options`: directory, environment and life are filled in here.
  StoredReplica(LossyDisk& disk, HandTime& time, std::size_t index, std::uint64_t seed,
                storage::StoreOptions options);
  ~StoredReplica() override;
  StoredReplica(const StoredReplica&) = delete;
  StoredReplica& operator=(const StoredReplica&) = delete;

  // gossip's ports.
  const gossip::PartitionView& live(PartitionId partition) const override;
  std::unique_ptr<gossip::PartitionView> freeze(PartitionId partition) const override;
  NamedDots name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                      bool with_young, std::size_t limit) const override;
  bool reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const override {
    return replica_->reaches(partition, dots);
  }
  bool names_none(PartitionId partition) const override { return replica_->names_none(partition); }
  std::uint64_t digest(std::string_view key, const model::Entry& entry) const override {
    return replica_->digest(key, entry);
  }
  absl::Status merge(PartitionId partition, std::vector<model::KeyedEntry> entries) override;
  absl::Status adopt(PartitionId partition, const model::Clock& clock) override;
  absl::Status close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) override {
    return replica_->close_actors(partition, node, epoch);
  }
  absl::Status add_up(PartitionId partition) override;
  std::vector<PartitionId> partitions() const override;
  ReachedByKey reached(PartitionId partition) const override;
  const ReachedByKey& reached() const { return reached_; }
  void arriving(std::shared_ptr<const ReachedByKey> reached) override {
    arriving_ = std::move(reached);
  }

  // R8; `gone` is what counts as seen from now on.
  absl::Status close(PartitionId partition, ActorId last, const ReachedByKey& gone);

  // Direct replication.
  absl::Status receive(const std::vector<model::KeyedEntry>& entries, const ReachedByKey& reached);
  // A batch written here was committed: these are its events. It counts as acknowledged when the
  // store calls it durable.
  void committed(storage::CommitNumber number, const ReachedByKey& reached);

  storage::Store& store() { return *store_; }
  const storage::Store& store() const { return *store_; }
  Reached reached(std::string_view key) const;
  const std::vector<absl::Status>& fatal() const { return fatal_; }
  // How often the store was told that it has forgotten dots of its actor (R7).
  std::uint64_t renewals() const { return renewals_; }

  // What may befall it. All but open() leave it closed. Messages under way must be gone before.
  // `salvage`: as an operator starts a node whose directory was refused as damaged.
  absl::Status open(bool salvage = false);
  // The executor does what it was given: fsyncs, reading ahead.
  void sync() { executor_->run_all(); }
  // Upkeep until nothing is left to do.
  absl::Status upkeep_all();
  absl::Status stop();
  void kill();
  // False: something that was called durable is gone.
  [[nodiscard]] bool lose_power(Random& random);

  // A copy of the directory, and what has reached whoever starts in it.
  struct Backup {
    LossyDisk::Image image;
    ReachedByKey reached;
  };
  Backup back_up() const;
  Backup copy_while_running(Random& random) const;
  // It goes on in another directory, which holds this.
  void restore(const Backup& backup);

  // Lasting damage: a file is gone, or a byte of it is another. What was done; empty: there was
  // nothing to be damaged. REQUIRES: it is closed.
  std::string damage(Random& random);
  // It is killed, and the byte that damage() turned over last is turned back, if its table is still
  // there. False, and nothing done: it was no byte.
  bool turn_back();
  // It begins anew in an empty directory.
  void refill();
  // Reads everything that is stored, as the scrub and readers do in the end: false when that met
  // damage, and the store wants to be opened anew.
  bool scrub_all();
  // What it opened with is less than had reached it.
  void left_with(ReachedByKey reached);

 private:
  // What had reached it when its log ended there.
  struct Point {
    LossyDisk::LogEnd end;
    ReachedByKey reached;
  };

  void remember();
  void drop();
  template <typename Holds>
  std::size_t last_held(const Holds& holds) const;

  LossyDisk& disk_;
  HandTime& time_;
  Random random_;
  storage::StoreOptions options_;
  std::uint64_t boots_ = 1;
  std::uint64_t directories_ = 1;

  std::unique_ptr<HandExecutor> executor_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<server::StoreReplica> replica_;
  std::vector<absl::Status> fatal_;
  std::uint64_t renewals_ = 0;
  struct {
    std::string table;
    std::string bytes;  // as they were
  } turned_;

  ReachedByKey reached_;
  std::vector<Point> points_;     // of this life; the first: what it began with, durable
  std::size_t acknowledged_ = 0;  // the last point that was called durable
  std::shared_ptr<const ReachedByKey> arriving_;
};

}  // namespace grapevine::histories
