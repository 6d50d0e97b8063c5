// What tests of server/ run its parts on: a store in memory whose disk syncs when told, a ring
// moved by hand, operations in few words.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include "server/operation.h"
#include "server/ring.h"
#include "storage/base/random.h"
#include "storage/base/time.h"
#include "storage/engine_rocksdb.h"
#include "storage/executor.h"
#include "storage/store.h"

namespace grapevine::server::test {

using Strings = std::vector<std::string>;

class HandTime final : public TimeSource {
 public:
  Instant now() const override { return now_; }
  WallTime wall_now() const override { return {now_.since_start.count() / 1'000'000}; }
  void advance(Duration by) { now_ = now_ + by; }

 private:
  Instant now_;
};

// Threads that come to it wait while it is shut.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++passing_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --passing_;
  }
  void shut() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // Until so many threads wait at it. REQUIRES: it is shut.
  void wait_until_reached(int threads = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return passing_ >= threads; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int passing_ = 0;
  bool open_ = true;
};

// A store in memory: what is committed is durable after sync(), not before; what is cold is warm
// then, too.
class MemoryStore {
 public:
  struct Earlier {
    std::map<std::string, std::string> written;  // by a life before: in tables, and cold
    std::size_t memtable_bytes = std::size_t{64} << 20;
    storage::Executor* executor = nullptr;  // to be idle before the store goes; nullptr: sync()
    std::string lost = {};  // one of the keys above: gone behind the store's back; empty: none
  };
  // Different seeds make different nodes.
  explicit MemoryStore(std::uint64_t seed = 1, std::uint32_t partitions = 1);
  MemoryStore(std::uint64_t seed, std::uint32_t partitions, const Earlier& earlier);
  ~MemoryStore();

  storage::Store& operator*() { return *store_; }
  storage::Store* operator->() { return store_.get(); }
  NodeId node() const { return store_->node(); }
  void sync();
  // While it is stalled no flush ends; stall() writes until the store refuses more. Not stalled any
  // more, it takes writes when this returns.
  void stall();
  void flow_again();
  // Where reads of tables wait while it is shut.
  Gate& reads() { return *reads_; }
  // Whether the disk takes no more.
  void fill_disk(bool full) { *full_ = full; }

  // Written and durable.
  model::Dot put(std::string_view key, std::string_view value);
  absl::Status receive(model::KeyedEntry received);
  model::Entry entry(std::string_view key) const;
  Strings values(std::string_view key) const;  // of the live versions, sorted

 private:
  class HandExecutor final : public storage::Executor {
   public:
    void run(std::function<void()> work, std::function<void()> done) override {
      waiting.emplace_back(std::move(work), std::move(done));
    }
    std::deque<std::pair<std::function<void()>, std::function<void()>>> waiting;
  };

  void open(const storage::StoreOptions& options, storage::Executor& executor);

  std::unique_ptr<rocksdb::Env> memory_;
  const std::shared_ptr<bool> full_ = std::make_shared<bool>(false);
  const std::shared_ptr<Gate> tables_ = std::make_shared<Gate>();
  const std::shared_ptr<Gate> reads_ = std::make_shared<Gate>();
  std::unique_ptr<rocksdb::Env> disk_;
  storage::RocksEnvironment environment_;
  HandExecutor executor_;
  HandTime time_;
  Random random_;
  std::unique_ptr<storage::Store> store_;
};

// The same owners for every partition, but for those that are told apart.
class HandRing final : public Ring {
 public:
  explicit HandRing(NodeId self) : self_(self) {}

  NodeId self() const override { return self_; }
  const std::vector<NodeId>& owners(PartitionId partition) const override {
    const auto apart = owners_of.find(partition);
    return apart == owners_of.end() ? owners_of_all : apart->second;
  }
  bool reachable(NodeId node) const override { return !unreachable.contains(node); }
  std::uint32_t busy(NodeId node) const override {
    const auto known = busy_nodes.find(node);
    return known == busy_nodes.end() ? 0 : known->second;
  }

  std::vector<NodeId> owners_of_all;
  std::map<PartitionId, std::vector<NodeId>> owners_of;
  std::set<NodeId> unreachable;
  std::map<NodeId, std::uint32_t> busy_nodes;

 private:
  NodeId self_;
};

inline Operation get(std::string_view key, Consistency consistency = Consistency::kQuorum) {
  return {OperationKind::kGet, consistency, std::string(key), {}, 0, std::nullopt, 0, std::nullopt};
}
inline Operation put(std::string_view key, std::string_view value,
                     Consistency consistency = Consistency::kQuorum) {
  return {OperationKind::kPut, consistency, std::string(key), std::string(value), 0,
          std::nullopt,        0,           std::nullopt};
}
inline Operation put_seen(std::string_view key, std::string_view value, std::string_view context) {
  Operation operation = put(key, value);
  operation.context = std::string(context);
  return operation;
}
inline Operation put_again(std::string_view key, std::string_view value, std::uint64_t write_id) {
  Operation operation = put(key, value);
  operation.write_id = write_id;
  return operation;
}
inline Operation remove(std::string_view key) {
  return {OperationKind::kRemove,
          Consistency::kQuorum,
          std::string(key),
          {},
          0,
          std::nullopt,
          0,
          std::nullopt};
}

// An actor of some other node.
inline ActorId actor(std::uint64_t node) {
  return ActorId::of(NodeId{node}, 1);
}
model::Version version_of(model::Dot dot, std::string_view value, std::uint64_t write_id = 0);
// A filled entry as a peer would send it: these live versions, and a vector that covers them and
// `more`.
model::Entry entry_of(std::vector<model::Version> versions, std::vector<model::Dot> more = {});
model::Entry heads_of(model::Entry entry);

// EXPECT_TRUE(ok(x)): prints the text of an error.
inline ::testing::AssertionResult ok(const absl::Status& status) {
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << status.ToString();
}

// What an answer is, checked: the test fails when it is something else.
absl::StatusCode code_of(const OperationAnswer& answer);
std::string text_of_answer(const OperationAnswer& answer);
Strings values_of(const OperationAnswer& answer);  // of a read, sorted
std::string context_of(const OperationAnswer& answer);
model::Dot dot_of(const OperationAnswer& answer);

}  // namespace grapevine::server::test
