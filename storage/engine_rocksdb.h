// RocksDB as the store uses it: two column families, entries decoded, errors translated. Only
// storage/*.cc includes this.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include "storage/base/status.h"
#include "storage/layout.h"
#include "storage/model/entry.h"
#include "storage/model/entry_codec.h"
#include "storage/store_options.h"

namespace grapevine::storage {

// What StoreOptions::environment points to.
struct RocksEnvironment {
  rocksdb::Env* env = nullptr;
};

// What to do about a damaged directory.
inline constexpr const char* kRefill =
    "move it away and start with an empty one, the other replicas refill it";

// The one place where RocksDB's errors become ours. `what` names the thing, e.g. "reading key k".
absl::Status from_rocksdb(const rocksdb::Status& status, const std::string& what);

// What the database and the column family of the data are opened with.
rocksdb::DBOptions database_options(const StoreOptions& options);
rocksdb::ColumnFamilyOptions data_options(const StoreOptions& options);

inline rocksdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
inline std::string_view view(const rocksdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
}

// Resource: the open database. Loop thread, except sync(), which may run on another.
class Engine {
 public:
  // Opens or creates. FailedPrecondition when another process has it, DataLoss when it is damaged,
  // ResourceExhausted when the disk is full.
  static absl::StatusOr<std::unique_ptr<Engine>> open(const StoreOptions& options);
  ~Engine();

  // The stored entry of a key; nullopt when there is none. A read error is never "none".
  absl::StatusOr<std::optional<model::Entry>> get(std::string_view key, model::Values values,
                                                  const rocksdb::Snapshot* snapshot) const;
  absl::StatusOr<std::optional<std::string>> get_meta(std::string_view key) const;

  // Calls `visit` with the stored entries of `range` in order, beginning after `after_key`; it
  // returns false to stop. DataLoss when something stored cannot be read.
  using Visit = std::function<bool(model::Token token, std::string_view key, model::Entry entry)>;
  absl::Status scan(const model::TokenRange& range, const std::optional<std::string>& after_key,
                    model::Values values, const rocksdb::Snapshot* snapshot, bool fill_cache,
                    const Visit& visit) const;
  absl::Status scan_meta(char kind,
                         const std::function<absl::Status(std::string_view bytes)>& visit) const;

  // Puts `stored` (stripped), or takes the key away when it is void of all.
  void put_entry(rocksdb::WriteBatch& batch, model::Token token, std::string_view key,
                 const model::Entry& stored) const;
  void put_meta(rocksdb::WriteBatch& batch, std::string_view key, std::string_view value) const;
  // Atomic. When it returns, the kernel has it; sync() makes it durable. After an error every
  // further write is refused, until resume().
  absl::Status write(rocksdb::WriteBatch& batch);
  // Any thread. Unavailable between a failed write and resume().
  absl::Status sync();
  // After a failed write: makes the database take writes again, in a new log. Everything that was
  // written before is durable when it returns OK. ResourceExhausted while the disk is still full;
  // after any other error only opening anew may help. Blocks as long as writing one memtable out
  // takes.
  absl::Status resume();

  std::shared_ptr<const rocksdb::Snapshot> snapshot() const;
  std::uint64_t disk_bytes() const;

 private:
  Engine(std::string directory, std::unique_ptr<rocksdb::DB> db, rocksdb::ColumnFamilyHandle* data,
         rocksdb::ColumnFamilyHandle* meta);

  // The number of the write-ahead log that takes the records now.
  std::uint64_t current_log() const;
  absl::Status probe_disk();
  absl::Status touch_memtable();

  std::string directory_;
  // The log that was current when a write failed; 0 for none. Atomic for sync() alone.
  std::atomic<std::uint64_t> failed_log_ = 0;
  std::shared_ptr<rocksdb::DB>
      db_;  // shared with snapshots, which must be released before it closes
  rocksdb::ColumnFamilyHandle* data_;
  rocksdb::ColumnFamilyHandle* meta_;
};

}  // namespace grapevine::storage
