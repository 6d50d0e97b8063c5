// RocksDB as the store uses it: four column families, entries decoded, errors translated. Only
// storage/*.cc includes this.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include "storage/base/status.h"
#include "storage/clock_journal.h"
#include "storage/layout.h"
#include "storage/model/actor_table.h"
#include "storage/model/entry.h"
#include "storage/model/entry_codec.h"
#include "storage/moment.h"
#include "storage/store_options.h"
#include "storage/waiting.h"

namespace grapevine::storage {

// What StoreOptions::environment points to.
struct RocksEnvironment {
  rocksdb::Env* env = nullptr;
  // Called last on the options that a database is opened with; may be empty. For tests that open
  // very many of them.
  std::function<void(rocksdb::DBOptions&)> tune;
};

// The one place where RocksDB's errors become ours. `what` names the thing, e.g. "reading key k".
absl::Status from_rocksdb(const rocksdb::Status& status, const std::string& what);

// What the database and the column family of the data are opened with.
rocksdb::DBOptions database_options(const StoreOptions& options);
rocksdb::ColumnFamilyOptions data_options(const StoreOptions& options,
                                          std::shared_ptr<rocksdb::Cache> cache);
// What the column family of the values that stand apart is opened with.
rocksdb::ColumnFamilyOptions values_options(const StoreOptions& options,
                                            std::shared_ptr<rocksdb::Cache> cache);

inline constexpr const char* kDataFamily = "data";
inline constexpr const char* kValuesFamily = "values";
inline constexpr const char* kExpiryFamily = "expiry";
inline constexpr const char* kMetaFamily = "meta";
// The families "data", "values" and "expiry" carry their generation in their names, from the first salvage on.
std::string of_generation(const std::string& family, std::uint64_t generation);
rocksdb::ColumnFamilyOptions options_of_family(const std::string& name, const StoreOptions& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache);

inline rocksdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
inline std::string_view view(const rocksdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
}

// Resource: the open database. Loop thread, except sync() and what says otherwise.
class Engine {
 public:
  // Opens or creates. FailedPrecondition when another process has it, DataLoss when it is damaged,
  // ResourceExhausted when the disk is full.
  //
  // A write-ahead log that ends in the middle of a record is what a crash leaves. One with a damaged
  // record is opened up to there, which is an older state, whole in itself: fell_back() says so.
  static absl::StatusOr<std::unique_ptr<Engine>> open(const StoreOptions& options);
  ~Engine();

  // What was damaged in the log; empty: nothing.
  const std::string& fell_back() const { return fell_back_; }
  // The first damage that a read or a write has met since it was opened; nullopt: none. Any thread.
  std::optional<std::string> damage() const;
  // Copies what can be read of all entries into families of their own and lets the old ones go, with
  // the files that cannot be read. One line a range of tokens that was lost. Takes as long as reading
  // and writing everything; nothing has changed if it fails or the process ends meanwhile.
  absl::StatusOr<std::vector<std::string>> salvage();
  // From now on RocksDB compacts: not before recovery is done, for none of the families that recovery
  // drops may be under compaction (RocksDB 7.8 then tells our listener of a stall that ended through
  // the options of a family that has gone).
  absl::Status compact();
  rocksdb::Env& env() const { return *db_->GetEnv(); }
  const std::string& directory() const { return directory_; }

  // What is stored now, for reads on any thread: where those below are given a moment, they may be
  // made on any, else on the loop thread alone, of what is stored when they are made.
  Moment moment() const { return {snapshot(), actors_}; }
  // The stored entry of a key; nullopt when there is none. A read error is never "none". Cold
  // (waiting.h) when `reach` is too short.
  absl::StatusOr<std::optional<model::Entry>> get(std::string_view key, model::Values values,
                                                  const Moment* at, Reach reach) const;
  absl::StatusOr<std::optional<std::string>> get_meta(std::string_view key) const;

  // Calls `visit` with the stored entries of `range` in order, beginning after `after_key`; it
  // returns false to stop. DataLoss when something stored cannot be read. Cold when `reach` is too
  // short, after what could be visited.
  using Visit = std::function<bool(model::Token token, std::string_view key, model::Entry entry)>;
  absl::Status scan(const model::TokenRange& range, const std::optional<std::string>& after_key,
                    model::Values values, const Moment* at, bool fill_cache, Reach reach,
                    const Visit& visit) const;
  // What the entries of `range` add up to, every value read and checked, past the cache. Any thread.
  absl::StatusOr<Total> add_up(const model::TokenRange& range, const Moment& at,
                               const model::Digester& digester) const;
  absl::Status scan_meta(
      char kind,
      const std::function<absl::Status(std::string_view key, std::string_view bytes)>& visit) const;

  // Calls `visit` with each note of an expiry, earliest first, until it returns false.
  using VisitExpired =
      std::function<bool(WallTime at, std::string_view note, std::string_view key)>;
  absl::Status scan_expired(const VisitExpired& visit) const;

  // An entry read through to the disk and held in the block cache, however small that is; its values
  // that stand apart as far as the cache keeps them. To be let go of before the engine goes.
  class Held {
   public:
    std::size_t bytes() const;

   private:
    friend class Engine;
    std::deque<rocksdb::PinnableSlice> parts_;  // the stored entry, the values that stand apart
  };
  // Holds nothing where there is nothing, or where reading fails: that shows to who reads next. Any
  // thread; `actors` is a copy of actors(). (Of no moment: when RocksDB lets go of a snapshot, it may
  // write the tables below anew, which makes all of their keys cold.)
  std::unique_ptr<Held> hold(std::string_view key, const model::ActorTable& actors) const;
  const model::ActorTable& actors() const { return actors_; }
  // Reads the entries of a range into the block cache, without the values that stand apart, after
  // `after_key`, at most keys_max; how many. Any thread.
  std::size_t warm(const model::TokenRange& range, const std::optional<std::string>& after_key,
                   std::size_t keys_max) const;

  // Puts `stored` (stripped), or takes the key away when it is void of all. `apart`: what stood
  // apart before; versions of it may come without their value.
  void put_entry(rocksdb::WriteBatch& batch, model::Token token, std::string_view key,
                 const model::Entry& stored, const model::ApartDots& apart);
  void forget_expiry(rocksdb::WriteBatch& batch, std::string_view note) const;
  void put_meta(rocksdb::WriteBatch& batch, std::string_view key, std::string_view value) const;
  void delete_meta(rocksdb::WriteBatch& batch, std::string_view key) const;
  void delete_notes(rocksdb::WriteBatch& batch) const;
  // Atomic. When it returns, the kernel has it; sync() makes it durable. After an error every
  // further write is refused, until resume(); but not after is_stalled(): then nothing was written,
  // the log did not get it, and the next write may go well.
  absl::Status write(rocksdb::WriteBatch& batch, Stall stall);
  // Any thread. Unavailable between a failed write and resume().
  absl::Status sync();
  // Writes the memtables out, so that the next opening has no log to replay. Blocks.
  absl::Status flush();
  // After a failed write: makes the database take writes again, in a new log. Everything that was
  // written before is durable when it returns OK. ResourceExhausted while the disk is still full;
  // after any other error only opening anew may help, and
  // does when it is Aborted. Blocks as long as writing one memtable out
  // takes.
  absl::Status resume();
  // Puts something into a memtable, for resume(): to be called when all have been written out.
  // ResourceExhausted where that would wait.
  absl::Status touch_memtable();

  std::uint64_t disk_bytes() const;
  // For backups: RocksDB's own functions may be called on any thread.
  rocksdb::DB& database() const { return *db_; }

 private:
  struct Families {
    rocksdb::ColumnFamilyHandle* data = nullptr;
    rocksdb::ColumnFamilyHandle* values = nullptr;
    rocksdb::ColumnFamilyHandle* expiry = nullptr;
    rocksdb::ColumnFamilyHandle* meta = nullptr;
  };
  class Salvage;
  Engine(const StoreOptions& options, std::shared_ptr<rocksdb::Cache> cache,
         std::shared_ptr<rocksdb::DB> db)
      : options_(options),
        cache_(std::move(cache)),
        directory_(options.directory),
        db_(std::move(db)) {}

  absl::Status take_families(const std::vector<rocksdb::ColumnFamilyHandle*>& handles);
  void drop(rocksdb::ColumnFamilyHandle* family);
  void put_entry_to(const Families& families, rocksdb::WriteBatch& batch, model::Token token,
                    std::string_view key, const model::Entry& stored,
                    const model::ApartDots& apart);
  void put_new_actors(rocksdb::WriteBatch& batch) const;
  absl::Status noticed(absl::Status status) const;
  absl::Status load_actors();
  const model::ActorTable& actors_at(const Moment* at) const;
  absl::Status add_apart_values(model::Token token, std::string_view key, const Moment* at,
                                Reach reach, model::Entry& entry) const;

  std::shared_ptr<const rocksdb::Snapshot> snapshot() const;
  // Where and until where a scan goes.
  struct Bounds {
    std::string begin;
    std::string end;  // empty: none
  };
  static Bounds bounds_of(const model::TokenRange& range,
                          const std::optional<std::string>& after_key);

  // The number of the write-ahead log that takes the records now.
  std::uint64_t current_log() const;
  absl::Status probe_disk();

  const StoreOptions options_;
  const std::shared_ptr<rocksdb::Cache> cache_;
  const std::string directory_;
  std::string fell_back_;
  mutable std::mutex damage_mutex_;
  mutable std::optional<std::string> damage_;  // guarded by damage_mutex_
  // The log that was current when a write failed; 0 for none. Atomic for sync() alone.
  std::atomic<std::uint64_t> failed_log_ = 0;
  std::shared_ptr<rocksdb::DB>
      db_;  // shared with snapshots, which must be released before it closes
  Families families_;
  std::uint64_t generation_ = 0;  // of the families but "meta"
  model::ActorTable actors_;
  std::size_t actors_stored_ = 0;  // of them, from number 0 on
};

}  // namespace grapevine::storage
