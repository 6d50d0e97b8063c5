// Goal: a backup is one moment of the store, whatever is written meanwhile; a directory of backups
// survives every failure of a new one; what is restored is whole, is a new actor, or is an error.
// Method: stores on disk in scratch directories; a thread that backs up while the test writes; disks
// that fail below one directory.
#include "storage/backup.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/verify.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Runs the work on a thread of its own; the test reports when it likes.
class ThreadExecutor final : public Executor {
 public:
  ~ThreadExecutor() override {
    if (thread_.joinable()) thread_.join();
  }
  void run(std::function<void()> work, std::function<void()> done) override {
    finished_ = false;
    done_ = std::move(done);
    thread_ = std::thread([this, work = std::move(work)] {
      work();
      finished_ = true;
    });
  }
  bool finished() const { return finished_; }
  void report() {
    thread_.join();
    done_();
  }

 private:
  std::thread thread_;
  std::function<void()> done_;
  std::atomic<bool> finished_ = true;
};

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() : disk_(rocksdb::Env::Default()) {
    fs::create_directory(scratch_ / "data");
    scene_.options.directory = scratch_ / "data";
    scene_.options.environment = disk_.environment();
    scene_.options.partitions = 4;
    scene_.options.memtable_bytes = std::size_t{256} << 10;  // flushes and compactions happen
    EXPECT_TRUE(ok(scene_.open()));
    backups_ = scratch_ / "backups/node";
  }

  // Writes values that do not compress, into a memtable that holds them all.
  void fill(int keys, std::size_t value_bytes) {
    ASSERT_TRUE(ok(scene_.close()));
    scene_.options.memtable_bytes = std::size_t{64} << 20;
    ASSERT_TRUE(ok(scene_.open()));
    Random random(3);
    for (int i = 0; i < keys; ++i) {
      std::string value(value_bytes, '\0');
      for (char& byte : value) byte = static_cast<char>(random.next());
      scene_.put(fmt::format("key {}", i), value);
    }
  }

  absl::StatusOr<BackupReport> back_up(std::uint32_t keep = 0) {
    BackupOptions options;
    options.directory = backups_;
    options.keep = keep;
    return back_up(options);
  }
  absl::StatusOr<BackupReport> back_up(const BackupOptions& options) {
    absl::StatusOr<BackupReport> made = absl::InternalError("not done");
    HandExecutor executor;
    scene_.store().back_up(options, executor,
                           [&](absl::StatusOr<BackupReport> report) { made = std::move(report); });
    executor.run_all();
    return made;
  }
  std::vector<std::uint32_t> listed() {
    std::vector<std::uint32_t> numbers;
    const auto backups = list_backups(backups_, disk_.environment());
    EXPECT_TRUE(ok(backups));
    if (!backups.ok()) return numbers;
    for (const BackupInfo& backup : *backups) numbers.push_back(backup.number);
    return numbers;
  }
  absl::StatusOr<BackupInfo> restore(const std::string& to, std::uint32_t number = 0,
                                     NodeId new_node = {}) {
    RestoreOptions options;
    options.backup_directory = backups_;
    options.number = number;
    options.data_directory = scratch_ / to;
    options.new_node = new_node;
    options.environment = disk_.environment();
    return restore_backup(options);
  }
  // A scene with the restored directory, where another directory is another life.
  std::unique_ptr<Scene> opened(const std::string& name) {
    auto scene = std::make_unique<Scene>();
    scene->options = scene_.options;
    scene->options.directory = scratch_ / name;
    scene->options.life.directory = name;
    EXPECT_TRUE(ok(scene->open()));
    return scene;
  }
  std::uint64_t damage_in(const std::string& name) {
    VerifyOptions options;
    options.directory = scratch_ / name;
    options.on_finding = [](const std::string& finding) { ADD_FAILURE() << finding; };
    const auto report = verify_directory(options);
    EXPECT_TRUE(ok(report));
    return report.ok() ? report->findings : 1;
  }
  std::set<std::string> files_below(const std::string& directory) {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) files.insert(entry.path());
    }
    return files;
  }

  ScratchDirectory scratch_;
  FailingDisk disk_;
  std::string backups_;
  Scene scene_;
};

// Each commit writes its number under two keys, of two partitions; so every state that a backup may
// hold is known by its last commit.
TEST_F(BackupTest, TakenWhileWritingIsAPrefixOfTheCommits) {
  constexpr std::uint64_t kKeys = 500;
  // The right one's value stands apart from its entry.
  const std::string padding(200, 'x');
  const std::string large(5000, 'y');
  const auto value_of = [&](std::uint64_t commit, std::string_view side) {
    return fmt::format("{} {}", commit, side == "left" ? padding : large);
  };
  std::uint64_t commits = 0;
  const auto commit = [&] {
    ++commits;
    for (bool done = false; !done;) {
      auto batch = scene_.store().begin();
      ASSERT_TRUE(ok(batch));
      for (const char* side : {"left", "right"}) {
        const std::string key = fmt::format("{} {}", side, commits % kKeys);
        ASSERT_TRUE(ok((*batch)->write(write_of(key, value_of(commits, side)))));
      }
      const absl::Status committed = scene_.store().commit(*std::move(batch)).status();
      done = committed.ok();
      ASSERT_TRUE(done || is_stalled(committed)) << committed;
      if (!done) std::this_thread::yield();
    }
  };
  std::vector<std::uint64_t> at_least;
  std::vector<std::uint64_t> at_most;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 1500; ++j) commit();
    ThreadExecutor executor;
    absl::StatusOr<BackupReport> made = absl::InternalError("not done");
    BackupOptions options;
    options.directory = backups_;
    at_least.push_back(commits);
    scene_.store().back_up(options, executor,
                           [&](absl::StatusOr<BackupReport> report) { made = std::move(report); });
    do {
      commit();
    } while (!executor.finished());
    at_most.push_back(commits);
    executor.report();
    ASSERT_TRUE(ok(made));
    EXPECT_EQ(made->made.number, i + 1);
  }
  for (std::uint32_t number = 1; number <= 4; ++number) {
    const std::string name = fmt::format("restored {}", number);
    ASSERT_TRUE(ok(restore(name, number)));
    EXPECT_EQ(damage_in(name), 0U);
    const auto restored = opened(name);
    // What the clock has seen of each partition adds up to the last commit.
    std::uint64_t seen = 0;
    for (const std::uint64_t top : restored->store().tops(scene_.store().actor())) seen += top;
    ASSERT_EQ(seen % 2, 0U) << "half a commit";
    const std::uint64_t last = seen / 2;
    EXPECT_GE(last, at_least[number - 1]);
    EXPECT_LE(last, at_most[number - 1]);
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const std::uint64_t written = last - (last + kKeys - key) % kKeys;
      for (const char* side : {"left", "right"}) {
        EXPECT_EQ(restored->values(fmt::format("{} {}", side, key)),
                  std::vector<std::string>{value_of(written, side)})
            << "commit " << last;
      }
    }
    EXPECT_TRUE(restored->trees_are_true());
  }
}

TEST_F(BackupTest, TheSecondCopiesOnlyWhatIsNewAndTheOldestAreDeleted) {
  fill(3000, 300);
  const auto first = back_up();
  ASSERT_TRUE(ok(first));
  EXPECT_GT(first->bytes_new, 900'000U);
  EXPECT_EQ(first->files_new, first->made.files);
  EXPECT_EQ(first->made.owner.actor, scene_.store().actor());
  EXPECT_EQ(first->made.owner.cluster_name, "grapevine");
  scene_.put("one more", "v");
  const auto second = back_up();
  ASSERT_TRUE(ok(second));
  EXPECT_LT(second->bytes_new, first->bytes_new / 4);
  EXPECT_LT(second->files_new, second->made.files);
  EXPECT_EQ(listed(), (std::vector<std::uint32_t>{1, 2}));
  const auto third = back_up(/*keep=*/2);
  ASSERT_TRUE(ok(third));
  EXPECT_EQ(third->deleted, 1U);
  EXPECT_EQ(listed(), (std::vector<std::uint32_t>{2, 3}));
  ASSERT_TRUE(ok(restore("restored", 2)));
  EXPECT_EQ(opened("restored")->values("one more"), std::vector<std::string>{"v"});
}

TEST_F(BackupTest, OneAtATime) {
  scene_.put("k", "v");
  HandExecutor executor;
  BackupOptions options;
  options.directory = backups_;
  bool done = false;
  scene_.store().back_up(options, executor, [&](const absl::StatusOr<BackupReport>& report) {
    EXPECT_TRUE(ok(report));
    done = true;
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(back_up().status()));
  executor.run_all();
  EXPECT_TRUE(done);
  EXPECT_TRUE(ok(back_up()));
}

TEST_F(BackupTest, IntoABackupDirectoryOfAnotherNodeOrClusterIsRefusedAndNamesIt) {
  scene_.put("k", "v");
  ASSERT_TRUE(ok(back_up()));
  fs::create_directory(scratch_ / "other");
  Scene other;
  other.options = scene_.options;
  other.options.directory = scratch_ / "other";
  other.random = Random(99);
  const auto refused = [&](const std::string& whose) {
    ASSERT_TRUE(ok(other.open()));
    BackupOptions options;
    options.directory = backups_;
    HandExecutor executor;
    other.store().back_up(options, executor, [&](const absl::StatusOr<BackupReport>& report) {
      EXPECT_TRUE(absl::IsFailedPrecondition(report.status()));
      EXPECT_THAT(std::string(text_of(report.status())),
                  AllOf(HasSubstr(whose), HasSubstr(backups_)));
    });
    executor.run_all();
    ASSERT_TRUE(ok(other.close()));
  };
  refused("node " + to_string(scene_.store().node()));
  fs::remove_all(scratch_ / "other");
  fs::create_directory(scratch_ / "other");
  other.options.cluster_name = "elsewhere";
  refused("cluster \"grapevine\"");
  EXPECT_EQ(listed(), std::vector<std::uint32_t>{1});
}

TEST_F(BackupTest, IntoAFileOrBelowNothingIsRefusedAndNamed) {
  scene_.put("k", "v");
  std::ofstream(scratch_ / "file") << "x";
  for (const std::string& bad :
       {scratch_ / "file", scratch_ / "file/node", scratch_ / "no/such/path"}) {
    BackupOptions options;
    options.directory = bad;
    const auto refused = back_up(options).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(text_of(refused)), HasSubstr(bad.substr(0, bad.rfind('/'))));
  }
}

TEST_F(BackupTest, OnAFullDiskLeavesNothingAndTheOnesBeforeAreGood) {
  for (int i = 0; i < 1000; ++i) scene_.put(fmt::format("key {}", i), "old");
  ASSERT_TRUE(ok(back_up()));
  const std::set<std::string> before = files_below(backups_);
  for (int i = 0; i < 1000; ++i) scene_.put(fmt::format("key {}", i), "new");
  disk_.fail_below(backups_, rocksdb::IOStatus::NoSpace("full"));
  const absl::Status failed = back_up().status();
  EXPECT_TRUE(absl::IsResourceExhausted(failed)) << failed;
  disk_.fail_below(backups_, rocksdb::IOStatus::OK());
  EXPECT_EQ(files_below(backups_), before);
  EXPECT_EQ(listed(), std::vector<std::uint32_t>{1});
  ASSERT_TRUE(ok(restore("restored")));
  EXPECT_EQ(damage_in("restored"), 0U);
  EXPECT_EQ(opened("restored")->values("key 7"), std::vector<std::string>{"old"});
  EXPECT_TRUE(ok(back_up())) << "there is space again";
  EXPECT_EQ(scene_.values("key 7"), std::vector<std::string>{"new"}) << "the store did not mind";
}

// A backup leaves all memtables empty, and then RocksDB cannot leave a log that has failed.
TEST_F(BackupTest, AfterItADiskThatWasFullTakesWritesAgain) {
  scene_.put("k", "old");
  ASSERT_TRUE(ok(back_up()));
  disk_.fail_log_appends(rocksdb::IOStatus::NoSpace("full"));
  auto batch = scene_.store().begin();
  ASSERT_TRUE(ok(batch));
  ASSERT_TRUE(ok((*batch)->write(write_of("k", "refused"))));
  EXPECT_TRUE(absl::IsResourceExhausted(scene_.store().commit(*std::move(batch)).status()));
  disk_.fail_log_appends(rocksdb::IOStatus::OK());
  scene_.put("k", "new");
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"new"});
  EXPECT_TRUE(scene_.fatal.empty());
}

TEST_F(BackupTest, ThatIsStoppedLeavesNothing) {
  fill(3000, 300);
  BackupOptions options;
  options.directory = backups_;
  options.on_progress = [](std::uint64_t bytes) { return bytes == 0; };
  EXPECT_TRUE(absl::IsCancelled(back_up(options).status()));
  EXPECT_TRUE(listed().empty());
  EXPECT_TRUE(ok(back_up()));
}

TEST_F(BackupTest, WhatIsRestoredIsTheSameNodeAndANewActor) {
  scene_.put("k", "v");
  const ActorId actor = scene_.store().actor();
  ASSERT_TRUE(ok(back_up()));
  ASSERT_TRUE(ok(restore("restored")));
  const auto restored = opened("restored");
  EXPECT_EQ(restored->store().node(), actor.node());
  EXPECT_GE(restored->store().actor().epoch(), actor.epoch() + kEpochJump);
  EXPECT_TRUE(restored->store().from_elsewhere());
  EXPECT_FALSE(restored->store().kept_actor());
  EXPECT_EQ(restored->values("k"), std::vector<std::string>{"v"});
  // The next life continues this one.
  const ActorId jumped = restored->store().actor();
  restored->crash();
  ASSERT_TRUE(ok(restored->open()));
  EXPECT_EQ(restored->store().actor(), jumped);
  EXPECT_FALSE(restored->store().from_elsewhere());
}

TEST_F(BackupTest, InTheOldPlaceOnTheSameBootItIsANewActorToo) {
  scene_.put("k", "v");
  const ActorId actor = scene_.store().actor();
  ASSERT_TRUE(ok(back_up()));
  scene_.put("k", "lost with the disk");
  scene_.crash();
  fs::remove_all(scratch_ / "data");
  ASSERT_TRUE(ok(restore("data")));
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_GE(scene_.store().actor().epoch(), actor.epoch() + kEpochJump);
}

TEST_F(BackupTest, AsANewNodeItHasAnIdOfItsOwnAndNoNotes) {
  scene_.put("k", "v");
  ASSERT_TRUE(ok(scene_.store().put_note("members", "everybody")));
  ASSERT_TRUE(ok(back_up()));
  ASSERT_TRUE(ok(restore("restored", 0, NodeId{77})));
  const auto restored = opened("restored");
  EXPECT_EQ(restored->store().node(), NodeId{77});
  EXPECT_FALSE(restored->store().note("members")->has_value());
  EXPECT_EQ(restored->values("k"), std::vector<std::string>{"v"});
  EXPECT_EQ(*scene_.store().note("members"), "everybody");
}

TEST_F(BackupTest, IsNotRestoredIntoADirectoryThatIsNotEmpty) {
  scene_.put("k", "v");
  ASSERT_TRUE(ok(back_up()));
  const auto refused = restore("data").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(text_of(refused)), HasSubstr("not empty"));
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"v"});
}

TEST_F(BackupTest, ThatDoesNotExistIsNotFound) {
  scene_.put("k", "v");
  EXPECT_TRUE(absl::IsNotFound(list_backups(backups_, nullptr).status()));
  ASSERT_TRUE(ok(back_up()));
  EXPECT_TRUE(absl::IsNotFound(restore("restored", 9).status()));
  const auto refused = list_backups(scratch_ / "backups", nullptr).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(std::string(text_of(refused)), HasSubstr("DIR/NODE-ID"));
}

TEST_F(BackupTest, ThatIsDamagedIsNotRestoredAndLeavesTheDirectoryEmpty) {
  for (int i = 0; i < 1000; ++i) scene_.put(fmt::format("key {}", i), std::string(100, 'v'));
  ASSERT_TRUE(ok(back_up()));
  for (const std::string& file : files_below(backups_ + "/shared_checksum")) {
    std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(40);
    damaged.put('!');
  }
  EXPECT_TRUE(absl::IsDataLoss(restore("restored").status()));
  EXPECT_TRUE(fs::is_empty(scratch_ / "restored"));
}

TEST_F(BackupTest, ARestoreThatDidNotFinishIsNotOpened) {
  scene_.put("k", "v");
  ASSERT_TRUE(ok(back_up()));
  ASSERT_TRUE(ok(restore("restored")));
  fs::create_directory(scratch_ / "restored/restoring");
  Scene unfinished;
  unfinished.options = scene_.options;
  unfinished.options.directory = scratch_ / "restored";
  const absl::Status refused = unfinished.open();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(text_of(refused)), HasSubstr("has not finished"));
}

TEST_F(BackupTest, OfATableThatIsNotWhatWasWrittenIsDataLoss) {
  for (int i = 0; i < 3000; ++i) scene_.put(fmt::format("key {}", i), std::string(200, 'v'));
  ASSERT_TRUE(ok(back_up()));
  fs::remove_all(backups_);
  for (const std::string& file : files_below(scratch_ / "data")) {
    if (!file.ends_with(".sst")) continue;
    std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(40);
    damaged.put('!');
  }
  EXPECT_TRUE(absl::IsDataLoss(back_up().status()));
  EXPECT_TRUE(listed().empty());
}

TEST(BackupOwner, SurvivesItsEncodingAndRefusesWhatIsCutOrNewer) {
  const BackupOwner owner{"cluster", actor(5, 7)};
  const std::string bytes = owner.encode();
  EXPECT_EQ(BackupOwner::decode(bytes)->cluster_name, "cluster");
  EXPECT_EQ(BackupOwner::decode(bytes)->actor, actor(5, 7));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(BackupOwner::decode(bytes.substr(0, length)).ok());
  }
  std::string newer = bytes;
  newer[0] = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(BackupOwner::decode(newer).status()));
}

}  // namespace
}  // namespace grapevine::storage
