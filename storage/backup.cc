#include "storage/backup.h"

#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/utilities/backup_engine.h>

#include "storage/engine_rocksdb.h"
#include "storage/identity.h"
#include "storage/model/bytes.h"
#include "storage/store_options.h"

namespace grapevine::storage {
namespace {

constexpr std::uint64_t kOwnerFormat = 1;
// How often the copying reports, and may be told to end.
constexpr std::uint64_t kProgressBytes = std::uint64_t{1} << 18;
// Where a restore puts what it has not finished.
constexpr const char* kUnfinished = "restoring";

rocksdb::Env* env_of(RocksEnvironment* environment) {
  return environment == nullptr ? rocksdb::Env::Default() : environment->env;
}

std::string named(const std::string& directory) {
  return fmt::format("backup directory {}", directory);
}

absl::Status from_backup(const rocksdb::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsNoSpace()) {
    return absl::ResourceExhaustedError(
        fmt::format("{}: disk full ({}); free space on it and try again, the backups before are as "
                    "they were",
                    what, status.ToString()));
  }
  if (status.IsIncomplete()) return absl::CancelledError(fmt::format("{}: stopped", what));
  if (status.IsNotFound()) return absl::NotFoundError(fmt::format("{}: no such backup", what));
  const std::string text = fmt::format("{}: {}", what, status.ToString());
  return status.IsCorruption() ? absl::DataLossError(text) : absl::InternalError(text);
}

absl::Status unusable(const std::string& directory, const rocksdb::Status& status) {
  if (status.IsNoSpace()) return from_backup(status, named(directory));
  return absl::FailedPreconditionError(
      fmt::format("{}: cannot be used ({}); give a directory that the node may write",
                  named(directory), status.ToString()));
}

absl::StatusOr<BackupInfo> info_of(const rocksdb::BackupInfo& from, const std::string& directory) {
  auto owner = BackupOwner::decode(from.app_metadata);
  if (!owner.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("{}: backup {} is none of this program's ({}); give another directory",
                    named(directory), from.backup_id, text_of(owner.status())));
  }
  return BackupInfo{from.backup_id, from.timestamp, from.size, from.number_files,
                    *std::move(owner)};
}

absl::Status check_owner(const BackupInfo& there, const BackupOwner& owner,
                         const std::string& directory) {
  const auto refuse = [&](const std::string& whose, const std::string& mine) {
    return absl::FailedPreconditionError(
        fmt::format("{}: backup {} in it is of {}, not of {}; give another directory",
                    named(directory), there.number, whose, mine));
  };
  if (there.owner.cluster_name != owner.cluster_name) {
    return refuse(fmt::format("cluster \"{}\"", there.owner.cluster_name),
                  fmt::format("cluster \"{}\"", owner.cluster_name));
  }
  if (there.owner.actor.node() != owner.actor.node()) {
    return refuse("node " + to_string(there.owner.actor.node()),
                  "node " + to_string(owner.actor.node()));
  }
  return absl::OkStatus();
}

absl::Status make_directory(rocksdb::Env* env, const std::string& directory) {
  const std::string parent = std::filesystem::path(directory).parent_path().string();
  if (!parent.empty()) {
    if (const auto made = env->CreateDirIfMissing(parent); !made.ok()) {
      return unusable(parent, made);
    }
  }
  if (const auto made = env->CreateDirIfMissing(directory); !made.ok()) {
    return unusable(directory, made);
  }
  return absl::OkStatus();
}

rocksdb::BackupEngineOptions engine_options(const std::string& directory, rocksdb::Env* env) {
  rocksdb::BackupEngineOptions options(directory);
  options.backup_env = env;
  options.callback_trigger_interval_size = kProgressBytes;
  return options;
}

std::set<std::string> files_of(const rocksdb::BackupEngineReadOnlyBase& engine) {
  std::vector<rocksdb::BackupInfo> backups;
  engine.GetBackupInfo(&backups, /*include_file_details=*/true);
  std::set<std::string> names;
  for (const auto& backup : backups) {
    for (const auto& file : backup.file_details) names.insert(file.relative_filename);
  }
  return names;
}

absl::StatusOr<std::unique_ptr<rocksdb::BackupEngineReadOnly>> open_backups(
    const std::string& directory, rocksdb::Env* env) {
  // RocksDB would make what is not there.
  if (!env->FileExists(directory).ok()) {
    return absl::NotFoundError(fmt::format("{}: does not exist", named(directory)));
  }
  if (!env->FileExists(directory + "/meta").ok()) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: holds no backups; give the DIR/NODE-ID that `grapevine backup DIR` has made",
        named(directory)));
  }
  rocksdb::BackupEngineReadOnly* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::BackupEngineReadOnly::Open(engine_options(directory, env), env, &opened);
  std::unique_ptr<rocksdb::BackupEngineReadOnly> engine(opened);
  if (!status.ok()) return unusable(directory, status);
  return engine;
}

}  // namespace

std::string BackupOwner::encode() const {
  std::string out;
  model::put_varint(out, kOwnerFormat);
  model::put_bytes(out, cluster_name);
  model::put_fixed64(out, actor.value);
  return out;
}

absl::StatusOr<BackupOwner> BackupOwner::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  const std::uint64_t format = in.varint();
  if (in.ok() && format != kOwnerFormat) {
    return absl::FailedPreconditionError(
        fmt::format("its description has format {}, this program knows {}", format, kOwnerFormat));
  }
  BackupOwner owner;
  owner.cluster_name = in.bytes();
  owner.actor.value = in.fixed64();
  if (!in.done() || !owner.actor.node().valid()) {
    return absl::DataLossError("its description is malformed");
  }
  return owner;
}

absl::StatusOr<BackupReport> make_backup(rocksdb::DB& db, bool flush, const BackupOwner& owner,
                                         const BackupOptions& options) {
  rocksdb::Env* const env = db.GetEnv();
  GRAPEVINE_RETURN_IF_ERROR(make_directory(env, options.directory));
  rocksdb::BackupEngineOptions how = engine_options(options.directory, env);
  how.backup_rate_limit = options.bytes_per_second;
  rocksdb::BackupEngine* opened = nullptr;
  if (const auto status = rocksdb::BackupEngine::Open(how, env, &opened); !status.ok()) {
    return unusable(options.directory, status);
  }
  const std::unique_ptr<rocksdb::BackupEngine> engine(opened);
  std::vector<rocksdb::BackupInfo> before;
  engine->GetBackupInfo(&before);
  for (const auto& backup : before) {
    GRAPEVINE_ASSIGN_OR_RETURN(const BackupInfo there, info_of(backup, options.directory));
    GRAPEVINE_RETURN_IF_ERROR(check_owner(there, owner, options.directory));
  }
  const std::set<std::string> files_before = files_of(*engine);

  rocksdb::CreateBackupOptions create;
  create.flush_before_backup = flush;
  std::uint64_t copied = 0;  // one thread of RocksDB's copies
  create.progress_callback = [&] {
    copied += kProgressBytes;
    if (options.on_progress && !options.on_progress(copied)) engine->StopBackup();
  };
  rocksdb::BackupID number = 0;
  rocksdb::Status status =
      engine->CreateNewBackupWithMetadata(create, &db, owner.encode(), &number);
  if (status.ok()) status = engine->VerifyBackup(number);
  if (!status.ok()) {
    engine->GarbageCollect().PermitUncheckedError();
    return from_backup(status, named(options.directory));
  }

  BackupReport report;
  rocksdb::BackupInfo made;
  GRAPEVINE_RETURN_IF_ERROR(
      from_backup(engine->GetBackupInfo(number, &made, /*include_file_details=*/true),
                  named(options.directory)));
  GRAPEVINE_ASSIGN_OR_RETURN(report.made, info_of(made, options.directory));
  for (const auto& file : made.file_details) {
    if (files_before.contains(file.relative_filename)) continue;
    ++report.files_new;
    report.bytes_new += file.size;
  }
  if (options.keep > 0) {
    if (before.size() + 1 > options.keep) {
      report.deleted = static_cast<std::uint32_t>(before.size() + 1 - options.keep);
    }
    GRAPEVINE_RETURN_IF_ERROR(
        from_backup(engine->PurgeOldBackups(options.keep), named(options.directory)));
  }
  return report;
}

absl::StatusOr<std::vector<BackupInfo>> list_backups(const std::string& directory,
                                                     RocksEnvironment* environment) {
  GRAPEVINE_ASSIGN_OR_RETURN(const auto engine, open_backups(directory, env_of(environment)));
  std::vector<rocksdb::BackupInfo> backups;
  engine->GetBackupInfo(&backups);
  std::vector<BackupInfo> infos;
  for (const auto& backup : backups) {
    GRAPEVINE_ASSIGN_OR_RETURN(infos.emplace_back(), info_of(backup, directory));
  }
  return infos;
}

namespace {

// One restore, step by step; what is left of it when it fails is removed.
class Restore {
 public:
  explicit Restore(const RestoreOptions& options)
      : options_(options),
        env_(env_of(options.environment)),
        unfinished_(options.data_directory + "/" + kUnfinished) {}

  absl::StatusOr<BackupInfo> run() {
    GRAPEVINE_ASSIGN_OR_RETURN(auto engine, open_backups(options_.backup_directory, env_));
    rocksdb::BackupInfo chosen;
    GRAPEVINE_RETURN_IF_ERROR(from_backup(
        options_.number == 0 ? engine->GetLatestBackupInfo(&chosen)
                             : engine->GetBackupInfo(options_.number, &chosen),
        options_.number == 0
            ? named(options_.backup_directory)
            : fmt::format("{}: backup {}", named(options_.backup_directory), options_.number)));
    GRAPEVINE_ASSIGN_OR_RETURN(BackupInfo info, info_of(chosen, options_.backup_directory));
    GRAPEVINE_RETURN_IF_ERROR(take_directory());
    absl::Status status = copy(*engine, info);
    if (status.ok()) status = change_life(info);
    if (status.ok()) status = move_out();
    if (!status.ok()) {
      engine.reset();  // its threads may still be copying
      clear();
      return status;
    }
    return info;
  }

 private:
  std::string what() const { return fmt::format("data directory {}", options_.data_directory); }
  absl::Status io(const rocksdb::Status& status) const { return from_backup(status, what()); }

  absl::Status take_directory() {
    GRAPEVINE_RETURN_IF_ERROR(check_restored(options_.data_directory, options_.environment));
    const auto made = env_->CreateDirIfMissing(options_.data_directory);
    std::vector<std::string> there;
    const auto read = made.ok() ? env_->GetChildren(options_.data_directory, &there) : made;
    if (!read.ok()) {
      return absl::FailedPreconditionError(fmt::format(
          "{}: cannot be used ({}); choose another --data-dir", what(), read.ToString()));
    }
    for (const std::string& name : there) {
      if (name == "." || name == ".." || name == "lost+found") continue;
      return absl::FailedPreconditionError(
          fmt::format("{}: is not empty (it holds {}); restore into an empty one", what(), name));
    }
    return io(env_->CreateDir(unfinished_));
  }

  absl::Status copy(const rocksdb::BackupEngineReadOnly& engine, const BackupInfo& info) {
    return from_backup(engine.RestoreDBFromBackup(rocksdb::RestoreOptions(), info.number,
                                                  unfinished_, unfinished_),
                       fmt::format("{}: backup {}", named(options_.backup_directory), info.number));
  }

  // The next opening is to find a directory that remembers no life.
  absl::Status change_life(const BackupInfo& info) {
    StoreOptions options;
    options.directory = unfinished_;
    options.environment = options_.environment;
    GRAPEVINE_ASSIGN_OR_RETURN(const auto engine, Engine::open(options));
    GRAPEVINE_ASSIGN_OR_RETURN(const auto bytes, engine->get_meta(kMetaIdentity));
    if (!bytes.has_value()) return absl::DataLossError(what() + ": the backup has no identity");
    GRAPEVINE_ASSIGN_OR_RETURN(Identity identity, Identity::decode(*bytes));
    if (identity.cluster_name != info.owner.cluster_name ||
        identity.actor.node() != info.owner.actor.node()) {
      return absl::DataLossError(what() + ": the backup is not of the node that it names");
    }
    rocksdb::WriteBatch writes;
    engine->delete_meta(writes, kMetaLife);
    if (options_.new_node.valid()) {
      identity.actor = ActorId::of(options_.new_node, 1);
      engine->put_meta(writes, kMetaIdentity, identity.encode());
      engine->delete_notes(writes);
    }
    GRAPEVINE_RETURN_IF_ERROR(engine->write(writes, Stall::kWait));
    return engine->sync();
  }

  absl::Status move_out() {
    std::vector<std::string> files;
    GRAPEVINE_RETURN_IF_ERROR(io(env_->GetChildren(unfinished_, &files)));
    for (const std::string& name : files) {
      if (name == "." || name == "..") continue;
      GRAPEVINE_RETURN_IF_ERROR(
          io(env_->RenameFile(unfinished_ + "/" + name, options_.data_directory + "/" + name)));
    }
    GRAPEVINE_RETURN_IF_ERROR(sync_directory());
    GRAPEVINE_RETURN_IF_ERROR(io(env_->DeleteDir(unfinished_)));
    return sync_directory();
  }

  absl::Status sync_directory() {
    std::unique_ptr<rocksdb::Directory> directory;
    GRAPEVINE_RETURN_IF_ERROR(io(env_->NewDirectory(options_.data_directory, &directory)));
    return io(directory->Fsync());
  }

  void clear() {
    for (const std::string& folder : {unfinished_, options_.data_directory}) {
      std::vector<std::string> files;
      env_->GetChildren(folder, &files).PermitUncheckedError();
      for (const std::string& name : files) {
        if (name != kUnfinished) env_->DeleteFile(folder + "/" + name).PermitUncheckedError();
      }
    }
    env_->DeleteDir(unfinished_).PermitUncheckedError();
  }

  const RestoreOptions& options_;
  rocksdb::Env* const env_;
  const std::string unfinished_;
};

}  // namespace

absl::StatusOr<BackupInfo> restore_backup(const RestoreOptions& options) {
  return Restore(options).run();
}

absl::Status check_restored(const std::string& data_directory, RocksEnvironment* environment) {
  if (!env_of(environment)->FileExists(data_directory + "/" + kUnfinished).ok()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(fmt::format(
      "data directory {}: a restore into it has not finished; wait for it, or empty the "
      "directory and restore again",
      data_directory));
}

}  // namespace grapevine::storage
