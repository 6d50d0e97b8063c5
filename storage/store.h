// A node's partitions on its disk: the storage engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/backup.h"
#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/status.h"
#include "storage/base/time.h"
#include "storage/batch.h"
#include "storage/executor.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"
#include "storage/model/token.h"
#include "storage/partition.h"
#include "storage/store_options.h"
#include "storage/view.h"
#include "storage/waiting.h"

namespace rocksdb {
class WriteBatch;
}

namespace grapevine::storage {

class Engine;

// A place in the store's history: commits are numbered 1, 2, 3, …
using CommitNumber = std::uint64_t;

struct Committed {
  CommitNumber number = 0;
  // The keys that were written here (R1), filled, with their new dots: what the other owners must
  // get.
  std::vector<model::KeyedEntry> to_replicate;
};

struct StoreStatistics {
  std::uint64_t keys = 0;     // stored entries
  std::uint64_t unquiet = 0;  // of them, those that carry a version vector
  std::uint64_t dot_log_entries = 0;
  std::uint64_t disk_bytes = 0;     // estimated by RocksDB
  std::uint64_t keys_scrubbed = 0;  // since it was opened
  std::uint64_t keys_warmed = 0;    // asked for by Store::warm
  std::uint64_t ranges_warmed = 0;  // the same
  std::uint64_t write_stalls = 0;   // commits refused because flushes or compactions lag
};

// All partitions of one node, in one RocksDB. Every partition of the ring exists here; those that
// the node does not own are merely empty.
//
// Resource, loop thread. fsync and reads of what is not in memory run elsewhere, through the
// executor. Changes go through batches, each atomic. A commit is visible and survives kill -9 when commit() returns, and is
// durable (per options.durability) when the callback of when_durable() comes.
class Store {
 public:
  // Opens the directory, or makes it anew. Recovers the clocks; reads the digest trees as the last
  // clean stop left them, or else rebuilds them by one scan (about a second for a million keys),
  // which finds out about damage. May be called on another thread, which then hands the store over.
  // Errors: FailedPrecondition (another process has it, other cluster, other number of partitions,
  // newer format, a restore did not finish, no epoch left), DataLoss (damaged so that it cannot be
  // opened), ResourceExhausted (disk full), Cancelled (options.on_opening said so); the text names
  // directory and remedy. `executor` and `time` must outlive the store. on_fatal is called, once: with DataLoss when stored bytes
  // turned out to be damaged, which opening anew finds out about and goes on from (findings());
  // with another code when the disk failed so that what was written may be lost, or that only
  // opening anew may mend. Nothing more is promised by this store then.
  static absl::StatusOr<std::unique_ptr<Store>> open(StoreOptions options, Executor& executor,
                                                     const TimeSource& time, Random& random,
                                                     std::function<void(absl::Status)> on_fatal);
  // Without close() this is a crash, as far as the directory can tell. REQUIRES: no view is left,
  // the executor is idle.
  ~Store();

  NodeId node() const { return actor_.node(); }
  // Who this node writes as.
  ActorId actor() const { return actor_; }
  // Whether it began in an earlier life of the directory: then it may have issued dots that this
  // store has forgotten, if life.h was deceived.
  bool kept_actor() const { return kept_actor_; }
  // Whether the directory was copied, moved or restored since its last life: others may know more
  // of this node than it does.
  bool from_elsewhere() const { return from_elsewhere_; }
  // Whether opening had to scan the data: the last stop was not clean.
  bool scanned() const { return scanned_; }
  // R7: from now on a new actor. Durable when it returns. FailedPrecondition when the node has no
  // epoch left.
  absl::Status renew_actor();
  // R7: others know of a life of this node in that epoch: nothing is written until an actor beyond it
  // has begun, by renew_actor.
  void outlive(std::uint64_t epoch) { outlived_ = std::max(outlived_, epoch); }
  // The highest counter of the current actor in each partition.
  std::vector<std::uint64_t> tops(ActorId actor) const;

  // What was found to be damaged when it was opened, one line each; empty: nothing.
  const std::vector<std::string>& findings() const { return findings_; }
  // R9: whether the partition has lost entries. Its clock then claims no more than the entries that
  // are left prove, so that it deletes nothing elsewhere and is given again what it lost; but until
  // then what it does not hold may well exist, and it must not count as an owner that answers.
  bool suspect(PartitionId partition) const { return partitions_[partition.value]->suspect; }
  bool any_suspect() const;
  // It holds again what the other replicas hold, as far as can be known.
  absl::Status trust_again(PartitionId partition);

  WallTime wall_now() const { return time_.wall_now(); }
  const model::Partitioning& partitioning() const { return partitioning_; }
  const View& live(PartitionId partition) const { return *views_[partition.value]; }
  std::unique_ptr<View> freeze(PartitionId partition) const {
    return View::freeze(live(partition));
  }
  const model::Digester& digester() const { return digester_; }
  // The filled entry of a key; one without versions when it is not stored.
  absl::StatusOr<model::Entry> load(std::string_view key, model::Values values,
                                    Reach reach = Reach::kDisk) const;
  // Reads the entries of `keys` on the executor, then calls `done`: until that returns they are held
  // in memory (values from 4 KiB on only as far as the block cache keeps them: one larger than an
  // eighth of a cache of 256 MiB is read again). Not more than about bytes_max, the first ones first.
  // Errors show to who reads next.
  void warm(std::vector<std::string> keys, std::function<void()> done,
            std::size_t bytes_max = ~std::size_t{0});
  // The same for the entries of some ranges, in order, after `after_key`, at most keys_max: as far
  // as the block cache can hold them.
  void warm(std::vector<model::TokenRange> ranges, std::optional<std::string> after_key,
            std::size_t keys_max, std::function<void()> done);
  // For reads of frozen views, and View::scan_stored.
  Executor& executor() const { return executor_; }
  // From the dot log; young dots are counted as in flight unless `with_young`.
  // Whether the dot log most likely knows all of `dots` (DotLog::reaches).
  bool reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const {
    return partitions_[partition.value]->log.reaches(dots);
  }
  DotLog::Ages ages(PartitionId partition, const std::vector<model::DotRange>& dots) const {
    return partitions_[partition.value]->log.ages(dots, time_.now() - options_.in_flight_grace);
  }
  // Whether it knows none.
  bool names_none(PartitionId partition) const {
    return partitions_[partition.value]->log.size() == 0;
  }
  NamedDots name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                      bool with_young, std::size_t limit) const;
  void forget_dot_logs();

  // An error when the disk is still in the state in which the last commit failed; when it has
  // recovered, the store has, too (which may block while a memtable is written out). REQUIRES: no
  // other batch is open.
  absl::StatusOr<std::unique_ptr<Batch>> begin(Reach reach = Reach::kDisk);
  // Writes the batch. On an error nothing of it has happened, in memory or on disk, and its dots
  // will never be used again; unless the error is_stalled(): then they were used for nothing, and
  // the same batch may be made anew.
  absl::StatusOr<Committed> commit(std::unique_ptr<Batch> batch);
  // Calls back when everything up to `number` is durable: at once when it is, else later, in order.
  // Commits that wait together share one fsync.
  void when_durable(CommitNumber number, std::function<void()> done);

  // A little of the work that can wait: drops what has expired, makes trees finer, strips entries
  // that the clock has come to imply. Reads at most about `keys_budget` keys; those that are not in
  // memory are warmed first, and nothing else is done meanwhile. True when more is left to do now.
  // REQUIRES: keys_budget >= 1, no batch is open.
  absl::StatusOr<bool> upkeep(std::size_t keys_budget);

  // Begins to check about so many stored entries more, values included, against the trees, on the
  // executor; nothing when that is not done from the last time. Goes round all partitions for ever,
  // once at most in one call. What does not add up, or cannot be read, ends in on_fatal with DataLoss.
  void scrub(std::size_t keys);
  // The same for a stretch of one partition, and then `done`: with what the next stretch begins
  // with, nullopt when there is none, or with what was found. At once when there are no keys left.
  // REQUIRES: the partition's range contains `from`.
  void add_up(PartitionId partition, model::Token from, std::size_t keys,
              std::function<void(absl::StatusOr<std::optional<model::Token>>)> done);

  // Bytes that the node keeps beside the data, by name. A sync is begun, and not waited for.
  absl::Status put_note(std::string_view name, std::string_view bytes);
  absl::StatusOr<std::optional<std::string>> note(std::string_view name) const;

  // Whether nobody waits for a commit to be durable.
  bool all_durable() const { return waiters_.empty(); }
  StoreStatistics statistics() const;

  // Backs the store up while it goes on, see backup.h. The work is done by `executor`: not by the
  // store's own, where a sync would wait for it. FailedPrecondition at once when a backup is under
  // way. REQUIRES: the store outlives the call of `done`, and is not closed before.
  void back_up(BackupOptions options, Executor& executor,
               std::function<void(absl::StatusOr<BackupReport>)> done);

  // A clean stop: everything durable, and the directory knows it; the digest trees are kept for the
  // next opening. Nothing may be called afterwards. REQUIRES: the executor is idle, no batch is
  // open, no backup is under way.
  absl::Status close();

 private:
  friend class Batch;

  Store(StoreOptions options, std::unique_ptr<Engine> engine, Executor& executor,
        const TimeSource& time, std::function<void(absl::Status)> on_fatal);
  absl::Status recover(Random& random);
  // What the directory is, and how its last life ended.
  struct Past {
    ActorId actor;
    bool stopped_cleanly = false;
  };
  absl::StatusOr<Past> recover_identity(Random& random);
  absl::Status recover_clocks();
  absl::Status recover_entries(bool stopped_cleanly);
  absl::StatusOr<bool> read_trees();
  absl::Status rebuild_trees();
  absl::Status check_opening(model::Token reached) const;
  absl::Status write_trees();
  std::vector<Partition*> find_incomplete(const Total& expected) const;
  absl::Status forget_all_but_entries(const std::vector<Partition*>& incomplete);
  absl::Status write_identity(ActorId actor, bool stopped_cleanly);
  // What is not a commit waits where that is refused: it is little and rare.
  absl::Status write(rocksdb::WriteBatch& writes, Stall stall = Stall::kWait);
  absl::Status recover_from_failed_write();
  void fail(const absl::Status& status);
  struct Stretch;
  Stretch stretch_from(model::Token from, std::size_t keys);
  void check(const Stretch& stretch, std::function<void(absl::Status)> done);
  void scrub(std::size_t keys, std::size_t stretches);
  Partition& partition_of(model::Token token) {
    return *partitions_[partitioning_.of(token).value];
  }
  void write_changed_clocks(rocksdb::WriteBatch& writes) const;
  void start_sync();
  void reach_durable(CommitNumber number);
  absl::StatusOr<std::size_t> upkeep_step(Partition& partition, std::size_t keys_budget);
  void warm_for_upkeep(const model::TokenRange& range, std::optional<std::string> after_key,
                       std::size_t keys_budget);
  absl::StatusOr<std::size_t> grow_tree(Partition& partition, std::size_t keys_budget);
  absl::StatusOr<std::size_t> strip_some(Partition& partition, std::size_t keys_budget);
  absl::StatusOr<std::size_t> expire_some(std::size_t keys_budget);

  StoreOptions options_;
  model::Partitioning partitioning_;
  model::Digester digester_;
  Executor& executor_;
  const TimeSource& time_;
  std::function<void(absl::Status)> on_fatal_;
  ActorId actor_;
  std::uint64_t outlived_ = 0;
  bool kept_actor_ = false;
  bool from_elsewhere_ = false;
  bool scanned_ = false;
  bool backing_up_ = false;
  std::vector<std::string> findings_;

  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::vector<std::unique_ptr<View>> views_;  // live, one a partition

  bool batch_open_ = false;
  bool write_failed_ =
      false;  // the last write failed: before the next one, see whether the disk recovered
  std::uint64_t write_failures_ = 0;
  std::uint64_t write_stalls_ = 0;
  std::uint64_t keys_warmed_ = 0;
  std::uint64_t ranges_warmed_ = 0;
  bool failed_ = false;  // on_fatal was called: nothing is written or called durable any more
  CommitNumber committed_ = 0;
  std::uint64_t journal_sequence_ = 0;
  Total total_;           // of all trees
  WallTime next_expiry_;  // nothing expires before; not known at first

  struct Waiter {
    CommitNumber number;
    std::function<void()> done;
  };
  CommitNumber durable_ = 0;
  bool syncing_ = false;
  std::deque<Waiter> waiters_;   // by number
  std::size_t upkeep_next_ = 0;  // the partition whose turn it is
  bool scrubbing_ = false;
  std::size_t checks_ = 0;        // under way
  model::Token scrub_cursor_{0};  // everything before it was checked in this round
  std::uint64_t keys_scrubbed_ = 0;
  enum class Warmth { kUnknown, kWarming, kWarmed } upkeep_warmth_ = Warmth::kUnknown;  // its keys
};

}  // namespace grapevine::storage
