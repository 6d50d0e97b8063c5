#include "storage/verify.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <xxhash.h>

#include "storage/backup.h"
#include "storage/clock_journal.h"
#include "storage/data_directory.h"
#include "storage/engine_rocksdb.h"
#include "storage/identity.h"
#include "storage/life.h"
#include "storage/model/clock.h"
#include "storage/model/digest_tree.h"
#include "storage/rocksdb_log.h"
#include "storage/table_end.h"
#include "storage/tree_checkpoint.h"

namespace grapevine::storage {
namespace {

constexpr std::uint64_t kKeysAReport = 4096;
// Reading the table files is about as much work as reading what is in them.
constexpr double kFilesShare = 0.5;

// A key as a finding names it.
std::string shown(std::string_view key) {
  constexpr std::size_t kShownMax = 64;
  std::string text;
  for (const char c : key.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte < 0x20 || byte >= 0x7F ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return key.size() > kShownMax ? text + "…" : text;
}

// The walk. Whatever may be wrong with a directory is found by a step of run().
class Walk {
 public:
  explicit Walk(const VerifyOptions& options) : options_(options) {
    store_.directory = options.directory;
    store_.environment = options.environment;
    store_.block_cache_bytes = std::size_t{32} << 20;
    database_ = database_options(store_);
    env_ = with_table_ends_checked(database_.env);
    database_.env = env_.get();
    database_.create_if_missing = false;
    database_.create_missing_column_families = false;
    database_.info_log = no_rocksdb_log();
    // A log may end in a torn record, as every crash leaves it; nothing before may be damaged.
    database_.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  }
  ~Walk() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    db_.reset();
    if (lock_ != nullptr) env()->UnlockFile(lock_).PermitUncheckedError();
  }

  absl::StatusOr<VerifyReport> run() {
    GRAPEVINE_RETURN_IF_ERROR(take_directory());
    if (!open()) return report_;
    check_files();
    families_.meta = family(kMetaFamily);
    if (families_.meta == nullptr) {
      find("database: the column family of the metadata is missing");
      return report_;
    }
    take_families();
    GRAPEVINE_RETURN_IF_ERROR(check_identity());
    check_metadata();
    // Without an identity entries have no place.
    if (partitions_.empty() || families_.data == nullptr) return report_;
    read_trees();
    check_entries();
    check_sums();
    return report_;
  }

 private:
  struct Checked {
    model::Clock clock;
    std::optional<std::string> tree_bytes;
    std::optional<TreeCheckpoint> digests;  // to be checked against the entries
  };

  rocksdb::Env* env() const { return database_.env; }
  absl::Status refuse(const std::string& why) const {
    return absl::FailedPreconditionError(
        fmt::format("data directory {}: {}", options_.directory, why));
  }
  void find(const std::string& what) {
    ++report_.findings;
    options_.on_finding(what);
  }
  void progress(double fraction) const {
    if (options_.on_progress) options_.on_progress(fraction);
  }

  absl::Status take_directory() {
    const bool exists = env()->FileExists(options_.directory + "/CURRENT").ok();
    if (!exists && check_not_lost(*env(), options_.directory).ok()) {
      return refuse("holds no database; give the --data-dir of a node");
    }
    GRAPEVINE_RETURN_IF_ERROR(check_restored(options_.directory, options_.environment));
    const std::string lock = options_.directory + "/LOCK";
    if (!env()->FileExists(lock).ok()) return absl::OkStatus();
    if (const auto locked = env()->LockFile(lock, &lock_); !locked.ok()) {
      lock_ = nullptr;
      return refuse(
          fmt::format("another process has it open ({}); stop that one first", locked.ToString()));
    }
    return absl::OkStatus();
  }

  bool open() {
    if (const auto lost = check_not_lost(*env(), options_.directory); !lost.ok()) {
      find(std::string(text_of(lost)));
      return false;
    }
    std::vector<std::string> names;
    rocksdb::Status status = rocksdb::DB::ListColumnFamilies(database_, options_.directory, &names);
    if (status.ok()) {
      const auto cache = rocksdb::NewLRUCache(store_.block_cache_bytes);
      for (const std::string& name : names) {
        descriptors_.emplace_back(name, options_of_family(name, store_, cache));
      }
      rocksdb::DB* db = nullptr;
      status =
          rocksdb::DB::OpenForReadOnly(database_, options_.directory, descriptors_, &handles_, &db);
      db_.reset(db);
    }
    if (!status.ok()) find(fmt::format("database: cannot be opened: {}", status.ToString()));
    return status.ok();
  }

  void check_files() {
    std::vector<rocksdb::LiveFileMetaData> files;
    db_->GetLiveFilesMetaData(&files);
    for (const rocksdb::LiveFileMetaData& file : files) {
      const auto family =
          std::find_if(descriptors_.begin(), descriptors_.end(),
                       [&](const auto& one) { return one.name == file.column_family_name; });
      const rocksdb::Status status = rocksdb::VerifySstFileChecksum(
          rocksdb::Options(database_, family->options), rocksdb::EnvOptions(database_),
          rocksdb::ReadOptions(), file.db_path + file.name, file.largest_seqno);
      if (!status.ok()) {
        find(fmt::format("table file {} of {}: {}", file.name.substr(1), file.column_family_name,
                         status.ToString()));
      }
      progress(kFilesShare * static_cast<double>(++report_.table_files) /
               static_cast<double>(files.size()));
    }
    if (report_.findings > 0) return;
    // Beyond the blocks: whole files, blob files too, against what was recorded when they were
    // written.
    if (const auto status = db_->VerifyFileChecksums({}); !status.ok()) {
      find(fmt::format("files: {}", status.ToString()));
    }
  }

  // The families that are in force; some are missing where nothing was ever stored.
  void take_families() {
    std::uint64_t generation = 0;
    std::string bytes;
    if (families_.meta != nullptr &&
        db_->Get({}, families_.meta, slice(kMetaFamilies), &bytes).ok()) {
      model::ByteReader in(bytes);
      generation = in.varint();
      if (!in.done()) find("metadata: the record of the families is malformed");
    }
    families_.data = family(of_generation(kDataFamily, generation));
    families_.values = family(of_generation(kValuesFamily, generation));
    families_.expiry = family(of_generation(kExpiryFamily, generation));
    if (families_.data == nullptr) find("database: the column family of the data is missing");
  }

  rocksdb::ColumnFamilyHandle* family(const std::string& name) const {
    const auto found = std::find_if(handles_.begin(), handles_.end(),
                                    [&](const auto* one) { return one->GetName() == name; });
    return found == handles_.end() ? nullptr : *found;
  }

  absl::Status check_identity() {
    std::string bytes;
    const rocksdb::Status status = db_->Get({}, families_.meta, slice(kMetaIdentity), &bytes);
    if (!status.ok()) {
      find(fmt::format("identity: {}", status.ToString()));
      return absl::OkStatus();
    }
    const auto identity = Identity::decode(bytes);
    if (absl::IsFailedPrecondition(identity.status())) {
      return refuse(std::string(text_of(identity.status())));
    }
    if (!identity.ok()) {
      find(fmt::format("identity: {}", text_of(identity.status())));
      return absl::OkStatus();
    }
    report_.cluster_name = identity->cluster_name;
    report_.node = to_string(identity->actor.node());
    partitioning_ = model::Partitioning(identity->partitions);
    digester_ =
        model::Digester(XXH3_64bits(report_.cluster_name.data(), report_.cluster_name.size()));
    partitions_.resize(identity->partitions);
    return absl::OkStatus();
  }

  void check_metadata() {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, families_.meta));
    for (at->SeekToFirst(); at->Valid(); at->Next()) check_meta(view(at->key()), view(at->value()));
    if (!at->status().ok()) find(fmt::format("metadata: {}", at->status().ToString()));
  }

  void check_meta(std::string_view key, std::string_view bytes) {
    if (key == kMetaIdentity || key == kMetaTouched || key == kMetaFamilies) return;
    if (key == kMetaLife) {
      const auto record = LifeRecord::decode(bytes);
      if (!record.ok()) find(std::string(text_of(record.status())));
      stopped_cleanly_ = record.ok() && record->stopped_cleanly;
      return;
    }
    if (key.starts_with(kMetaNote)) {
      ++report_.notes;
      return;
    }
    if (key.size() != 9) {
      find(fmt::format("metadata: unknown key {}", shown(key)));
      return;
    }
    const std::uint64_t number = model::ordered64(key.substr(1));
    switch (key.front()) {
      case kMetaClock: return check_clock(number, bytes);
      case kMetaJournal: return check_journal_record(number, bytes);
      case kMetaActor: return check_actor(number, bytes);
      case kMetaSuspect:
        find(fmt::format("partition {}: has lost entries, and waits for other replicas", number));
        return;
      case kMetaTree:
        ++report_.tree_checkpoints;
        if (number < partitions_.size()) partitions_[number].tree_bytes = bytes;
        return;
      default: find(fmt::format("metadata: unknown key {}", shown(key)));
    }
  }

  // In the order of their numbers.
  void check_actor(std::uint64_t number, std::string_view bytes) {
    model::ByteReader in(bytes);
    const ActorId actor{in.fixed64()};
    if (!in.done() || actors_.index_of(actor) != number) {
      find(fmt::format("metadata: number {} of the table of actors is malformed", number));
    }
  }

  void check_clock(std::uint64_t partition, std::string_view bytes) {
    ++report_.clocks;
    auto clock = model::Clock::decode(bytes);
    if (!clock.ok()) {
      find(fmt::format("clock of partition {}: {}", partition, text_of(clock.status())));
    } else if (partition < partitions_.size()) {
      partitions_[partition].clock.merge(*clock);
    } else if (!partitions_.empty()) {
      find(fmt::format("clock of partition {}: there are {} partitions", partition,
                       partitions_.size()));
    }
  }

  void check_journal_record(std::uint64_t slot, std::string_view bytes) {
    ++report_.journal_records;
    const auto record = JournalRecord::decode(bytes);
    if (!record.ok()) {
      find(fmt::format("journal slot {}: {}", slot, text_of(record.status())));
      return;
    }
    if (record->sequence % JournalRecord::kSlots != slot) {
      find(fmt::format("journal slot {}: holds record {}", slot, record->sequence));
    }
    if (record->sequence > journal_sequence_) {
      journal_sequence_ = record->sequence;
      expected_ = record->total;
    }
    for (const PlacedDot& placed : record->dots) {
      if (placed.partition.value < partitions_.size()) {
        partitions_[placed.partition.value].clock.add(placed.dot);
      } else if (!partitions_.empty()) {
        find(fmt::format("journal slot {}: names partition {}, there are {}", slot,
                         placed.partition.value, partitions_.size()));
      }
    }
  }

  // Partition by partition, so that a block that cannot be read hides no more than the rest of one.
  void check_entries() {
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      const model::TokenRange range = partitioning_.range(PartitionId{i});
      std::string begin;
      std::string end;
      model::put_ordered64(begin, range.first.value);
      model::put_ordered64(end, range.last.value + 1);
      const rocksdb::Slice bound = slice(end);
      rocksdb::ReadOptions read;
      read.fill_cache = false;
      if (i + 1 < partitions_.size()) read.iterate_upper_bound = &bound;
      const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read, families_.data));
      for (at->Seek(slice(begin)); at->Valid(); at->Next()) {
        check_entry(partitions_[i], view(at->key()), view(at->value()));
      }
      if (!at->status().ok()) {
        find(fmt::format("entries of partition {}: {}", i, at->status().ToString()));
      }
    }
    progress(1);
  }

  void check_entry(Checked& partition, std::string_view stored_key, std::string_view bytes) {
    const auto key = parse_data_key(stored_key);
    if (!key.has_value()) {
      find(fmt::format("stored key {}: malformed", shown(stored_key)));
      return;
    }
    if (++report_.keys % kKeysAReport == 0) {
      progress(kFilesShare + (1 - kFilesShare) * static_cast<double>(key->token.value) * 0x1.0p-64);
    }
    if (model::token_of(key->key) != key->token) {
      find(fmt::format("key {}: does not lie at its token", shown(key->key)));
    }
    const auto entry = model::decode_entry(bytes, actors_, model::Values::kWith);
    if (!entry.ok()) {
      find(fmt::format("key {}: {}", shown(key->key), text_of(entry.status())));
      return;
    }
    report_.versions += entry->versions.size();
    report_.unquiet += entry->quiet() ? 0 : 1;
    for (const model::Version& version : entry->versions) {
      report_.value_bytes += version.value_bytes;
      if (partition.clock.contains(version.dot)) continue;
      find(fmt::format("key {}: the clock does not know its version ({}, {})", shown(key->key),
                       to_string(version.dot.actor), version.dot.counter));
    }
    for (const model::Version& version : entry->versions) check_beside(*key, version);
    const model::DigestShare share = model::share_of(digester_, key->key, *entry);
    found_ += share;
    // Taken from tree and sketch entry by entry: nothing is left of true ones.
    if (partition.digests.has_value()) {
      partition.digests->tree.change(key->token, share, {});
      partition.digests->sketch.change(key->token, share.sum, {});
    }
  }

  // What belongs to a version and does not stand in its entry.
  void check_beside(const DataKey& key, const model::Version& version) {
    std::string bytes;
    if (!version.has_value) {
      const rocksdb::Status status =
          families_.values == nullptr
              ? rocksdb::Status::NotFound()
              : db_->Get({}, families_.values, slice(value_key(key.token, key.key, version.dot)),
                         &bytes);
      if (!status.ok()) {
        find(
            fmt::format("key {}: its value cannot be read: {}", shown(key.key), status.ToString()));
      } else if (bytes.size() != version.value_bytes ||
                 model::value_checksum(bytes) != version.checksum) {
        find(fmt::format("key {}: value does not match its checksum", shown(key.key)));
      }
    }
    if (version.expires.unix_ms == 0) return;
    const rocksdb::Status status =
        families_.expiry == nullptr
            ? rocksdb::Status::NotFound()
            : db_->Get({}, families_.expiry, slice(expiry_key(version.expires, key.token, key.key)),
                       &bytes);
    if (!status.ok()) {
      find(fmt::format("key {}: nothing notes that it expires: {}", shown(key.key),
                       status.ToString()));
    }
  }

  void read_trees() {
    if (!stopped_cleanly_) return;  // what stands there is of an earlier life
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      if (!partitions_[i].tree_bytes.has_value()) continue;
      auto digests =
          decode_tree_checkpoint(*partitions_[i].tree_bytes, partitioning_.range(PartitionId{i}),
                                 model::Sketch::cells_of(partitioning_.count()), journal_sequence_);
      partitions_[i].tree_bytes.reset();
      if (digests.ok()) {
        partitions_[i].digests = *std::move(digests);
      } else {
        find(fmt::format("tree of partition {}: {}", i, text_of(digests.status())));
      }
    }
  }

  void check_sums() {
    if (found_ != expected_) find("entries: do not add up to what the last journal record says");
    for (std::uint32_t i = 0; i < partitions_.size(); ++i) {
      const auto& digests = partitions_[i].digests;
      if (digests.has_value() && !(digests->tree.blank() && digests->sketch.blank())) {
        find(fmt::format("tree of partition {}: is not the sum of its entries", i));
      }
    }
  }

  const VerifyOptions& options_;
  StoreOptions store_;
  std::unique_ptr<rocksdb::Env> env_;
  rocksdb::DBOptions database_;
  rocksdb::FileLock* lock_ = nullptr;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  struct {
    rocksdb::ColumnFamilyHandle* data = nullptr;
    rocksdb::ColumnFamilyHandle* values = nullptr;
    rocksdb::ColumnFamilyHandle* expiry = nullptr;
    rocksdb::ColumnFamilyHandle* meta = nullptr;
  } families_;

  VerifyReport report_;
  model::Partitioning partitioning_{1};
  model::Digester digester_{0};
  std::vector<Checked> partitions_;  // empty: not known
  bool stopped_cleanly_ = false;
  model::ActorTable actors_;
  std::uint64_t journal_sequence_ = 0;
  Total expected_;  // by the last journal record
  Total found_;
};

}  // namespace

absl::StatusOr<VerifyReport> verify_directory(const VerifyOptions& options) {
  return Walk(options).run();
}

}  // namespace grapevine::storage
