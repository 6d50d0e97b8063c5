// What a store is made with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "storage/base/time.h"
#include "storage/life.h"

namespace grapevine::storage {

struct RocksEnvironment;

// When a write counts as done.
enum class Durability {
  kSync,  // fsynced: survives power loss
  kOs,    // written to the kernel: survives kill -9
};

struct StoreOptions {
  std::string directory;  // must exist
  // What the directory is made as, or must have been made as. The cluster's name also seeds its
  // digests.
  std::string cluster_name = "grapevine";
  std::uint32_t partitions = 64;

  Durability durability = Durability::kSync;
  Life life;  // of the process that opens it

  std::size_t block_cache_bytes = std::size_t{256} << 20;
  std::size_t memtable_bytes = std::size_t{64} << 20;
  // All dot logs together. About 130 bytes a dot with keys of 20 bytes: 64 MiB name the last
  // 500,000 writes.
  std::size_t dot_log_bytes = std::size_t{64} << 20;
  // How long a dot counts as in flight: direct replication is expected to bring it.
  Duration in_flight_grace = std::chrono::milliseconds(200);

  // Called now and then while the store opens, on that thread, with the fraction of the keys that
  // have been read; false gives up. May be empty.
  std::function<bool(double fraction)> on_opening;

  // Opens what is refused as damaged: repairs RocksDB's files first, at the cost of what cannot be
  // read, and trusts no partition then (R9). What opens without that is not touched.
  bool salvage = false;

  RocksEnvironment* environment = nullptr;  // nullptr: the machine's own disk
};

}  // namespace grapevine::storage
