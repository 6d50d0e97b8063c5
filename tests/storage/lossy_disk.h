// A disk in memory that knows what was fsynced, so that a process can be killed on it, the power
// cut, a directory copied, bytes turned over and reads failed.
//
// What is modelled:
//   kill -9       every byte that was appended and every creation, renaming and deletion stays
//   power loss    a file keeps what was synced and a random part of what was appended since; of the
//                 creations, renamings and deletions since the directory was last synced, which are
//                 an ordered journal, the first few stay
//   a copy        of a directory at one moment; made while a process writes, it may miss the ends
//                 of files (never what was synced before the copy began)
//   a crash in    of whatever writes there: after so many more changes nothing changes any more
//   the middle
//   bad reads     of tables, by the thread that asked for it: an error, or a byte turned over
//   a full disk   appends fail, the first one after a part of it was written; all else is done. Where
//                 RocksDB's background work meets it, it has room when that tries again
//
// Not modelled: blocks of one file that reach the disk out of order, files longer than what was
// written to them, torn synced data, hard links; a folder that was made stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/random.h"
#include "storage/engine_rocksdb.h"

namespace grapevine::storage {

// Resource. Directories are apart from each other: each the data directory of one store, or one of
// backups. What stands in folders below (backups; what a restore or RocksDB's repair sets aside) is in
// no copy. RocksDB's options files and its LOG are refused: it goes on without them, and writing them is
// most of what opening costs. One thread of its own for RocksDB's background work; every call but
// environment() first waits until that is idle, so that nothing depends on when it ran. Calls are
// for the thread that uses the stores. All stores must be gone before the disk goes.
class LossyDisk {
 public:
  // The bytes of a directory's files, by name. Value.
  using Image = std::map<std::string, std::string>;

  LossyDisk();
  ~LossyDisk();
  LossyDisk(const LossyDisk&) = delete;
  LossyDisk& operator=(const LossyDisk&) = delete;

  RocksEnvironment* environment() { return &environment_; }
  // Until nothing of RocksDB's background work is waiting or under way.
  void await_idle() const;
  // From now on background work is done only while the calling thread waits for it: in await_idle(),
  // in any other call here, or somewhere in RocksDB. So nothing that this thread sees depends on how
  // fast the other one is.
  void hold_background();

  // Where the write-ahead log of a directory ends now. Whether this much of it is still there is
  // what decides which commits a crash leaves. Value.
  struct LogEnd {
    std::uint64_t log = 0;  // its number; 0: before any log
    std::size_t bytes = 0;
  };
  LogEnd log_end(const std::string& directory) const;
  // Whether the directory still holds everything up to `end`, in its log or, where that log is no
  // more because its contents were written out, in tables.
  bool holds(const std::string& directory, const LogEnd& end) const;
  static bool holds(const Image& image, const LogEnd& end);

  // From now on until thaw() nothing changes in the directory, whatever its process does: what it
  // would do while its objects are taken apart, a killed one does not.
  void freeze(const std::string& directory);
  void thaw(const std::string& directory);
  // In the directory and below. REQUIRES: no store is open there.
  void lose_power(const std::string& directory, Random& random);
  // So many more appends, syncs and changes of names are done in the directory and below; then it is
  // as frozen, and stopped() is true, until go_on(). One directory at a time.
  void stop_after(const std::string& directory, std::uint64_t changes);
  bool stopped() const;
  void go_on();

  Image copy(const std::string& directory) const;
  // A copy by a tool that reads file by file while the process appends.
  Image copy_while_running(const std::string& directory, Random& random) const;
  // Makes the directory hold exactly these files and nothing below it, all of them synced. REQUIRES:
  // no store is open there.
  void place(const std::string& directory, const Image& image);
  void remove(const std::string& directory) { place(directory, {}); }

  enum class BadRead { kError, kFlippedBit };
  // After so many more reads of tables in that directory by this thread every one goes bad.
  void fail_reads(const std::string& directory, std::uint64_t after, BadRead how);
  void heal_reads();
  std::uint64_t bad_reads() const;  // how many there were

  // From now on so many bytes more can be appended in the directory, until make_room().
  void fill(const std::string& directory, std::size_t bytes_left);
  void make_room(const std::string& directory);
  std::uint64_t refused_appends() const;

  class Files;

 private:
  class Background;
  std::shared_ptr<Files> files_;
  std::unique_ptr<rocksdb::Env> files_env_;
  std::unique_ptr<Background> background_;
  RocksEnvironment environment_;
};

}  // namespace grapevine::storage
