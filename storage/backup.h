// Backups of a store: several of one node in one directory, each of them whole, sharing the table
// files that they have in common. Made by RocksDB's BackupEngine, whose layout the directory has.
//
// What a backup holds is one moment: the effect of the first n commits and of no other, on entries,
// clocks and journal alike. The memtables are written out first; then the table files are copied, and
// the write-ahead log up to its size at that moment, so that opening the copy is like opening after a
// crash. A commit is one record of that log for all column families, and recovery stops at the first
// record that is torn.
//
// Every file is copied under a checksum: a table that is not any more what the database wrote fails
// the backup, a damaged copy fails its restore. (What stands in the tables is not looked at:
// `verify` of a restored directory does that.)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/status.h"

namespace rocksdb {
class DB;
}

namespace grapevine::storage {

struct RocksEnvironment;

// Whose a backup is. Value. Stored with each one: varint format version (1), cluster name (varint
// length, bytes), actor (8 bytes).
struct BackupOwner {
  std::string cluster_name;
  ActorId actor;

  std::string encode() const;
  static absl::StatusOr<BackupOwner> decode(std::string_view bytes);
};

// Value.
struct BackupInfo {
  std::uint32_t number = 0;  // 1, 2, 3, … within the directory, rising
  std::int64_t unix_seconds = 0;
  std::uint64_t bytes = 0;  // all its files, those that it shares with other backups included
  std::uint32_t files = 0;
  BackupOwner owner;
};

struct BackupOptions {
  std::string directory;               // made if it does not exist
  std::uint32_t keep = 0;              // afterwards only the newest so many are left; 0: all
  std::uint64_t bytes_per_second = 0;  // 0: as fast as the disks are
  // Called while files are copied, on a thread of RocksDB's, with the bytes so far; false ends the
  // backup soon. May be empty.
  std::function<bool(std::uint64_t bytes)> on_progress;
};

// Value.
struct BackupReport {
  BackupInfo made;
  std::uint32_t files_new = 0;  // copied; the others were there already
  std::uint64_t bytes_new = 0;
  std::uint32_t deleted = 0;  // older backups
};

// Makes a backup of a database that may be written meanwhile; blocks. `flush` is to be false when the
// database cannot write: then the log is copied instead. The directory must be used by nobody else
// meanwhile. On an error what was copied is deleted again and the backups before are as they were;
// afterwards as well, when the process ends in the middle. Errors: FailedPrecondition (no directory,
// not writable, backups of somebody else in it), ResourceExhausted (disk full), DataLoss (a file of
// the database is damaged), Cancelled.
absl::StatusOr<BackupReport> make_backup(rocksdb::DB& db, bool flush, const BackupOwner& owner,
                                         const BackupOptions& options);

// The backups in a directory, oldest first. Blocks. NotFound when it does not exist,
// FailedPrecondition when it is no directory of backups. `environment`: as StoreOptions has it.
absl::StatusOr<std::vector<BackupInfo>> list_backups(const std::string& directory,
                                                     RocksEnvironment* environment);

struct RestoreOptions {
  std::string backup_directory;
  std::uint32_t number = 0;  // 0: the newest
  std::string data_directory;
  // Not 0: the restored directory becomes that of another node, which knows no member.
  NodeId new_node;
  RocksEnvironment* environment = nullptr;
};

// Makes a data directory from a backup; blocks. The store that opens it takes a new actor (R7).
// Everything is copied into a folder within the directory, checked, and moved out of there; until that
// is done no store opens it. On an error the directory is as empty as it was. Errors:
// FailedPrecondition (the data directory is not empty, or the backups cannot be read), NotFound (no
// such backup), DataLoss (the backup is damaged; another may be whole), ResourceExhausted (disk full).
absl::StatusOr<BackupInfo> restore_backup(const RestoreOptions& options);

// FailedPrecondition when a restore into `data_directory` began and did not finish.
absl::Status check_restored(const std::string& data_directory, RocksEnvironment* environment);

}  // namespace grapevine::storage
