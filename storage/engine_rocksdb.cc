#include "storage/engine_rocksdb.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>

#include "storage/base/check.h"
#include "storage/base/limits.h"
#include "storage/base/planted_flaws.h"
#include "storage/data_directory.h"
#include "storage/rocksdb_log.h"
#include "storage/table_end.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kProbeBytes = std::size_t{1} << 20;

// A cache does not keep what is larger than one of its shards: as many of them, up to RocksDB's 64, as
// hold two of the largest values each.
int shard_bits(std::size_t cache_bytes) {
  int bits = 0;
  while (bits < 6 && (cache_bytes >> (bits + 1)) >= 2 * kValueBytesMax) ++bits;
  return bits;
}

rocksdb::ReadTier tier_of(Reach reach) {
  return reach == Reach::kMemory ? rocksdb::kBlockCacheTier : rocksdb::kReadAllTier;
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
    return absl::DataLossError(fmt::format("data directory {}: damaged database ({}); {}",
                                           directory, text, kRefillOrSalvage));
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
  if (status.IsIncomplete()) return cold_error(what);
  return absl::InternalError(text);
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::open(const StoreOptions& options) {
  rocksdb::DBOptions db_options = database_options(options);
  const std::shared_ptr<rocksdb::Env> env = with_table_ends_checked(db_options.env);
  db_options.env = env.get();
  if (!options.salvage) {
    GRAPEVINE_RETURN_IF_ERROR(check_not_lost(*db_options.env, options.directory));
  }
  const bool exists = db_options.env->FileExists(options.directory + "/CURRENT").ok();
  if (!exists && !options.salvage) mark_creating(*db_options.env, options.directory);
  db_options.info_log = open_rocksdb_log(db_options.env, options.directory);
  db_options.listeners.push_back(std::make_shared<NoRecoveryOfItsOwn>());
  const auto cache =
      rocksdb::NewLRUCache(options.block_cache_bytes, shard_bits(options.block_cache_bytes));
  std::vector<std::string> names;
  const auto describe = [&] {
    for (const char* const family : {kExpiryFamily, kMetaFamily}) {
      const auto is_it = [&](const std::string& name) { return name.starts_with(family); };
      if (std::none_of(names.begin(), names.end(), is_it)) names.emplace_back(family);
    }
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const std::string& name : names) {
      families.emplace_back(name, options_of_family(name, options, cache));
      families.back().options.disable_auto_compactions = true;  // until compact()
    }
    return families;
  };
  const auto list = [&] {
    return rocksdb::DB::ListColumnFamilies(db_options, options.directory, &names);
  };
  if (const rocksdb::Status listed = list(); !listed.ok()) {
    if (exists && !options.salvage) return open_error(listed, options.directory);
    names = {rocksdb::kDefaultColumnFamilyName};
    if (options.salvage) names.insert(names.end(), {kDataFamily, kValuesFamily, kExpiryFamily});
  }
  if (options.salvage) {
    // Where the manifest is lost, tables name families that nobody can list, as data.1.
    rocksdb::Status repaired =
        rocksdb::RepairDB(options.directory, db_options, describe(), data_options(options, cache));
    if (repaired.ok()) repaired = list();
    if (!repaired.ok()) return open_error(repaired, options.directory);
  }
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = describe();
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  db_options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  rocksdb::Status status =
      rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
  std::string fell_back;
  if (status.IsCorruption()) {
    fell_back = status.ToString();
    db_options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    status = rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
  }
  if (!status.ok()) return open_error(status, options.directory);
  unmark_creating(*db_options.env, options.directory);
  // The snapshots share it.
  std::shared_ptr<rocksdb::DB> shared(db, [env](rocksdb::DB* last) { delete last; });
  std::unique_ptr<Engine> engine(new Engine(options, cache, std::move(shared)));
  engine->fell_back_ = std::move(fell_back);
  GRAPEVINE_RETURN_IF_ERROR(engine->take_families(handles));
  GRAPEVINE_RETURN_IF_ERROR(engine->load_actors());
  return engine;
}

// Finds the families of the generation that is in force, or makes them; what a salvage left of
// another one goes.
absl::Status Engine::take_families(const std::vector<rocksdb::ColumnFamilyHandle*>& handles) {
  const auto find = [&](const std::string& name) {
    const auto is_it = [&](const auto* family) { return family->GetName() == name; };
    const auto found = std::find_if(handles.begin(), handles.end(), is_it);
    return found == handles.end() ? nullptr : *found;
  };
  families_.meta = find(kMetaFamily);
  // No handle may be left when the database goes.
  const auto give_up = [&](absl::Status status) {
    for (rocksdb::ColumnFamilyHandle* family : handles) {
      if (family == families_.meta) continue;
      db_->DestroyColumnFamilyHandle(family);
    }
    return status;
  };
  const auto generation = get_meta(kMetaFamilies);
  if (!generation.ok()) return give_up(generation.status());
  if (generation->has_value()) {
    model::ByteReader in(**generation);
    generation_ = in.varint();
    if (!in.done()) {
      return give_up(absl::DataLossError("metadata: the record of the families is malformed"));
    }
  }
  families_.data = find(of_generation(kDataFamily, generation_));
  families_.values = find(of_generation(kValuesFamily, generation_));
  families_.expiry = find(of_generation(kExpiryFamily, generation_));
  for (rocksdb::ColumnFamilyHandle* family : handles) {
    if (family == families_.data || family == families_.values || family == families_.expiry ||
        family == families_.meta) {
      continue;
    }
    if (family->GetName() == rocksdb::kDefaultColumnFamilyName) {
      db_->DestroyColumnFamilyHandle(family);
    } else {
      drop(family);
    }
  }
  for (auto [family, name] :
       {std::pair(&families_.data, kDataFamily), std::pair(&families_.values, kValuesFamily),
        std::pair(&families_.expiry, kExpiryFamily)}) {
    if (*family != nullptr) continue;
    const std::string full_name = of_generation(name, generation_);
    GRAPEVINE_RETURN_IF_ERROR(from_rocksdb(
        db_->CreateColumnFamily(options_of_family(name, options_, cache_), full_name, family),
        fmt::format("{}: making a column family", directory_)));
  }
  return absl::OkStatus();
}

void Engine::drop(rocksdb::ColumnFamilyHandle* family) {
  db_->DropColumnFamily(family).PermitUncheckedError();
  db_->DestroyColumnFamilyHandle(family);
}

absl::Status Engine::compact() {
  return from_rocksdb(db_->EnableAutoCompaction(
                          {families_.data, families_.values, families_.expiry, families_.meta}),
                      fmt::format("{}: starting compactions", directory_));
}

Engine::~Engine() {
  for (auto* family : {families_.data, families_.values, families_.expiry, families_.meta}) {
    if (family != nullptr) db_->DestroyColumnFamilyHandle(family);
  }
}

absl::Status Engine::noticed(absl::Status status) const {
  if (absl::IsDataLoss(status)) {
    const std::lock_guard lock(damage_mutex_);
    if (!damage_.has_value()) damage_ = std::string(text_of(status));
  }
  return status;
}

std::optional<std::string> Engine::damage() const {
  const std::lock_guard lock(damage_mutex_);
  return damage_;
}

absl::Status Engine::load_actors() {
  const absl::Status status =
      scan_meta(kMetaActor, [&](std::string_view key, std::string_view bytes) -> absl::Status {
        model::ByteReader in(bytes);
        const ActorId actor{in.fixed64()};
        if (!in.done() || key != meta_key(kMetaActor, actors_stored_) ||
            actors_.index_of(actor) != actors_stored_) {
          return absl::DataLossError("metadata: the table of actors is malformed");
        }
        ++actors_stored_;
        return absl::OkStatus();
      });
  return status;
}

const model::ActorTable& Engine::actors_at(const Moment* at) const {
  return at != nullptr ? at->actors : actors_;
}

absl::StatusOr<std::optional<model::Entry>> Engine::get(std::string_view key, model::Values values,
                                                        const Moment* at_moment,
                                                        Reach reach) const {
  rocksdb::ReadOptions read;
  read.read_tier = tier_of(reach);
  if (at_moment != nullptr) read.snapshot = at_moment->snapshot.get();
  rocksdb::PinnableSlice bytes;
  const model::Token token = model::token_of(key);
  const rocksdb::Status status =
      db_->Get(read, families_.data, slice(data_key(token, key)), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok() && GRAPEVINE_FLAW(takes_read_errors_for_absence)) return std::nullopt;
  if (!status.ok()) {
    return noticed(from_rocksdb(status, fmt::format("{}: reading a key", directory_)));
  }
  auto entry = model::decode_entry(view(bytes), actors_at(at_moment), values);
  if (!entry.ok()) return noticed(entry.status());
  if (values == model::Values::kWith) {
    GRAPEVINE_RETURN_IF_ERROR(noticed(add_apart_values(token, key, at_moment, reach, *entry)));
  }
  return std::optional<model::Entry>(*std::move(entry));
}

absl::Status Engine::add_apart_values(model::Token token, std::string_view key,
                                      const Moment* at_moment, Reach reach,
                                      model::Entry& entry) const {
  rocksdb::ReadOptions read;
  read.read_tier = tier_of(reach);
  if (at_moment != nullptr) read.snapshot = at_moment->snapshot.get();
  for (model::Version& version : entry.versions) {
    if (version.has_value) continue;
    rocksdb::PinnableSlice bytes;
    const rocksdb::Status status =
        db_->Get(read, families_.values, slice(value_key(token, key, version.dot)), &bytes);
    if (status.IsNotFound()) return absl::DataLossError("stored entry: its value is missing");
    if (!status.ok()) return from_rocksdb(status, fmt::format("{}: reading a value", directory_));
    if (bytes.size() != version.value_bytes ||
        model::value_checksum(view(bytes)) != version.checksum) {
      return absl::DataLossError("stored entry: value does not match its checksum");
    }
    version.value = view(bytes);
    version.has_value = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> Engine::get_meta(std::string_view key) const {
  std::string bytes;
  const rocksdb::Status status = db_->Get({}, families_.meta, slice(key), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return from_rocksdb(status, fmt::format("{}: reading metadata", directory_));
  return std::optional<std::string>(std::move(bytes));
}

absl::Status Engine::scan(const model::TokenRange& range,
                          const std::optional<std::string>& after_key, model::Values values,
                          const Moment* at_moment, bool fill_cache, Reach reach,
                          const Visit& visit) const {
  rocksdb::ReadOptions read;
  read.read_tier = tier_of(reach);
  if (at_moment != nullptr) read.snapshot = at_moment->snapshot.get();
  read.fill_cache = fill_cache;
  const Bounds bounds = bounds_of(range, after_key);
  const rocksdb::Slice end = slice(bounds.end);
  if (!bounds.end.empty()) read.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read, families_.data));
  for (at->Seek(slice(bounds.begin)); at->Valid(); at->Next()) {
    const auto key = parse_data_key(view(at->key()));
    if (!key.has_value()) return noticed(absl::DataLossError("stored entry: malformed key"));
    auto entry = model::decode_entry(view(at->value()), actors_at(at_moment), values);
    if (!entry.ok()) return noticed(entry.status());
    if (values == model::Values::kWith) {
      GRAPEVINE_RETURN_IF_ERROR(
          noticed(add_apart_values(key->token, key->key, at_moment, reach, *entry)));
    }
    if (!visit(key->token, key->key, *std::move(entry))) break;
  }
  return noticed(from_rocksdb(at->status(), fmt::format("{}: scanning", directory_)));
}

Engine::Bounds Engine::bounds_of(const model::TokenRange& range,
                                 const std::optional<std::string>& after_key) {
  Bounds bounds;
  model::put_ordered64(bounds.begin, range.first.value);
  if (after_key.has_value()) {
    bounds.begin = std::max(bounds.begin, data_key(model::token_of(*after_key), *after_key) + '\0');
  }
  if (range.last.value != ~std::uint64_t{0}) {
    model::put_ordered64(bounds.end, range.last.value + 1);
  }
  return bounds;
}

// One more than will be looked at: where a scan stops, it has seen the next one.
std::size_t Engine::warm(const model::TokenRange& range,
                         const std::optional<std::string>& after_key, std::size_t keys_max) const {
  rocksdb::ReadOptions read;
  const Bounds bounds = bounds_of(range, after_key);
  const rocksdb::Slice end = slice(bounds.end);
  if (!bounds.end.empty()) read.iterate_upper_bound = &end;
  std::size_t keys = 0;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read, families_.data));
  for (at->Seek(slice(bounds.begin)); at->Valid() && keys < keys_max; at->Next()) ++keys;
  at->status().PermitUncheckedError();  // shows to who reads next
  return keys;
}

absl::StatusOr<Total> Engine::add_up(const model::TokenRange& range, const Moment& at,
                                     const model::Digester& digester) const {
  Total total;
  GRAPEVINE_RETURN_IF_ERROR(
      scan(range, std::nullopt, model::Values::kWith, &at,
           /*fill_cache=*/false, Reach::kDisk,
           [&](model::Token, std::string_view key, const model::Entry& stored) {
             total += model::share_of(digester, key, stored);
             return true;
           }));
  return total;
}

absl::Status Engine::scan_meta(
    char kind,
    const std::function<absl::Status(std::string_view key, std::string_view bytes)>& visit) const {
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, families_.meta));
  for (at->Seek(rocksdb::Slice(&kind, 1)); at->Valid() && at->key()[0] == kind; at->Next()) {
    GRAPEVINE_RETURN_IF_ERROR(visit(view(at->key()), view(at->value())));
  }
  return from_rocksdb(at->status(), fmt::format("{}: scanning metadata", directory_));
}

absl::Status Engine::scan_expired(const VisitExpired& visit) const {
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, families_.expiry));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const std::string_view note = view(at->key());
    if (note.size() <= 16) return noticed(absl::DataLossError("stored expiry: malformed key"));
    const WallTime expires{static_cast<std::int64_t>(model::ordered64(note))};
    if (!visit(expires, note, note.substr(16))) break;
  }
  return noticed(from_rocksdb(at->status(), fmt::format("{}: scanning what expires", directory_)));
}

void Engine::put_entry(rocksdb::WriteBatch& batch, model::Token token, std::string_view key,
                       const model::Entry& stored, const model::ApartDots& apart) {
  put_entry_to(families_, batch, token, key, stored, apart);
}

void Engine::put_entry_to(const Families& families, rocksdb::WriteBatch& batch, model::Token token,
                          std::string_view key, const model::Entry& stored,
                          const model::ApartDots& apart) {
  const std::string at = data_key(token, key);
  for (const model::Dot dot : apart) {
    if (stored.find(dot) == nullptr) {
      batch.Delete(families.values, slice(value_key(token, key, dot)));
    }
  }
  if (stored.void_of_all()) {
    batch.Delete(families.data, slice(at));
    return;
  }
  for (const model::Version& version : stored.versions) {
    if (version.expires.unix_ms != 0) {
      batch.Put(families.expiry, slice(expiry_key(version.expires, token, key)), {});
    }
    const bool is_there = std::find(apart.begin(), apart.end(), version.dot) != apart.end();
    if (!model::stands_apart(version) || is_there) continue;
    GRAPEVINE_CHECK(version.has_value, "a version is stored with its value");
    batch.Put(families.values, slice(value_key(token, key, version.dot)), slice(version.value));
  }
  std::string bytes;
  model::encode_entry(stored, actors_, bytes);
  batch.Put(families.data, slice(at), slice(bytes));
}

void Engine::forget_expiry(rocksdb::WriteBatch& batch, std::string_view note) const {
  batch.Delete(families_.expiry, slice(note));
}

void Engine::put_meta(rocksdb::WriteBatch& batch, std::string_view key,
                      std::string_view value) const {
  batch.Put(families_.meta, slice(key), slice(value));
}

void Engine::delete_meta(rocksdb::WriteBatch& batch, std::string_view key) const {
  batch.Delete(families_.meta, slice(key));
}

void Engine::delete_notes(rocksdb::WriteBatch& batch) const {
  const char first = kMetaNote;
  const char end = kMetaNote + 1;
  batch.DeleteRange(families_.meta, rocksdb::Slice(&first, 1), rocksdb::Slice(&end, 1));
}

void Engine::put_new_actors(rocksdb::WriteBatch& batch) const {
  for (std::size_t number = actors_stored_; number < actors_.size(); ++number) {
    std::string actor;
    model::put_fixed64(actor, actors_.at(number)->value);
    put_meta(batch, meta_key(kMetaActor, number), actor);
  }
}

std::unique_ptr<Engine::Held> Engine::hold(std::string_view key,
                                           const model::ActorTable& actors) const {
  auto held = std::make_unique<Held>();
  const auto read_part = [&](rocksdb::ColumnFamilyHandle* family, const std::string& stored_key) {
    rocksdb::PinnableSlice& bytes = held->parts_.emplace_back();
    return db_->Get({}, family, slice(stored_key), &bytes).ok();
  };
  const model::Token token = model::token_of(key);
  if (!read_part(families_.data, data_key(token, key))) return held;
  const auto entry =
      model::decode_entry(view(held->parts_.front()), actors, model::Values::kWithout);
  if (!entry.ok()) return held;
  for (const model::Dot dot : model::apart_dots(*entry)) {
    read_part(families_.values, value_key(token, key, dot));
  }
  return held;
}

std::size_t Engine::Held::bytes() const {
  std::size_t bytes = 0;
  for (const rocksdb::PinnableSlice& part : parts_) bytes += part.size();
  return bytes;
}

absl::Status Engine::write(rocksdb::WriteBatch& batch, Stall stall) {
  put_new_actors(batch);
  rocksdb::WriteOptions options;
  options.no_slowdown = stall == Stall::kRefuse;
  const rocksdb::Status status = db_->Write(options, &batch);
  // RocksDB looks before it writes to the log.
  if (status.IsIncomplete()) return stalled_error(fmt::format("{}: writing", directory_));
  if (status.ok()) actors_stored_ = actors_.size();
  if (!status.ok() && failed_log_ == 0) failed_log_ = current_log();
  return noticed(from_rocksdb(status, fmt::format("{}: writing", directory_)));
}

absl::Status Engine::flush() {
  return from_rocksdb(
      db_->Flush({}, {families_.data, families_.values, families_.expiry, families_.meta}),
      fmt::format("{}: writing the memtables out", directory_));
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
// memtables out and begins a new log; but it keeps the old one when all memtables are empty, and to
// leave that by a flush it would have to write to it. So there is always something in one when a write
// may fail; should there be nothing, the next opening begins a new log.
//
// While the disk is still full Resume() must not even be tried: where it cannot create the new log,
// RocksDB takes that for a fatal error. A file of our own shows it first.
//
// Nor while a memtable waits for its flush: if that was scheduled when the write failed, RocksDB (7.8)
// neither makes nor forgets it, and Resume() waits behind it for ever.
absl::Status Engine::resume() {
  GRAPEVINE_RETURN_IF_ERROR(probe_disk());
  for (auto* family : {families_.data, families_.values, families_.expiry, families_.meta}) {
    std::uint64_t waits = 0;
    db_->GetIntProperty(family, rocksdb::DB::Properties::kMemTableFlushPending, &waits);
    if (waits == 0) continue;
    return absl::AbortedError(
        fmt::format("{}: the disk takes writes again, after it failed while memtables were being "
                    "written out",
                    directory_));
  }
  GRAPEVINE_RETURN_IF_ERROR(
      from_rocksdb(db_->Resume(), fmt::format("{}: writing again", directory_)));
  GRAPEVINE_RETURN_IF_ERROR(touch_memtable());
  if (failed_log_ != 0 && current_log() == failed_log_) {
    const absl::Status begun = from_rocksdb(db_->Flush({}, families_.meta),
                                            fmt::format("{}: beginning a new log", directory_));
    if (!begun.ok() && !absl::IsResourceExhausted(begun)) {
      return absl::AbortedError(std::string(text_of(begun)));
    }
    GRAPEVINE_RETURN_IF_ERROR(begun);
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
  unlogged.no_slowdown = true;
  return from_rocksdb(db_->Put(unlogged, families_.meta, slice(kMetaTouched), rocksdb::Slice()),
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
  std::uint64_t bytes = 0;
  for (auto* family : {families_.data, families_.values}) {
    for (const std::string& property :
         {rocksdb::DB::Properties::kLiveSstFilesSize, rocksdb::DB::Properties::kLiveBlobFileSize,
          rocksdb::DB::Properties::kCurSizeAllMemTables}) {
      std::uint64_t part = 0;
      db_->GetIntProperty(family, property, &part);
      bytes += part;
    }
  }
  return bytes;
}

}  // namespace grapevine::storage
