// What opening and backing up cost a store of 100-byte values:
//
//   reopen_crash_seconds        opening after kill -9: the log is replayed, the digest trees are built
//                               by a scan
//   stop_seconds                a clean stop after a quarter of the keys was written again
//   reopen_clean_seconds        opening after that
//   backup_full_seconds, _mib   the first backup
//   backup_again_seconds, _mib  the next one, after 1 % of the keys were written: what it copied
//   restore_seconds             from the latter
//   verify_seconds              of the restored directory
//
// The page cache is warm. The backups lie on the same disk.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "storage/backup.h"
#include "storage/base/check.h"
#include "storage/store.h"
#include "storage/verify.h"
#include "tests/benchmark/bench.h"
#include "tests/benchmark/bench_store.h"

namespace grapevine::benchmark {
namespace {

constexpr std::size_t kBatch = 512;
constexpr std::size_t kValueBytes = 100;

void must(const absl::Status& status) {
  GRAPEVINE_CHECK(status.ok(), std::string(text_of(status)).c_str());
}

class Bench {
 public:
  explicit Bench(std::size_t keys) : keys_(keys) {
    scratch_ = (std::filesystem::temp_directory_path() / "grapevine-bench-XXXXXX").string();
    GRAPEVINE_CHECK(mkdtemp(scratch_.data()) != nullptr, "a temporary directory");
    options_.directory = scratch_ + "/data";
    std::filesystem::create_directory(options_.directory);
    options_.life = {"machine", "boot", "directory"};
  }
  ~Bench() { std::filesystem::remove_all(scratch_); }

  void run() {
    open();
    write(keys_);
    store_.reset();  // as kill -9 leaves it
    report("reopen_crash_seconds", open(), "s");
    write(keys_ / 4);
    const Stopwatch stopping;
    must(store_->close());
    store_.reset();
    report("stop_seconds", stopping.seconds(), "s");
    report("reopen_clean_seconds", open(), "s");
    back_up("backup_full");
    write(keys_ / 100);
    back_up("backup_again");
    store_.reset();
    storage::RestoreOptions restore;
    restore.backup_directory = scratch_ + "/backups";
    restore.data_directory = scratch_ + "/restored";
    const Stopwatch restoring;
    must(storage::restore_backup(restore).status());
    report("restore_seconds", restoring.seconds(), "s");
    storage::VerifyOptions verify;
    verify.directory = restore.data_directory;
    verify.on_finding = [](const std::string& finding) { GRAPEVINE_CHECK(false, finding.c_str()); };
    const Stopwatch verifying;
    must(storage::verify_directory(verify).status());
    report("verify_seconds", verifying.seconds(), "s");
  }

 private:
  double open() {
    const Stopwatch watch;
    auto opened = storage::Store::open(options_, executor_, time_, random_,
                                       [](const absl::Status& status) { must(status); });
    must(opened.status());
    store_ = *std::move(opened);
    return watch.seconds();
  }
  // Keys spread over all of them.
  void write(std::size_t count) {
    const std::size_t step = keys_ / count;
    for (std::size_t at = 0; at < count;) {
      auto batch = store_->begin();
      must(batch.status());
      for (std::size_t end = std::min(count, at + kBatch); at < end; ++at) {
        const std::string key = fmt::format("key {}", at * step);
        storage::WriteRequest write;
        write.key = key;
        write.value = random_bytes(random_, kValueBytes);
        write.written = time_.wall_now();
        write.write_id = ++writes_;
        must((*batch)->write(std::move(write)).status());
      }
      must(store_->commit(*std::move(batch)).status());
      must(store_->upkeep(kBatch).status());
    }
  }
  void back_up(const std::string& name) {
    storage::BackupOptions options;
    options.directory = scratch_ + "/backups";
    const Stopwatch watch;
    store_->back_up(options, executor_, [&](absl::StatusOr<storage::BackupReport> made) {
      must(made.status());
      report(name + "_seconds", watch.seconds(), "s");
      report(name + "_mib", static_cast<double>(made->bytes_new) / (1 << 20), "MiB");
    });
  }

  const std::size_t keys_;
  std::string scratch_;
  storage::StoreOptions options_;
  InlineExecutor executor_;
  RealTime time_;
  Random random_{7};
  std::uint64_t writes_ = 0;
  std::unique_ptr<storage::Store> store_;
};

}  // namespace
}  // namespace grapevine::benchmark

// backup_benchmark [KEYS]
int main(int argc, char** argv) {
  grapevine::benchmark::Bench(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000).run();
}
