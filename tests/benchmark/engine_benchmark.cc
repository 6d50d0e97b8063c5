// What versions, clocks and digests cost: storage/ against raw RocksDB with the same keys, values and
// options. Both are driven in turn, in chunks of one run; a result is the ratio of the medians of the
// chunks' times.
//
//   engine_tax_insert_batch64     new keys, 100-byte values, 64 puts a batch, not synced
//   engine_tax_overwrite_batch64  the same keys once more
//   engine_tax_get                reads of keys that are in the block cache, with their values
//   durable_puts_ratio            puts a second, 64 outstanding, each batch synced; more is better
//   space_amplification           bytes of tables after compaction
//   digest_update_ns              hashing an entry and changing tree and sketch, once a write
//   memory_mb_per_million_keys    trees and clocks
//   deleted_residue_entries       what is stored on three replicas after writing and deleting all keys
//
// engine_benchmark [KEYS]: 1,000,000 unless given.
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <rocksdb/db.h>

#include "storage/base/check.h"
#include "storage/engine_rocksdb.h"
#include "storage/store.h"
#include "tests/benchmark/bench.h"
#include "tests/benchmark/bench_store.h"

namespace grapevine::benchmark {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatch = 64;
constexpr std::size_t kChunk = 20'000 / kBatch * kBatch;
constexpr std::size_t kValueBytes = 100;

void must(const absl::Status& status) {
  GRAPEVINE_CHECK(status.ok(), std::string(text_of(status)).c_str());
}
void must(const rocksdb::Status& status) {
  GRAPEVINE_CHECK(status.ok(), status.ToString().c_str());
}

storage::StoreOptions options_in(const std::string& directory) {
  fs::create_directories(directory);
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
    must(rocksdb::DB::Open(
        rocksdb::Options(
            storage::database_options(options),
            storage::data_options(options, rocksdb::NewLRUCache(options.block_cache_bytes))),
        directory, &db));
    db_.reset(db);
  }
  void put(const std::string* keys, const std::vector<std::string>& values) {
    write(keys, values, false);
  }
  void put_durably(const std::string* keys, const std::vector<std::string>& values) {
    write(keys, values, true);
  }
  std::size_t get(const std::string& key) {
    rocksdb::PinnableSlice value;
    must(db_->Get({}, db_->DefaultColumnFamily(), key, &value));
    return std::string(value.data(), value.size()).size();  // ours hands out a copy too
  }

 private:
  void write(const std::string* keys, const std::vector<std::string>& values, bool sync) {
    rocksdb::WriteBatch batch;
    for (std::size_t i = 0; i < kBatch; ++i) batch.Put(keys[i], values[i]);
    rocksdb::WriteOptions options;
    options.sync = sync;
    must(db_->Write(options, &batch));
  }

  std::unique_ptr<rocksdb::DB> db_;
};

class Versioned {
 public:
  explicit Versioned(const std::string& directory, std::uint64_t seed = 7) : random_(seed) {
    auto opened = storage::Store::open(options_in(directory), executor_, time_, random_,
                                       [](const absl::Status&) { std::abort(); });
    must(opened.status());
    store_ = *std::move(opened);
  }
  void put(const std::string* keys, const std::vector<std::string>& values) {
    write(keys, &values);
  }
  void put_durably(const std::string* keys, const std::vector<std::string>& values) {
    bool durable = false;
    store_->when_durable(write(keys, &values).number, [&] { durable = true; });
    GRAPEVINE_CHECK(durable, "the executor works at once");
  }
  // Puts, or deletes without `values`.
  storage::Committed write(const std::string* keys, const std::vector<std::string>* values) {
    return commit([&](storage::Batch& batch) {
      for (std::size_t i = 0; i < kBatch; ++i) {
        storage::WriteRequest write;
        write.key = keys[i];
        if (values != nullptr) write.value = (*values)[i];
        write.written = time_.wall_now();
        write.write_id = i + 1 + ++writes_ * kBatch;
        must(batch.write(std::move(write)).status());
      }
    });
  }
  void receive(const std::vector<model::KeyedEntry>& entries) {
    commit([&](storage::Batch& batch) {
      for (const model::KeyedEntry& entry : entries) must(batch.receive(entry));
    });
  }
  std::size_t get(const std::string& key) {
    const auto entry = store_->load(key, model::Values::kWith);
    must(entry.status());
    return entry->versions.front().value.size();
  }
  // As a node does between its requests.
  void upkeep() { must(store_->upkeep(100'000).status()); }
  void close() { must(store_->close()); }
  storage::Store& store() { return *store_; }

 private:
  // Where RocksDB makes writers wait, ours are refused: they wait here.
  template <typename Fill>
  storage::Committed commit(Fill fill) {
    for (;;) {
      auto batch = store_->begin();
      must(batch.status());
      fill(**batch);
      auto committed = store_->commit(*std::move(batch));
      if (committed.ok()) return *std::move(committed);
      GRAPEVINE_CHECK(storage::is_stalled(committed.status()), "a write that can be tried again");
      std::this_thread::yield();
    }
  }

  InlineExecutor executor_;
  RealTime time_;
  Random random_;
  std::uint64_t writes_ = 0;
  std::unique_ptr<storage::Store> store_;
};

using Values = std::vector<std::vector<std::string>>;  // by batch

Values random_values(Random& random) {
  Values values(kChunk / kBatch);
  for (auto& batch : values) {
    for (std::size_t i = 0; i < kBatch; ++i) batch.push_back(random_bytes(random, kValueBytes));
  }
  return values;
}

struct Compared {
  std::vector<double> raw;
  std::vector<double> versioned;

  void report_ratio(const std::string& name) const {
    report(name, median(versioned) / median(raw), "ratio");
  }
};

// The seconds that `work` takes on each of both.
template <typename Work>
void compare(Compared& compared, Raw& raw, Versioned& versioned, Work work) {
  const Stopwatch of_raw;
  work(raw);
  compared.raw.push_back(of_raw.seconds());
  const Stopwatch of_versioned;
  work(versioned);
  compared.versioned.push_back(of_versioned.seconds());
}

void measure_puts(Raw& raw, Versioned& versioned, const std::vector<std::string>& keys,
                  Random& random) {
  for (const char* phase : {"insert", "overwrite"}) {
    Compared compared;
    for (std::size_t at = 0; at < keys.size(); at += kChunk) {
      const Values values = random_values(random);
      compare(compared, raw, versioned, [&](auto& database) {
        for (std::size_t i = 0; i < values.size(); ++i) {
          database.put(&keys[at + i * kBatch], values[i]);
        }
      });
      versioned.upkeep();
    }
    const double per_put = kChunk / 1e6;
    report(fmt::format("raw_{}_batch64", phase), median(compared.raw) / per_put, "us/put");
    report(fmt::format("versioned_{}_batch64", phase), median(compared.versioned) / per_put,
           "us/put");
    compared.report_ratio(fmt::format("engine_tax_{}_batch64", phase));
  }
}

void measure_gets(Raw& raw, Versioned& versioned, const std::vector<std::string>& keys,
                  Random& random) {
  // Few enough to stay in the cache, whatever block they share with others.
  std::vector<const std::string*> some;
  for (std::size_t i = 0; i < 20'000; ++i) some.push_back(&keys[random.below(keys.size())]);
  std::size_t bytes = 0;
  const auto all = [&](auto& database) {
    for (const std::string* key : some) bytes += database.get(*key);
  };
  Compared warm;
  compare(warm, raw, versioned, all);
  Compared compared;
  for (int round = 0; round < 20; ++round) compare(compared, raw, versioned, all);
  report("raw_get", median(compared.raw) / static_cast<double>(some.size()) * 1e6, "us/get");
  report("versioned_get", median(compared.versioned) / static_cast<double>(some.size()) * 1e6,
         "us/get");
  compared.report_ratio("engine_tax_get");
  GRAPEVINE_CHECK(bytes > 0, "something was read");
}

void measure_durable_puts(Raw& raw, Versioned& versioned, const std::vector<std::string>& keys,
                          Random& random) {
  constexpr std::size_t kBatches = 50;
  Compared compared;
  for (std::size_t at = 0; at + kChunk <= keys.size() && compared.raw.size() < 30; at += kChunk) {
    const Values values = random_values(random);
    compare(compared, raw, versioned, [&](auto& database) {
      for (std::size_t i = 0; i < kBatches; ++i) {
        database.put_durably(&keys[at + i * kBatch], values[i]);
      }
    });
  }
  report("durable_puts_per_second", kBatches * kBatch / median(compared.versioned), "puts/s");
  report("durable_puts_ratio", median(compared.raw) / median(compared.versioned), "ratio");
}

// Bytes of the files that hold data, everything compacted to the last level.
std::uintmax_t compacted_bytes(const std::string& directory) {
  const storage::StoreOptions options = options_in(directory);
  const rocksdb::DBOptions db_options = storage::database_options(options);
  std::vector<std::string> names;
  must(rocksdb::DB::ListColumnFamilies(db_options, directory, &names));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) {
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    families.emplace_back(name, name == rocksdb::kDefaultColumnFamilyName
                                    ? storage::data_options(options, cache)
                                    : storage::options_of_family(name, options, cache));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  must(rocksdb::DB::Open(db_options, directory, families, &handles, &db));
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    must(db->Flush({}, handle));
    rocksdb::CompactRangeOptions everything;
    everything.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    must(db->CompactRange(everything, handle, nullptr, nullptr));
    must(db->DestroyColumnFamilyHandle(handle));
  }
  must(db->Close());
  delete db;
  std::uintmax_t bytes = 0;
  for (const auto& file : fs::directory_iterator(directory)) {
    const std::string extension = file.path().extension();
    if (extension == ".sst" || extension == ".blob") bytes += file.file_size();
  }
  return bytes;
}

// The model alone, no RocksDB.
void measure_trees(const std::vector<std::string>& keys) {
  const model::Digester digester(1);
  const model::Partitioning partitioning(64);
  const ActorId actors[] = {ActorId::of(NodeId{1}, 1), ActorId::of(NodeId{2}, 1),
                            ActorId::of(NodeId{3}, 1)};
  const std::size_t before = mallinfo2().uordblks;
  std::vector<std::vector<std::pair<model::Token, model::DigestShare>>> shares(64);
  std::vector<model::Clock> clocks(64);
  model::Entry entry;
  entry.versions.emplace_back();
  entry.versions[0].checksum = 1;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::uint32_t partition = partitioning.of(keys[i]).value;
    entry.versions[0].dot = {actors[i % 3], clocks[partition].top(actors[i % 3]) + 1};
    clocks[partition].add(entry.versions[0].dot);
    shares[partition].emplace_back(model::token_of(keys[i]),
                                   model::share_of(digester, keys[i], entry));
  }
  std::vector<model::DigestTree> trees;
  std::vector<model::Sketch> sketches(64, model::Sketch(model::Sketch::cells_of(64)));
  for (std::uint32_t i = 0; i < 64; ++i) {
    trees.push_back(model::DigestTree::build(partitioning.range(PartitionId{i}), shares[i]));
    std::exchange(shares[i], {});
  }
  const double bytes = static_cast<double>(mallinfo2().uordblks - before);
  report("memory_mb_per_million_keys", bytes / static_cast<double>(keys.size()), "MB");

  std::vector<double> nanoseconds;
  for (std::size_t at = 0; at + kChunk <= keys.size(); at += kChunk) {
    const Stopwatch watch;
    for (std::size_t i = at; i < at + kChunk; ++i) {
      entry.versions[0].dot.counter = i;
      const model::DigestShare after = model::share_of(digester, keys[i], entry);
      const std::uint32_t partition = partitioning.of(keys[i]).value;
      trees[partition].change(model::token_of(keys[i]), {}, after);
      sketches[partition].change(model::token_of(keys[i]), {}, after.sum);
    }
    nanoseconds.push_back(watch.seconds() / kChunk * 1e9);
  }
  report("digest_update_ns", median(nanoseconds), "ns");
}

void measure_residue(const std::string& scratch, const std::vector<std::string>& keys,
                     Random& random) {
  std::vector<std::unique_ptr<Versioned>> replicas;
  for (std::uint64_t i = 0; i < 3; ++i) {
    replicas.push_back(
        std::make_unique<Versioned>(fmt::format("{}/replica{}", scratch, i), /*seed=*/i + 1));
  }
  for (const bool deletes : {false, true}) {
    for (std::size_t at = 0; at < keys.size(); at += kBatch) {
      std::vector<std::string> values;
      for (std::size_t i = 0; i < kBatch; ++i) values.push_back(random_bytes(random, kValueBytes));
      const std::size_t here = at / kBatch % 3;
      const storage::Committed committed =
          replicas[here]->write(&keys[at], deletes ? nullptr : &values);
      for (std::size_t i = 0; i < 3; ++i) {
        if (i != here) replicas[i]->receive(committed.to_replicate);
      }
      if (at % kChunk == 0) {
        for (auto& replica : replicas) replica->upkeep();
      }
    }
  }
  std::uint64_t entries = 0;
  std::uintmax_t bytes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    replicas[i]->upkeep();
    entries += replicas[i]->store().statistics().keys;
    replicas[i]->close();
    replicas[i].reset();
    bytes += compacted_bytes(fmt::format("{}/replica{}", scratch, i));
  }
  report("deleted_residue_entries", static_cast<double>(entries), "entries");
  report("deleted_residue_kib", static_cast<double>(bytes) / 1024, "KiB");
}

int run(std::size_t keys_wanted) {
  std::string scratch = (fs::temp_directory_path() / "grapevine-bench-XXXXXX").string();
  GRAPEVINE_CHECK(mkdtemp(scratch.data()) != nullptr, "a temporary directory");
  Random random(1);
  std::vector<std::string> keys;
  while (keys.size() < keys_wanted / kChunk * kChunk) {
    keys.push_back(fmt::format("{:016x}", random.next()));
  }
  measure_trees(keys);
  {
    Raw raw(scratch + "/raw");
    Versioned versioned(scratch + "/versioned");
    measure_puts(raw, versioned, keys, random);
    measure_gets(raw, versioned, keys, random);
    measure_durable_puts(raw, versioned, keys, random);
    versioned.close();
  }
  report("space_amplification",
         static_cast<double>(compacted_bytes(scratch + "/versioned")) /
             static_cast<double>(compacted_bytes(scratch + "/raw")),
         "ratio");
  measure_residue(scratch, keys, random);
  fs::remove_all(scratch);
  return 0;
}

}  // namespace
}  // namespace grapevine::benchmark

int main(int argc, char** argv) {
  return grapevine::benchmark::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
}
