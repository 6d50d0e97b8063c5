// From what size on a value should stand apart from its entry, in a blob file: RocksDB with the options
// of our data column family (values in tables) and of the one for values that stand apart, the same
// random puts in both, every key written three times, then everything compacted.
//
//   inline_SIZE_seconds, apart_SIZE_seconds   writing and compacting 96 MiB of values of this size
//   apart_ratio_SIZE                          the second by the first; below 1 blob files win
//   apart_get_ratio_SIZE                      random reads, cached by the operating system alone
//
// values_benchmark [MIB]: bytes of values a size, 96 unless given.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <rocksdb/db.h>

#include "storage/base/check.h"
#include "storage/engine_rocksdb.h"
#include "tests/benchmark/bench.h"

namespace grapevine::benchmark {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRounds = 3;

void must(const rocksdb::Status& status) {
  GRAPEVINE_CHECK(status.ok(), status.ToString().c_str());
}

class Database {
 public:
  Database(const std::string& directory, bool apart) : directory_(directory) {
    fs::create_directories(directory);
    storage::StoreOptions options;
    options.directory = directory;
    options.block_cache_bytes = std::size_t{8} << 20;
    const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
    rocksdb::DB* db = nullptr;
    must(rocksdb::DB::Open(rocksdb::Options(storage::database_options(options),
                                            apart ? storage::values_options(options, cache)
                                                  : storage::data_options(options, cache)),
                           directory, &db));
    db_.reset(db);
  }
  double write(std::size_t keys, std::size_t size, Random& random) {
    const Stopwatch watch;
    for (std::size_t i = 0; i < keys; ++i) {
      must(db_->Put({}, key(random.below(keys)), random_bytes(random, size)));
    }
    return watch.seconds();
  }
  double compact() {
    const Stopwatch watch;
    must(db_->Flush({}));
    must(db_->CompactRange({}, nullptr, nullptr));
    return watch.seconds();
  }
  double read(std::size_t keys, Random& random) {
    const Stopwatch watch;
    rocksdb::PinnableSlice value;
    for (std::size_t i = 0; i < 5'000; ++i) {
      value.Reset();
      const rocksdb::Status status =
          db_->Get({}, db_->DefaultColumnFamily(), key(random.below(keys)), &value);
      GRAPEVINE_CHECK(status.ok() || status.IsNotFound(), "a read");
    }
    return watch.seconds();
  }

 private:
  static std::string key(std::size_t i) { return fmt::format("{:016x}", i * 0x9E3779B97F4A7C15U); }

  std::string directory_;
  std::unique_ptr<rocksdb::DB> db_;
};

int run(std::size_t mebibytes) {
  std::string scratch = (fs::temp_directory_path() / "grapevine-bench-XXXXXX").string();
  GRAPEVINE_CHECK(mkdtemp(scratch.data()) != nullptr, "a temporary directory");
  for (const std::size_t size : {512U, 1024U, 2048U, 4096U, 8192U, 16384U, 65536U}) {
    const std::size_t keys = (mebibytes << 20) / size;
    double seconds[2] = {0, 0};
    std::vector<double> reads[2];
    std::unique_ptr<Database> both[2];
    for (const int apart : {0, 1}) {
      both[apart] =
          std::make_unique<Database>(fmt::format("{}/{}-{}", scratch, size, apart), apart == 1);
    }
    for (std::size_t round = 0; round < kRounds; ++round) {
      for (const int apart : {0, 1}) {
        Random random(round + 1);
        seconds[apart] += both[apart]->write(keys, size, random);
      }
    }
    for (const int apart : {0, 1}) seconds[apart] += both[apart]->compact();
    for (std::uint64_t round = 0; round < 5; ++round) {
      for (const int apart : {0, 1}) {
        Random random(round + 100);
        reads[apart].push_back(both[apart]->read(keys, random));
      }
    }
    report(fmt::format("inline_{}_seconds", size), seconds[0], "s");
    report(fmt::format("apart_{}_seconds", size), seconds[1], "s");
    report(fmt::format("apart_ratio_{}", size), seconds[1] / seconds[0], "ratio");
    report(fmt::format("apart_get_ratio_{}", size), median(reads[1]) / median(reads[0]), "ratio");
  }
  fs::remove_all(scratch);
  return 0;
}

}  // namespace
}  // namespace grapevine::benchmark

int main(int argc, char** argv) {
  return grapevine::benchmark::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 96);
}
