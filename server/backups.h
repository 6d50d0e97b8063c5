// The backups that a node makes of itself, on the disks of its machine.
//
// Resource, loop thread; the copying is done on a thread of its own, so that syncs do not wait for it.
// One backup at a time. One that was asked for goes on when whoever asked has gone; stop() ends it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <kj/async.h>

#include "rpc/loop.h"
#include "server/disk.h"
#include "storage/backup.h"
#include "storage/store.h"

namespace grapevine::server {

class Backups {
 public:
  struct Made {
    storage::BackupReport report;
    std::string directory;
    Duration took{0};
  };
  struct Listed {
    std::string directory;
    std::vector<storage::BackupInfo> backups;  // oldest first
  };

  // The store must outlive it. `disk` does nothing else.
  Backups(rpc::Loop& loop, storage::Store& store, std::unique_ptr<Disk> disk)
      : loop_(loop), store_(store), disk_(std::move(disk)) {}
  ~Backups() noexcept { stopping_ = true; }

  // A backup into DIRECTORY/NODE-ID. InvalidArgument when the path is not absolute,
  // FailedPrecondition while another backup is under way; else as storage::make_backup.
  kj::Promise<absl::StatusOr<Made>> make(const std::string& directory, std::uint32_t keep,
                                         std::uint64_t bytes_per_second);
  // Those in DIRECTORY/NODE-ID. FailedPrecondition while a backup is under way.
  kj::Promise<absl::StatusOr<Listed>> list(const std::string& directory);

  bool under_way() const { return under_way_; }
  std::uint64_t bytes_copied() const { return bytes_copied_; }  // by the last one, as yet

  // Ends what is under way. Nothing may be asked for afterwards.
  kj::Promise<void> stop();

 private:
  // What may not be done now, or where.
  absl::StatusOr<std::string> own_folder(const std::string& directory) const;

  rpc::Loop& loop_;
  storage::Store& store_;
  bool under_way_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> bytes_copied_ = 0;
  std::unique_ptr<Disk> disk_;  // goes first: its work refers to the rest
};

}  // namespace grapevine::server
