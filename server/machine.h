// What a node takes from the machine that it runs on, beside its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rpc/loop.h"
#include "rpc/seal.h"
#include "server/disk.h"
#include "storage/base/status.h"
#include "storage/life.h"
#include "storage/store_options.h"

namespace grapevine::server {

// Value. A process has the real one (real_machine), a simulation its own.
struct Machine {
  std::uint64_t seed = 0;         // for all chance of the node
  rpc::Seal::Salt packet_salt{};  // of this life alone, see rpc/seal.h
  // The environment, and what else is not the node's to say.
  storage::StoreOptions store;
  // Makes the directory of the node's data if it does not exist; which life of it begins.
  std::function<absl::StatusOr<storage::Life>(const std::string& directory)> begin_life;
  // How busy the machine is, and what is free where `directory` lies; empty: not known. Reads what
  // the kernel holds in memory.
  struct Load {
    std::uint32_t cpu_percent = 0;  // of all cores, since the last call
    std::uint64_t disk_free_mib = 0;
  };
  std::function<Load(const std::string& directory)> measure;
  // A disk for one store, or for its backups.
  std::function<std::unique_ptr<Disk>(rpc::Loop& loop)> make_disk;
  // The node cannot go on in this process: what was written may be lost, or, when it is DataLoss,
  // what is stored is damaged, and starting anew goes on with what is whole; when it is Aborted,
  // nothing is lost, and starting anew is all that is needed. Of a real machine it does not return.
  std::function<void(const absl::Status& status)> on_fatal;
};

// `start_anew` replaces the process by one that starts the same node; without it damage ends the
// process.
Machine real_machine(std::function<void()> start_anew = {});

// Of /proc/stat's first line, `before` and now: the share of time that was not idle, in percent; 0 for
// lines that are not such.
std::uint32_t cpu_percent(const std::string& before, const std::string& now);

// Which machine this is, which boot of it, and which directory: what rule R7 compares. Makes
// `directory` if it does not exist. FailedPrecondition when it cannot be made or is no directory.
absl::StatusOr<storage::Life> machine_life(const std::string& directory);

}  // namespace grapevine::server
