#include "storage/engine_rocksdb.h"

#include <utility>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include "storage/rocksdb_log.h"

namespace grapevine::storage {
namespace {

constexpr const char* kDataFamily = "data";
constexpr const char* kMetaFamily = "meta";
constexpr std::size_t kProbeBytes = std::size_t{1} << 20;

rocksdb::ColumnFamilyOptions meta_options() {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = std::size_t{4} << 20;
  return family;
}

// Leaves it to us when to go on after an error: RocksDB would try again and again on a thread of
// its own.
class NoRecoveryOfItsOwn final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

absl::Status open_error(const rocksdb::Status& status, const std::string& directory) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("lock") != std::string::npos) {
    return absl::FailedPreconditionError(
        fmt::format("data directory {}: another process has it open; stop that one, or choose "
                    "another --data-dir",
                    directory));
  }
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound()) {
    return absl::DataLossError(
        fmt::format("data directory {}: damaged database ({}); {}", directory, text, kRefill));
  }
  return from_rocksdb(status, fmt::format("data directory {}", directory));
}

}  // namespace

absl::Status from_rocksdb(const rocksdb::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = fmt::format("{}: {}", what, status.ToString());
  // Beyond a hard error RocksDB does not go on before it is opened anew.
  if (status.IsNoSpace() && status.severity() <= rocksdb::Status::kHardError) {
    return absl::ResourceExhaustedError(
        fmt::format("{}: disk full; free space on it, writes go on by themselves", what));
  }
  if (status.IsCorruption()) return absl::DataLossError(text);
  return absl::InternalError(text);
}

rocksdb::DBOptions database_options(const StoreOptions& options) {
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.max_background_jobs = 2;
  db_options.bytes_per_sync = std::uint64_t{1} << 20;
  if (options.environment != nullptr) db_options.env = options.environment->env;
  return db_options;
}

rocksdb::ColumnFamilyOptions data_options(const StoreOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = options.memtable_bytes;
  // Every write reads its key first; a filter tells new keys without a search.
  family.memtable_whole_key_filtering = true;
  family.memtable_prefix_bloom_size_ratio = 0.05;
  family.level_compaction_dynamic_level_bytes = true;
  family.compression = rocksdb::kLZ4Compression;
  return family;
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::open(const StoreOptions& options) {
  rocksdb::DBOptions db_options = database_options(options);
  db_options.info_log = open_rocksdb_log(db_options.env, options.directory);
  db_options.listeners.push_back(std::make_shared<NoRecoveryOfItsOwn>());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
  families.emplace_back(kDataFamily, data_options(options));
  families.emplace_back(kMetaFamily, meta_options());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
  if (!status.ok()) return open_error(status, options.directory);
  db->DestroyColumnFamilyHandle(handles[0]);
  return std::unique_ptr<Engine>(
      new Engine(options.directory, std::unique_ptr<rocksdb::DB>(db), handles[1], handles[2]));
}

Engine::Engine(std::string directory, std::unique_ptr<rocksdb::DB> db,
               rocksdb::ColumnFamilyHandle* data, rocksdb::ColumnFamilyHandle* meta)
    : directory_(std::move(directory)), db_(std::move(db)), data_(data), meta_(meta) {}

Engine::~Engine() {
  db_->DestroyColumnFamilyHandle(data_);
  db_->DestroyColumnFamilyHandle(meta_);
}

absl::StatusOr<std::optional<model::Entry>> Engine::get(std::string_view key, model::Values values,
                                                        const rocksdb::Snapshot* snapshot) const {
  rocksdb::ReadOptions read;
  read.snapshot = snapshot;
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status status =
      db_->Get(read, data_, slice(data_key(model::token_of(key), key)), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return from_rocksdb(status, fmt::format("{}: reading a key", directory_));
  auto entry = model::decode_entry(view(bytes), values);
  if (!entry.ok()) return entry.status();
  return std::optional<model::Entry>(*std::move(entry));
}

absl::StatusOr<std::optional<std::string>> Engine::get_meta(std::string_view key) const {
  std::string bytes;
  const rocksdb::Status status = db_->Get({}, meta_, slice(key), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return from_rocksdb(status, fmt::format("{}: reading metadata", directory_));
  return std::optional<std::string>(std::move(bytes));
}

absl::Status Engine::scan(const model::TokenRange& range,
                          const std::optional<std::string>& after_key, model::Values values,
                          const rocksdb::Snapshot* snapshot, bool fill_cache,
                          const Visit& visit) const {
  rocksdb::ReadOptions read;
  read.snapshot = snapshot;
  read.fill_cache = fill_cache;
  std::string end;
  rocksdb::Slice bound;
  if (range.last.value != ~std::uint64_t{0}) {
    model::put_ordered64(end, range.last.value + 1);
    bound = slice(end);
    read.iterate_upper_bound = &bound;
  }
  std::string begin;
  model::put_ordered64(begin, range.first.value);
  if (after_key.has_value()) {
    begin = std::max(begin, data_key(model::token_of(*after_key), *after_key) + '\0');
  }
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read, data_));
  for (at->Seek(slice(begin)); at->Valid(); at->Next()) {
    const auto key = parse_data_key(view(at->key()));
    if (!key.has_value()) return absl::DataLossError("stored entry: malformed key");
    auto entry = model::decode_entry(view(at->value()), values);
    if (!entry.ok()) return entry.status();
    if (!visit(key->token, key->key, *std::move(entry))) break;
  }
  return from_rocksdb(at->status(), fmt::format("{}: scanning", directory_));
}

absl::Status Engine::scan_meta(
    char kind, const std::function<absl::Status(std::string_view bytes)>& visit) const {
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, meta_));
  for (at->Seek(rocksdb::Slice(&kind, 1)); at->Valid() && at->key()[0] == kind; at->Next()) {
    GRAPEVINE_RETURN_IF_ERROR(visit(view(at->value())));
  }
  return from_rocksdb(at->status(), fmt::format("{}: scanning metadata", directory_));
}

void Engine::put_entry(rocksdb::WriteBatch& batch, model::Token token, std::string_view key,
                       const model::Entry& stored) const {
  const std::string at = data_key(token, key);
  if (stored.void_of_all()) {
    batch.Delete(data_, slice(at));
    return;
  }
  std::string bytes;
  model::encode_entry(stored, bytes);
  batch.Put(data_, slice(at), slice(bytes));
}

void Engine::put_meta(rocksdb::WriteBatch& batch, std::string_view key,
                      std::string_view value) const {
  batch.Put(meta_, slice(key), slice(value));
}

absl::Status Engine::write(rocksdb::WriteBatch& batch) {
  const rocksdb::Status status = db_->Write({}, &batch);
  if (!status.ok() && failed_log_ == 0) failed_log_ = current_log();
  return from_rocksdb(status, fmt::format("{}: writing", directory_));
}

absl::Status Engine::sync() {
  if (failed_log_ != 0) {
    return absl::UnavailableError(
        fmt::format("{}: the log failed before it was synced", directory_));
  }
  return from_rocksdb(db_->SyncWAL(), fmt::format("{}: syncing", directory_));
}

// A log that failed to take a record must never get another one: RocksDB refuses (its Debian build
// aborts), and what stood behind a torn record could not be read back. Resume() writes the
// memtables out and begins a new log; but it keeps the old one when all memtables are empty. So
// there is always something in one when a write may fail after another.
//
// While the disk is still full Resume() must not even be tried: where it cannot create the new log,
// RocksDB takes that for a fatal error. A file of our own shows it first.
absl::Status Engine::resume() {
  GRAPEVINE_RETURN_IF_ERROR(probe_disk());
  GRAPEVINE_RETURN_IF_ERROR(
      from_rocksdb(db_->Resume(), fmt::format("{}: writing again", directory_)));
  GRAPEVINE_RETURN_IF_ERROR(touch_memtable());
  if (failed_log_ != 0 && current_log() == failed_log_) {
    GRAPEVINE_RETURN_IF_ERROR(
        from_rocksdb(db_->Flush({}, meta_), fmt::format("{}: beginning a new log", directory_)));
    GRAPEVINE_RETURN_IF_ERROR(touch_memtable());
  }
  failed_log_ = 0;
  return absl::OkStatus();
}

absl::Status Engine::probe_disk() {
  const std::string probe =
      directory_ + "/000000.dbtmp";  // a name that RocksDB clears away when it opens
  rocksdb::Env* const env = db_->GetEnv();
  const rocksdb::Status written =
      rocksdb::WriteStringToFile(env, std::string(kProbeBytes, '\0'), probe, /*should_sync=*/true);
  env->DeleteFile(probe).PermitUncheckedError();
  return from_rocksdb(written, fmt::format("{}: writing again", directory_));
}

absl::Status Engine::touch_memtable() {
  rocksdb::WriteOptions unlogged;
  unlogged.disableWAL = true;
  return from_rocksdb(db_->Put(unlogged, meta_, slice(kMetaTouched), rocksdb::Slice()),
                      fmt::format("{}: writing again", directory_));
}

std::uint64_t Engine::current_log() const {
  std::unique_ptr<rocksdb::LogFile> log;
  return db_->GetCurrentWalFile(&log).ok() ? log->LogNumber() : 0;
}

std::shared_ptr<const rocksdb::Snapshot> Engine::snapshot() const {
  return {db_->GetSnapshot(),
          [db = db_](const rocksdb::Snapshot* taken) { db->ReleaseSnapshot(taken); }};
}

std::uint64_t Engine::disk_bytes() const {
  std::uint64_t tables = 0;
  std::uint64_t memory = 0;
  db_->GetIntProperty(data_, rocksdb::DB::Properties::kLiveSstFilesSize, &tables);
  db_->GetIntProperty(data_, rocksdb::DB::Properties::kCurSizeAllMemTables, &memory);
  return tables + memory;
}

}  // namespace grapevine::storage
