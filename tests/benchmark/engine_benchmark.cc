// What versions, clocks and digests cost: puts through storage/ against raw RocksDB WriteBatch puts
// of the same keys and values, same options, without waiting for fsync.
//
//   engine_tax_insert_batch64     1,000,000 new keys, 100-byte values, 64 puts a batch: time against raw
//   engine_tax_overwrite_batch64  the same keys once more
//
// Both databases are written in turn, in chunks; the result is the ratio of the medians of the
// chunks' times. Raw RocksDB gets the keys in the order of their tokens' hash too (keys are
// random), so neither has an easier memtable.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <rocksdb/db.h>

#include "storage/base/check.h"
#include "storage/engine_rocksdb.h"
#include "storage/store.h"
#include "tests/benchmark/bench.h"

namespace grapevine::benchmark {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kChunk = 20'000 / kBatch * kBatch;
constexpr std::size_t kValueBytes = 100;

class InlineExecutor final : public storage::Executor {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

class RealTime final : public TimeSource {
 public:
  Instant now() const override { return {std::chrono::steady_clock::now().time_since_epoch()}; }
  WallTime wall_now() const override { return {1'700'000'000'000}; }
};

std::string must(const absl::Status& status) {
  return std::string(text_of(status));
}

storage::StoreOptions options_in(const std::string& directory) {
  std::filesystem::create_directories(directory);
  storage::StoreOptions options;
  options.directory = directory;
  options.life = {"machine", "boot", "directory"};
  return options;
}

// RocksDB with the options of our data column family and no more.
class Raw {
 public:
  explicit Raw(const std::string& directory) {
    const storage::StoreOptions options = options_in(directory);
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(
        rocksdb::Options(storage::database_options(options), storage::data_options(options, rocksdb::NewLRUCache(options.block_cache_bytes))),
        directory, &db);
    GRAPEVINE_CHECK(status.ok(), status.ToString().c_str());
    db_.reset(db);
  }
  void put(const std::string* keys, const std::vector<std::string>& values) {
    rocksdb::WriteBatch batch;
    for (std::size_t i = 0; i < kBatch; ++i) batch.Put(keys[i], values[i]);
    GRAPEVINE_CHECK(db_->Write({}, &batch).ok(), "raw write");
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
};

class Versioned {
 public:
  explicit Versioned(const std::string& directory) {
    auto opened = storage::Store::open(options_in(directory), executor_, time_, random_,
                                       [](const absl::Status&) { std::abort(); });
    GRAPEVINE_CHECK(opened.ok(), must(opened.status()).c_str());
    store_ = *std::move(opened);
  }
  void put(const std::string* keys, const std::vector<std::string>& values) {
    auto batch = store_->begin();
    for (std::size_t i = 0; i < kBatch; ++i) {
      storage::WriteRequest write;
      write.key = keys[i];
      write.value = values[i];
      write.written = time_.wall_now();
      write.write_id = i + 1 + ++writes_ * kBatch;
      const auto outcome = (*batch)->write(std::move(write));
      GRAPEVINE_CHECK(outcome.ok(), must(outcome.status()).c_str());
    }
    const auto committed = store_->commit(*std::move(batch));
    GRAPEVINE_CHECK(committed.ok(), must(committed.status()).c_str());
  }
  // As a node does between its requests.
  void upkeep() { GRAPEVINE_CHECK(store_->upkeep(100'000).ok(), "upkeep"); }

 private:
  InlineExecutor executor_;
  RealTime time_;
  Random random_{7};
  std::uint64_t writes_ = 0;
  std::unique_ptr<storage::Store> store_;
};

template <typename Database>
double time_chunk(Database& database, const std::string* keys,
                  const std::vector<std::vector<std::string>>& values) {
  const Stopwatch watch;
  for (std::size_t batch = 0; batch < kChunk / kBatch; ++batch) {
    database.put(keys + batch * kBatch, values[batch]);
  }
  return watch.seconds();
}

int run(std::size_t keys_wanted) {
  std::string scratch =
      (std::filesystem::temp_directory_path() / "grapevine-bench-XXXXXX").string();
  GRAPEVINE_CHECK(mkdtemp(scratch.data()) != nullptr, "a temporary directory");
  Random random(1);
  std::vector<std::string> keys;
  while (keys.size() < keys_wanted / kChunk * kChunk) {
    keys.push_back(fmt::format("{:016x}", random.next()));
  }
  {
    Raw raw(scratch + "/raw");
    Versioned versioned(scratch + "/versioned");
    for (const char* phase : {"insert", "overwrite"}) {
      std::vector<double> raw_seconds;
      std::vector<double> versioned_seconds;
      for (std::size_t at = 0; at < keys.size(); at += kChunk) {
        std::vector<std::vector<std::string>> values(kChunk / kBatch);
        for (auto& batch : values) {
          for (std::size_t i = 0; i < kBatch; ++i)
            batch.push_back(random_bytes(random, kValueBytes));
        }
        raw_seconds.push_back(time_chunk(raw, &keys[at], values));
        versioned_seconds.push_back(time_chunk(versioned, &keys[at], values));
        versioned.upkeep();
      }
      const double per_put = kChunk / 1e6;
      report(fmt::format("raw_{}_batch64", phase), median(raw_seconds) / per_put, "us/put");
      report(fmt::format("versioned_{}_batch64", phase), median(versioned_seconds) / per_put,
             "us/put");
      report(fmt::format("engine_tax_{}_batch64", phase),
             median(versioned_seconds) / median(raw_seconds), "ratio");
    }
  }
  std::filesystem::remove_all(scratch);
  return 0;
}

}  // namespace
}  // namespace grapevine::benchmark

// engine_benchmark [KEYS]
int main(int argc, char** argv) {
  return grapevine::benchmark::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
}
