// What tests of storage/ run a store in: time and chance moved by hand, an executor that works when
// told, a directory of their own or none at all, and a disk that fails on command.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include "storage/base/random.h"
#include "storage/base/time.h"
#include "storage/engine_rocksdb.h"
#include "storage/executor.h"
#include "storage/store.h"

namespace grapevine::storage {

class HandTime final : public TimeSource {
 public:
  Instant now() const override { return now_; }
  WallTime wall_now() const override { return {now_.since_start.count() / 1'000'000}; }
  void advance(Duration by) { now_ = now_ + by; }

 private:
  Instant now_;
};

// Keeps work until a test asks for it.
class HandExecutor final : public Executor {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    waiting_.push_back({std::move(work), std::move(done)});
  }
  // Does the oldest work and reports it; false when there is none.
  bool run_one();
  void run_all() {
    while (run_one()) {
    }
  }
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t works_done() const { return works_done_; }

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::deque<Job> waiting_;
  std::size_t works_done_ = 0;
};

// A fresh directory on the machine's disk, removed in the end.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// A file system that passes everything on, until told to fail: RocksDB's own, on disk or in memory,
// below.
class FailingDisk {
 public:
  explicit FailingDisk(rocksdb::Env* below);
  ~FailingDisk();

  RocksEnvironment* environment() { return &environment_; }
  // From now on appending to (or syncing) write-ahead logs fails so; OK heals.
  void fail_log_appends(rocksdb::IOStatus status);
  // Lets the first half of a failing append through: a torn write.
  void tear_failing_appends(bool tear);
  void fail_log_syncs(rocksdb::IOStatus status);
  // From now on nothing can be appended to any file, or any file be made.
  void fail_everything(rocksdb::IOStatus status);
  // From now on no file below `directory` can be made or appended to; OK heals.
  void fail_below(const std::string& directory, rocksdb::IOStatus status);
  // After so many more reads of tables, every one fails so; OK heals.
  void fail_reads_after(std::uint64_t reads, rocksdb::IOStatus status);
  // While held, whoever makes a new table waits: no flush ends.
  void hold_tables(bool hold);
  std::uint64_t log_syncs() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
  std::unique_ptr<rocksdb::Env> env_;
  RocksEnvironment environment_;
};

// Everything that is stored, readable: clocks, entries as they lie there, the digests of every
// partition.
std::vector<std::string> contents_of(const Store& store);
// The digest tree of each partition says what its entries add up to.
::testing::AssertionResult trees_are_true(const Store& store);

// A store and what it needs. Unless told otherwise, in memory and with one partition.
class Scene {
 public:
  Scene();
  ~Scene();

  // REQUIRES: no store is open. crash() drops the store as kill -9 would; open() again is the
  // restart.
  absl::Status open();
  void crash();
  absl::Status close();
  Store& store() { return *store_; }
  bool is_open() const { return store_ != nullptr; }

  // Ends a life and begins the next: what was written lies in tables, and none of it in memory.
  void cool_down();

  // One write in a batch of its own; the test fails when it is refused.
  WriteOutcome put(std::string_view key, std::string_view value,
                   std::optional<model::VersionVector> context = std::nullopt);
  WriteOutcome remove(std::string_view key,
                      std::optional<model::VersionVector> context = std::nullopt);
  // The same; waits where the store is stalled. REQUIRES: tables are not held.
  Committed commit(const WriteRequest& request, WriteOutcome* outcome = nullptr);
  absl::Status receive(model::KeyedEntry received);
  absl::Status adopt(PartitionId partition, const model::Clock& clock);
  // Upkeep until nothing is left to do.
  void upkeep();

  model::Entry load(std::string_view key);
  std::vector<std::string> values(std::string_view key);  // of the live versions, sorted
  std::vector<std::string> contents() { return contents_of(*store_); }
  ::testing::AssertionResult trees_are_true();

  StoreOptions options;
  HandTime time;
  HandExecutor executor;
  Random random{1};
  std::vector<absl::Status> fatal;

 private:
  std::unique_ptr<rocksdb::Env> memory_;

 public:
  FailingDisk disk;  // in memory

 private:
  std::unique_ptr<Store> store_;
};

inline WriteRequest write_of(std::string_view key, std::optional<std::string> value,
                             std::optional<model::VersionVector> context = std::nullopt,
                             std::uint64_t write_id = 0) {
  return {key, std::move(value), std::move(context), WallTime{1}, write_id};
}

// EXPECT_TRUE(ok(x)): prints the text of an error.
inline ::testing::AssertionResult ok(const absl::Status& status) {
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << status.ToString();
}
template <typename T>
::testing::AssertionResult ok(const absl::StatusOr<T>& result) {
  return ok(result.status());
}

// An actor of some other node.
inline ActorId actor(std::uint64_t node, std::uint64_t epoch = 1) {
  return ActorId::of(NodeId{node}, epoch);
}

model::Version version_of(model::Dot dot, std::string_view value);
// A filled entry as a peer would send it: these live versions, and a vector that covers them and
// `more`.
model::Entry filled_entry(std::vector<model::Version> versions, std::vector<model::Dot> more = {});

}  // namespace grapevine::storage
