// Goal: a store remembers what was committed, through stops and crashes; goes on as the right
// actor; survives a disk that fails; and says "durable" only when it is. Method: a store in memory,
// on a disk that fails on command; the executor works when told.
#include "storage/store.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/clock_journal.h"
#include "tests/storage/lossy_disk.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

using Strings = std::vector<std::string>;
using rocksdb::IOStatus;

constexpr PartitionId kOnly{0};

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() { EXPECT_TRUE(ok(scene_.open())); }

  absl::Status try_put(std::string_view key, std::string_view value) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, scene_.store().begin());
    GRAPEVINE_ASSIGN_OR_RETURN(auto outcome, batch->write(write_of(key, std::string(value))));
    last_dot_ = outcome.dot;
    return scene_.store().commit(std::move(batch)).status();
  }
  ActorId self() { return scene_.store().actor(); }
  void reopen_after_crash() {
    scene_.crash();
    ASSERT_TRUE(ok(scene_.open()));
  }

  Scene scene_;
  model::Dot last_dot_;
};

// ---- stops and crashes

TEST_F(StoreTest, WhatWasWrittenIsThereAfterACleanStop) {
  scene_.put("k", "v");
  scene_.put("l", "w");
  scene_.remove("l");
  const Strings before = scene_.contents();
  ASSERT_TRUE(ok(scene_.close()));
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(StoreTest, WhatWasWrittenIsThereAfterACrash) {
  scene_.put("k", "v");
  scene_.put("k", "w", model::VersionVector{});
  scene_.remove("gone");
  const Strings before = scene_.contents();
  reopen_after_crash();
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(StoreTest, ACleanStopKeepsTheActorAlsoOverAReboot) {
  const ActorId before = self();
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.life.boot = "another boot";
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(self(), before);
}

TEST_F(StoreTest, ACrashOnTheSameBootKeepsTheActorAndItsDots) {
  const ActorId before = self();
  scene_.put("k", "1");
  reopen_after_crash();
  EXPECT_EQ(self(), before);
  EXPECT_EQ(scene_.put("k", "2").dot, (model::Dot{before, 2}));
}

TEST_F(StoreTest, ACrashAndARebootRenewTheActor) {
  const ActorId before = self();
  scene_.put("k", "1");
  scene_.options.life.boot = "another boot";
  reopen_after_crash();
  EXPECT_EQ(self(), ActorId::of(before.node(), before.epoch() + 1));
  EXPECT_EQ(scene_.put("k", "2").dot, (model::Dot{self(), 1}));
  EXPECT_EQ(scene_.values("k"), Strings{"2"});
}

TEST_F(StoreTest, ACopiedDirectoryRenewsTheActorEvenAfterACleanStop) {
  const ActorId before = self();
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.life.directory = "a copy";
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(self().node(), before.node());
  EXPECT_GE(self().epoch(), before.epoch() + kEpochJump);
}

TEST_F(StoreTest, TheLifeThatWasOpenedLastIsTheOneRemembered) {
  scene_.options.life.boot = "another boot";
  reopen_after_crash();
  const ActorId renewed = self();
  reopen_after_crash();
  EXPECT_EQ(self(), renewed);
}

TEST_F(StoreTest, ARenewedActorIsRememberedThroughACrash) {
  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  const ActorId renewed = self();
  reopen_after_crash();
  EXPECT_EQ(self(), renewed);
}

TEST_F(StoreTest, AnActorThatWasOutlivedWritesNothingUntilOneBeyondItHasBegun) {
  scene_.store().outlive(self().epoch());
  auto batch = scene_.store().begin();
  ASSERT_TRUE(ok(batch.status()));
  const auto refused = (*batch)->write(write_of("k", "1"));
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  batch->reset();
  scene_.store().outlive(self().epoch() + 40);
  scene_.store().outlive(self().epoch() + 3);
  const std::uint64_t beyond = self().epoch() + 41;
  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  EXPECT_EQ(self().epoch(), beyond);
  scene_.put("k", "1");
  reopen_after_crash();
  EXPECT_EQ(self().epoch(), beyond);
}

TEST_F(StoreTest, TopsAreThoseOfTheActorAskedFor) {
  scene_.put("k", "1");
  scene_.put("l", "1");
  EXPECT_EQ(scene_.store().tops(self()), std::vector<std::uint64_t>{2});
  EXPECT_EQ(scene_.store().tops(actor(5)), std::vector<std::uint64_t>{0});
}

TEST_F(StoreTest, ADirectoryOfAnotherClusterIsRefused) {
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.cluster_name = "orchard";
  const absl::Status status = scene_.open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(text_of(status).find("belongs to cluster \"grapevine\", not \"orchard\""),
            std::string_view::npos);
  EXPECT_NE(text_of(status).find("/store"), std::string_view::npos);
}

TEST_F(StoreTest, ADirectoryWithAnotherNumberOfPartitionsIsRefused) {
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.partitions = 2;
  const absl::Status status = scene_.open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(text_of(status).find("made with 1 partitions, not 2"), std::string_view::npos);
}

TEST_F(StoreTest, ARefusedDirectoryIsLeftAsItWas) {
  scene_.put("k", "v");
  const Strings before = scene_.contents();
  const ActorId actor_before = self();
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.cluster_name = "orchard";
  EXPECT_FALSE(scene_.open().ok());
  scene_.options.cluster_name = "grapevine";
  scene_.options.life.boot = "another boot";  // still a clean stop
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_EQ(self(), actor_before);
}

TEST_F(StoreTest, NotesAreKept) {
  EXPECT_FALSE(scene_.store().note("members")->has_value());
  const std::uint64_t syncs = scene_.disk.log_syncs();
  ASSERT_TRUE(ok(scene_.store().put_note("members", std::string("a\0b", 3))));
  scene_.executor.run_all();
  EXPECT_GT(scene_.disk.log_syncs(), syncs);
  ASSERT_TRUE(ok(scene_.store().put_note("other", "")));
  reopen_after_crash();
  EXPECT_EQ(scene_.store().note("members")->value(), std::string("a\0b", 3));
  EXPECT_EQ(scene_.store().note("other")->value(), "");
}

TEST_F(StoreTest, StatisticsCountWhatIsStored) {
  scene_.put("k", "v");
  scene_.put("l", "v");
  scene_.remove("l");
  const StoreStatistics statistics = scene_.store().statistics();
  EXPECT_EQ(statistics.keys, 1U);
  EXPECT_EQ(statistics.unquiet, 0U);
  EXPECT_EQ(statistics.dot_log_entries, 3U);
  EXPECT_GT(statistics.disk_bytes, 0U);
}

TEST_F(StoreTest, TheDotLogNamesRecentDotsUntilItIsForgotten) {
  scene_.put("k", "v");
  const std::vector<model::DotRange> first{{self(), 1, 1}};
  EXPECT_EQ(scene_.store().name_dots(kOnly, first, false, 10).in_flight, 1U);
  EXPECT_EQ(scene_.store().name_dots(kOnly, first, true, 10).named.at(0).key, "k");
  scene_.time.advance(scene_.options.in_flight_grace + std::chrono::milliseconds(1));
  EXPECT_EQ(scene_.store().name_dots(kOnly, first, false, 10).named.at(0).key, "k");
  scene_.store().forget_dot_logs();
  EXPECT_FALSE(scene_.store().name_dots(kOnly, first, true, 10).complete);
}

// ---- a disk that fails

TEST_F(StoreTest, NothingOfACommitThatFailsHasHappened) {
  scene_.put("k", "old");
  const Strings before = scene_.contents();
  scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
  const absl::Status status = try_put("k", "new");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(text_of(status).find("disk full"), std::string_view::npos);
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.trees_are_true());
  EXPECT_EQ(scene_.store().name_dots(kOnly, {{self(), 2, 2}}, true, 10).complete, false);
}

class FailingDiskTest : public StoreTest, public ::testing::WithParamInterface<bool> {
 protected:
  FailingDiskTest() { scene_.disk.tear_failing_appends(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Appends, FailingDiskTest, ::testing::Bool(),
                         [](const auto& torn) { return torn.param ? "Torn" : "Whole"; });

TEST_P(FailingDiskTest, WritesGoOnByThemselvesUnderANewActorWhenTheDiskRecovers) {
  for (int round = 0; round < 3; ++round) {
    scene_.put("before", "v");
    const ActorId before = self();
    scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(try_put("during", fmt::format("{}", i)).ok());
    scene_.disk.fail_log_appends(IOStatus::OK());
    ASSERT_TRUE(ok(try_put("after", "v")));
    EXPECT_GT(self(), before);
    EXPECT_EQ(self().node(), before.node());
    EXPECT_EQ(last_dot_.actor, self());
    EXPECT_EQ(scene_.values("before"), Strings{"v"});
    EXPECT_EQ(scene_.values("during"), Strings{});
    EXPECT_TRUE(scene_.trees_are_true());

    const Strings contents = scene_.contents();
    const ActorId renewed = self();
    reopen_after_crash();
    EXPECT_EQ(scene_.contents(), contents);
    EXPECT_EQ(self(), renewed);
    EXPECT_TRUE(scene_.trees_are_true());
  }
}

TEST_P(FailingDiskTest, ADiskThatIsFullForEveryFileRecoversToo) {
  scene_.put("before", "v");
  for (int round = 0; round < 3; ++round) {
    scene_.disk.fail_everything(IOStatus::NoSpace("full"));
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(try_put("during", fmt::format("{}", i)).ok());
    scene_.disk.fail_everything(IOStatus::OK());
    ASSERT_TRUE(ok(try_put("after", "v")));
  }
  const Strings contents = scene_.contents();
  reopen_after_crash();
  EXPECT_EQ(scene_.contents(), contents);
  EXPECT_EQ(scene_.values("before"), Strings{"v"});
  EXPECT_EQ(scene_.values("during"), Strings{});
}

TEST_P(FailingDiskTest, ACrashWhileTheDiskFailsLosesNothingThatWasCommitted) {
  scene_.put("k", "v");
  const Strings before = scene_.contents();
  scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
  EXPECT_FALSE(try_put("l", "w").ok());
  scene_.crash();
  scene_.disk.fail_log_appends(IOStatus::OK());
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
}

TEST_P(FailingDiskTest, ADiskThatFailsRightAfterEverythingWasWrittenOutRecoversOrEndsTheProcess) {
  reopen_after_crash();  // writes the memtables out; then as little as possible is written
  scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(try_put("during", "v").ok());
  scene_.disk.fail_log_appends(IOStatus::OK());
  EXPECT_TRUE(try_put("after", "v").ok() || scene_.fatal.size() == 1);
}

TEST_P(FailingDiskTest, ABrokenDiskIsFatalOnceAndARestartFindsEverything) {
  scene_.put("k", "v");
  const Strings before = scene_.contents();
  scene_.disk.fail_log_appends(IOStatus::IOError("broken"));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(try_put("l", "w").ok());
  scene_.disk.fail_log_appends(IOStatus::OK());
  EXPECT_FALSE(try_put("l", "w").ok());
  EXPECT_EQ(scene_.fatal.size(), 1U);
  reopen_after_crash();
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(ok(try_put("l", "w")));
}

TEST_P(FailingDiskTest, NoDotIsEverIssuedTwice) {
  std::vector<model::Dot> issued;
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    if (random.chance(0.05)) scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
    if (random.chance(0.3)) scene_.disk.fail_log_appends(IOStatus::OK());
    if (random.chance(0.05)) {
      scene_.crash();
      scene_.disk.fail_log_appends(IOStatus::OK());
      ASSERT_TRUE(ok(scene_.open()));
    }
    if (try_put(fmt::format("k{}", i % 7), "v").ok()) issued.push_back(last_dot_);
  }
  EXPECT_GT(issued.size(), 100U);
  std::sort(issued.begin(), issued.end());
  EXPECT_EQ(std::adjacent_find(issued.begin(), issued.end()), issued.end());
  EXPECT_TRUE(scene_.trees_are_true());
}

// RocksDB forgets to make a flush that was scheduled when a write failed, and then waits for it.
TEST(FullDisk, WhileAMemtableWaitsForItsFlushItIsForAnotherProcessToGoOn) {
  LossyDisk disk;
  disk.hold_background();
  Scene scene;
  scene.options.environment = disk.environment();
  scene.options.directory = "/d";
  scene.options.memtable_bytes = std::size_t{64} << 10;
  ASSERT_TRUE(ok(scene.open()));
  const std::string value(2'000, 'v');
  const auto try_put = [&](const std::string& key) -> absl::Status {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, scene.store().begin());
    GRAPEVINE_RETURN_IF_ERROR(batch->write(write_of(key, value)).status());
    return scene.store().commit(std::move(batch)).status();
  };
  // The append that fails must be the one before which the memtable was full.
  for (std::size_t round = 0; scene.fatal.empty() && round < 200; ++round) {
    disk.fill("/d", 20'000 + 700 * round);
    absl::Status status;
    for (int i = 0; status.ok(); ++i) status = try_put(fmt::format("{} {}", round, i));
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    disk.make_room("/d");
    if (scene.fatal.empty()) try_put("after").IgnoreError();
  }
  ASSERT_EQ(scene.fatal.size(), 1U);
  EXPECT_TRUE(absl::IsAborted(scene.fatal.front())) << scene.fatal.front();
  const Strings before = scene.contents();
  scene.crash();
  ASSERT_TRUE(ok(scene.open()));
  EXPECT_EQ(scene.contents(), before);
  EXPECT_TRUE(ok(try_put("now")));
}

TEST_F(StoreTest, AnUnreadableDatabaseIsNeverTakenForANewOne) {
  scene_.put("k", "v");
  scene_.crash();
  rocksdb::Env& env = *scene_.options.environment->env;
  std::string current;
  ASSERT_TRUE(rocksdb::ReadFileToString(&env, "/store/CURRENT", &current).ok());
  ASSERT_TRUE(rocksdb::WriteStringToFile(&env, "", "/store/CURRENT").ok());
  const absl::Status refused = scene_.open();
  EXPECT_NE(text_of(refused).find("CURRENT"), std::string_view::npos) << refused;
  ASSERT_TRUE(rocksdb::WriteStringToFile(&env, current, "/store/CURRENT").ok());
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.values("k"), Strings{"v"});
}

TEST_F(StoreTest, AReadErrorIsNeverAnAbsentKey) {
  scene_.put("k", "v");
  reopen_after_crash();  // into a table
  scene_.disk.fail_reads_after(0, IOStatus::IOError("unreadable"));
  const auto entry = scene_.store().load("k", model::Values::kWith);
  EXPECT_FALSE(entry.ok());
  auto batch = scene_.store().begin();
  ASSERT_TRUE(ok(batch));
  EXPECT_FALSE((*batch)->write(write_of("k", "w")).ok());
  EXPECT_FALSE((*batch)->receive({"k", filled_entry({version_of({actor(5), 1}, "x")}), {}}).ok());
  batch->reset();
  scene_.disk.fail_reads_after(0, IOStatus::OK());
  EXPECT_EQ(scene_.values("k"), Strings{"v"});
  EXPECT_EQ(scene_.put("k", "w").dot.counter, 2U);
}

// ---- durable

class DurabilityTest : public StoreTest {
 protected:
  void wait_for(CommitNumber number) {
    scene_.store().when_durable(number, [this, number] { durable_.push_back(number); });
  }
  CommitNumber commit() { return scene_.commit(write_of("k", "v")).number; }

  std::vector<CommitNumber> durable_;
};

TEST_F(DurabilityTest, CommitsThatWaitTogetherShareOneSync) {
  const auto first = commit();
  const auto second = commit();
  const auto third = commit();
  const std::uint64_t syncs = scene_.disk.log_syncs();
  wait_for(first);
  wait_for(second);
  wait_for(third);
  EXPECT_TRUE(durable_.empty());
  EXPECT_EQ(scene_.executor.waiting(), 1U);
  scene_.executor.run_all();
  EXPECT_EQ(durable_, (std::vector<CommitNumber>{first, second, third}));
  EXPECT_EQ(scene_.disk.log_syncs(), syncs + 1);
  EXPECT_EQ(scene_.executor.works_done(), 1U);
}

TEST_F(DurabilityTest, ACommitDuringASyncWaitsForTheNext) {
  const auto first = commit();
  wait_for(first);
  const auto second = commit();
  wait_for(second);
  EXPECT_EQ(scene_.executor.waiting(), 1U);
  ASSERT_TRUE(scene_.executor.run_one());
  EXPECT_EQ(durable_, std::vector<CommitNumber>{first});
  EXPECT_EQ(scene_.executor.waiting(), 1U);
  scene_.executor.run_all();
  EXPECT_EQ(durable_, (std::vector<CommitNumber>{first, second}));
}

TEST_F(DurabilityTest, WhatIsDurableIsSaidAtOnce) {
  const auto first = commit();
  wait_for(first);
  scene_.executor.run_all();
  wait_for(first);
  EXPECT_EQ(durable_.size(), 2U);
  EXPECT_EQ(scene_.executor.waiting(), 0U);
}

TEST_F(DurabilityTest, ACallbackMayCommitAndWaitAgain) {
  const auto first = commit();
  scene_.store().when_durable(first, [this] { wait_for(commit()); });
  scene_.executor.run_all();
  EXPECT_EQ(durable_, std::vector<CommitNumber>{first + 1});
}

TEST_F(DurabilityTest, AFailedSyncIsFatalOnceAndNothingIsCalledDurableAfterwards) {
  const auto first = commit();
  wait_for(first);
  scene_.disk.fail_log_syncs(IOStatus::IOError("broken"));
  scene_.executor.run_all();
  EXPECT_EQ(scene_.fatal.size(), 1U);
  EXPECT_TRUE(durable_.empty());
  // A second fsync may well succeed, and the pages that the first one lost stay lost.
  scene_.disk.fail_log_syncs(IOStatus::OK());
  wait_for(first);
  scene_.executor.run_all();
  EXPECT_TRUE(durable_.empty());
  EXPECT_EQ(scene_.fatal.size(), 1U);
}

TEST_F(DurabilityTest, CommitsBeforeAFullDiskBecomeDurableWhenItHasRecovered) {
  const auto first = commit();
  wait_for(first);
  scene_.disk.fail_log_appends(IOStatus::NoSpace("full"));
  EXPECT_FALSE(try_put("k", "w").ok());
  scene_.executor.run_all();
  const auto second_wait = durable_.size();
  wait_for(first);
  scene_.executor.run_all();
  scene_.disk.fail_log_appends(IOStatus::OK());
  EXPECT_TRUE(ok(scene_.store().upkeep(10)));
  scene_.executor.run_all();
  EXPECT_EQ(durable_.size(), 2U) << "of them before the disk recovered: " << second_wait;
  EXPECT_TRUE(scene_.fatal.empty());
}

TEST_F(DurabilityTest, WithDurabilityOsNothingIsSynced) {
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.durability = Durability::kOs;
  ASSERT_TRUE(ok(scene_.open()));
  const std::uint64_t syncs = scene_.disk.log_syncs();
  const auto first = commit();
  wait_for(first);
  EXPECT_EQ(durable_, std::vector<CommitNumber>{first});
  EXPECT_EQ(scene_.executor.waiting(), 0U);
  EXPECT_EQ(scene_.disk.log_syncs(), syncs);
}

}  // namespace
}  // namespace grapevine::storage
