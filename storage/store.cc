#include "storage/store.h"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "storage/base/check.h"
#include "storage/base/planted_flaws.h"
#include "storage/damage.h"
#include "storage/engine_rocksdb.h"
#include "storage/tree_checkpoint.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kTreeBytesAWrite = std::size_t{1} << 20;

}  // namespace

Store::Store(StoreOptions options, std::unique_ptr<Engine> engine, Executor& executor,
             const TimeSource& time, std::function<void(absl::Status)> on_fatal)
    : options_(std::move(options)),
      partitioning_(options_.partitions),
      digester_(XXH3_64bits(options_.cluster_name.data(), options_.cluster_name.size())),
      executor_(executor),
      time_(time),
      on_fatal_(std::move(on_fatal)),
      engine_(std::move(engine)) {
  const std::size_t log_bytes = options_.dot_log_bytes / options_.partitions;
  const std::size_t sketch_cells = model::Sketch::cells_of(partitioning_.count());
  for (std::uint32_t i = 0; i < partitioning_.count(); ++i) {
    const PartitionId id{i};
    partitions_.push_back(
        std::make_unique<Partition>(id, partitioning_.range(id), sketch_cells, log_bytes));
    views_.push_back(std::make_unique<View>(*engine_, digester_, *partitions_.back()));
  }
}

Store::~Store() = default;

std::vector<std::uint64_t> Store::tops(ActorId actor) const {
  std::vector<std::uint64_t> tops;
  for (const auto& partition : partitions_) tops.push_back(partition->clock.top(actor));
  return tops;
}

absl::StatusOr<model::Entry> Store::load(std::string_view key, model::Values values,
                                         Reach reach) const {
  return live(partitioning_.of(key)).load(key, values, reach);
}

NamedDots Store::name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                           bool with_young, std::size_t limit) const {
  const Instant now = time_.now();
  return partitions_[partition.value]->log.name(
      dots, with_young ? now : now - options_.in_flight_grace, limit);
}

void Store::forget_dot_logs() {
  for (const auto& partition : partitions_) partition->log.clear();
}

absl::StatusOr<std::unique_ptr<Batch>> Store::begin(Reach reach) {
  GRAPEVINE_CHECK(!batch_open_, "one batch at a time");
  if (write_failed_) GRAPEVINE_RETURN_IF_ERROR(recover_from_failed_write());
  batch_open_ = true;
  return std::unique_ptr<Batch>(new Batch(*this, reach));
}

absl::Status Store::write(rocksdb::WriteBatch& writes, Stall stall) {
  const absl::Status status = engine_->write(writes, stall);
  if (is_stalled(status)) {
    ++write_stalls_;
  } else if (!status.ok()) {
    write_failed_ = true;
    ++write_failures_;
  }
  return status;
}

// The failed batch may or may not stand in the log. What it would have done was undone here and was
// promised to nobody; its dots must not be issued again, so the node goes on as a new actor.
absl::Status Store::recover_from_failed_write() {
  if (failed_) return absl::UnavailableError("the disk failed; restart the node");
  if (const absl::Status status = engine_->resume(); !status.ok()) {
    if (!absl::IsResourceExhausted(status)) fail(status);
    return status;
  }
  GRAPEVINE_RETURN_IF_ERROR(renew_actor());
  write_failed_ = false;
  if (!waiters_.empty() && !syncing_) start_sync();
  return absl::OkStatus();
}

void Store::fail(const absl::Status& status) {
  if (failed_) return;
  failed_ = true;
  write_failed_ = true;
  if (absl::IsDataLoss(status)) {
    DamageNote note{journal_sequence_, {}};
    for (const auto& partition : partitions_) {
      note.partitions.emplace_back() += partition->tree.root();
    }
    // Without it the next opening distrusts all partitions.
    write_damage_note(engine_->env(), options_.directory, note).IgnoreError();
  }
  on_fatal_(status);
}

absl::StatusOr<Committed> Store::commit(std::unique_ptr<Batch> batch) {
  rocksdb::WriteBatch writes;
  struct Change {
    Batch::Pending* pending;
    model::DigestShare after;
  };
  Total total = total_;
  WallTime next_expiry = next_expiry_;
  std::vector<Change> changes;
  changes.reserve(batch->pending_.size());
  Committed committed;
  for (const auto& pending : batch->pending_) {
    if (pending->replicate) {
      model::KeyedEntry keyed{pending->key, pending->entry, pending->events};
      model::fill(keyed.entry, pending->partition->clock);
      committed.to_replicate.push_back(std::move(keyed));
    }
    if (!pending->changed) continue;
    model::strip(pending->entry, pending->partition->clock);
    const model::DigestShare after = model::share_of(digester_, pending->key, pending->entry);
    if (after.keys > 0 || pending->before.keys > 0) {
      engine_->put_entry(writes, pending->token, pending->key, pending->entry, pending->apart);
    }
    for (const model::Version& version : pending->entry.versions) {
      if (version.expires.unix_ms != 0) next_expiry = std::min(next_expiry, version.expires);
    }
    total -= pending->before;
    total += after;
    changes.push_back({pending.get(), after});
  }
  for (const std::string& note : batch->spent_notes_) engine_->forget_expiry(writes, note);
  const bool journaled = !changes.empty() || !batch->added_.empty();
  if (journaled) {
    JournalRecord record;
    record.sequence = journal_sequence_ + 1;
    record.total = total;
    for (const Batch::AddedDot& added : batch->added_) {
      partitions_[added.placed.partition.value]->clock_changed = true;
      record.dots.push_back(added.placed);
    }
    if (!GRAPEVINE_FLAW(forgets_to_journal)) {
      engine_->put_meta(writes, meta_key(kMetaJournal, record.sequence % JournalRecord::kSlots),
                        record.encode());
    }
  }
  for (const Batch::Adopted& adopted : batch->adopted_) adopted.partition->clock_changed = true;
  const bool checkpoint =
      !batch->adopted_.empty() ||
      (journaled && (journal_sequence_ + 1) % JournalRecord::kCheckpointEvery == 0);
  if (checkpoint) write_changed_clocks(writes);

  GRAPEVINE_RETURN_IF_ERROR(write(writes, Stall::kRefuse));  // on an error the batch undoes itself
  if (journaled) ++journal_sequence_;
  total_ = total;
  next_expiry_ = next_expiry;
  if (checkpoint) {
    for (const auto& partition : partitions_) partition->clock_changed = false;
  }
  for (const Change& change : changes) {
    change.pending->partition->change(change.pending->token, change.pending->before, change.after);
  }
  const Instant now = time_.now();
  for (const Batch::AddedDot& added : batch->added_) {
    Partition& partition = *partitions_[added.placed.partition.value];
    partition.log.add(added.placed.dot, added.key, now);
    ++partition.clock_version;
  }
  for (const Batch::Adopted& adopted : batch->adopted_) ++adopted.partition->clock_version;
  batch->added_.clear();
  batch->adopted_.clear();
  committed.number = ++committed_;
  return committed;
}

void Store::write_changed_clocks(rocksdb::WriteBatch& writes) const {
  for (const auto& partition : partitions_) {
    if (!partition->clock_changed) continue;
    std::string bytes;
    partition->clock.encode(bytes);
    engine_->put_meta(writes, meta_key(kMetaClock, partition->id.value), bytes);
  }
}

void Store::when_durable(CommitNumber number, std::function<void()> done) {
  if (options_.durability == Durability::kOs || number <= durable_ ||
      GRAPEVINE_FLAW(acknowledges_before_sync)) {
    done();
    return;
  }
  waiters_.push_back({number, std::move(done)});
  if (!syncing_) start_sync();
}

void Store::start_sync() {
  if (write_failed_) return;  // begun again when the disk has recovered
  syncing_ = true;
  const auto outcome = std::make_shared<absl::Status>();
  executor_.run([this, outcome] { *outcome = engine_->sync(); },
                [this, outcome, reached = committed_, failures = write_failures_] {
                  syncing_ = false;
                  if (outcome->ok()) {
                    reach_durable(reached);
                  } else if (failures == write_failures_) {
                    fail(*outcome);
                  }
                  // Else the log had failed under a write; recovering from that made durable what
                  // stood in it.
                  if (!waiters_.empty() && !syncing_) start_sync();
                });
}

void Store::reach_durable(CommitNumber number) {
  durable_ = number;
  while (!waiters_.empty() && waiters_.front().number <= durable_) {
    const auto done = std::move(waiters_.front().done);
    waiters_.pop_front();
    done();
  }
}

absl::Status Store::put_note(std::string_view name, std::string_view bytes) {
  rocksdb::WriteBatch writes;
  engine_->put_meta(writes, kMetaNote + std::string(name), bytes);
  GRAPEVINE_RETURN_IF_ERROR(write(writes));
  when_durable(++committed_, [] {});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> Store::note(std::string_view name) const {
  return engine_->get_meta(kMetaNote + std::string(name));
}

bool Store::any_suspect() const {
  return std::any_of(partitions_.begin(), partitions_.end(),
                     [](const auto& partition) { return partition->suspect; });
}

absl::Status Store::trust_again(PartitionId id) {
  Partition& partition = *partitions_[id.value];
  if (!partition.suspect) return absl::OkStatus();
  rocksdb::WriteBatch writes;
  engine_->delete_meta(writes, meta_key(kMetaSuspect, id.value));
  GRAPEVINE_RETURN_IF_ERROR(write(writes));
  partition.suspect = false;
  return absl::OkStatus();
}

StoreStatistics Store::statistics() const {
  StoreStatistics statistics;
  for (const auto& partition : partitions_) {
    statistics.keys += partition->tree.root().keys;
    statistics.unquiet += partition->tree.root().unquiet;
    statistics.dot_log_entries += partition->log.size();
  }
  statistics.disk_bytes = engine_->disk_bytes();
  statistics.keys_scrubbed = keys_scrubbed_;
  statistics.keys_warmed = keys_warmed_;
  statistics.ranges_warmed = ranges_warmed_;
  statistics.write_stalls = write_stalls_;
  return statistics;
}

void Store::back_up(BackupOptions options, Executor& executor,
                    std::function<void(absl::StatusOr<BackupReport>)> done) {
  if (backing_up_) {
    done(absl::FailedPreconditionError("a backup is under way; wait until it is done"));
    return;
  }
  backing_up_ = true;
  const auto outcome = std::make_shared<absl::StatusOr<BackupReport>>();
  executor.run(
      [outcome, options = std::move(options), db = &engine_->database(), flush = !write_failed_,
       owner = BackupOwner{options_.cluster_name, actor_}] {
        *outcome = make_backup(*db, flush, owner, options);
      },
      [this, outcome, done = std::move(done)] {
        backing_up_ = false;
        // The next write may fail: see Engine::resume().
        if (!write_failed_) engine_->touch_memtable().IgnoreError();
        done(std::move(*outcome));
      });
}

// Before the mark of the clean stop, which makes them count.
absl::Status Store::write_trees() {
  rocksdb::WriteBatch writes;
  for (const auto& partition : partitions_) {
    engine_->put_meta(
        writes, meta_key(kMetaTree, partition->id.value),
        encode_tree_checkpoint({partition->tree, partition->sketch}, journal_sequence_));
    if (writes.GetDataSize() < kTreeBytesAWrite) continue;
    GRAPEVINE_RETURN_IF_ERROR(write(writes));
    writes.Clear();
  }
  return write(writes);
}

absl::Status Store::close() {
  GRAPEVINE_CHECK(!batch_open_ && !syncing_ && checks_ == 0 && !backing_up_,
                  "nothing is under way when the store closes");
  GRAPEVINE_RETURN_IF_ERROR(write_trees());
  // Damage that a read has met is for the scan of the next opening to judge.
  const bool clean = !engine_->damage().has_value();
  GRAPEVINE_RETURN_IF_ERROR(write_identity(actor_, clean));
  // All is durable; this only spares the next opening the replay, and may fail.
  engine_->flush().IgnoreError();
  engine_.reset();
  return absl::OkStatus();
}

}  // namespace grapevine::storage
