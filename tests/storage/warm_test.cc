// Goal: a read that must not wait for the disk says so when it would have to, and changes nothing;
// what was warmed is found. Method: a life that wrote tables and ended, and a next one with nothing
// of them in memory; the executor reads when told.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/base/limits.h"
#include "storage/store.h"
#include "storage/waiting.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

constexpr PartitionId kOnly{0};
constexpr std::size_t kBig = std::size_t{1} << 20;

class WarmTest : public ::testing::Test {
 protected:
  WarmTest() { EXPECT_TRUE(ok(scene_.open())); }

  absl::Status look(std::string_view key) {
    return scene_.store().load(key, model::Values::kWith, Reach::kMemory).status();
  }
  bool cold(std::string_view key) {
    const absl::Status status = look(key);
    EXPECT_TRUE(status.ok() || is_cold(status)) << status;
    return !status.ok();
  }
  std::uint64_t top() { return scene_.store().tops(scene_.store().actor())[0]; }

  Scene scene_;
};

TEST_F(WarmTest, WhatWasJustWrittenIsNotCold) {
  scene_.put("k", "v");
  EXPECT_FALSE(cold("k"));
}

TEST_F(WarmTest, AColdReadIsToldThenWarmedThenServed) {
  scene_.put("k", "v");
  scene_.cool_down();
  EXPECT_TRUE(cold("k"));
  EXPECT_TRUE(cold("k"));  // asking does not warm
  bool done = false;
  scene_.store().warm({"k"}, [&] {
    done = true;
    EXPECT_FALSE(cold("k"));
  });
  EXPECT_TRUE(cold("k"));
  EXPECT_FALSE(done);
  scene_.executor.run_all();
  EXPECT_TRUE(done);
  EXPECT_FALSE(cold("k"));
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"v"});
  EXPECT_EQ(scene_.store().statistics().keys_warmed, 1U);
}

TEST_F(WarmTest, AReadThatMayWaitIsServedAtOnce) {
  scene_.put("k", "v");
  scene_.cool_down();
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"v"});
  EXPECT_EQ(scene_.executor.waiting(), 0U);
}

TEST_F(WarmTest, AKeyThatWasNeverWrittenIsKnownToBeAbsentWithoutTheDisk) {
  for (int i = 0; i < 1'000; ++i) scene_.put(fmt::format("key{}", i), "v");
  scene_.cool_down();
  int colds = 0;
  for (int i = 0; i < 1'000; ++i) colds += cold(fmt::format("other{}", i)) ? 1 : 0;
  EXPECT_LT(colds, 50);  // the filter errs once in a hundred
}

TEST_F(WarmTest, AColdWriteChangesNothing) {
  scene_.put("k", "v");
  scene_.cool_down();
  const std::uint64_t before = top();
  {
    auto batch = scene_.store().begin(Reach::kMemory);
    ASSERT_TRUE(ok(batch));
    EXPECT_TRUE(is_cold((*batch)->write(write_of("k", "w")).status()));
    EXPECT_TRUE((*batch)->empty());
    EXPECT_EQ(top(), before);
    // The batch goes on without it.
    EXPECT_TRUE(ok((*batch)->write(write_of("hot", "w"))));
    ASSERT_TRUE(ok(scene_.store().commit(*std::move(batch))));
  }
  EXPECT_EQ(top(), before + 1);
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"v"});
  EXPECT_EQ(scene_.values("hot"), std::vector<std::string>{"w"});
}

TEST_F(WarmTest, AColdReceivedEntryChangesNothing) {
  scene_.put("k", "v");
  scene_.cool_down();
  const model::Dot dot{actor(5), 1};
  const model::KeyedEntry received{"k", filled_entry({version_of(dot, "w")}), {dot}};
  {
    auto batch = scene_.store().begin(Reach::kMemory);
    ASSERT_TRUE(ok(batch));
    EXPECT_TRUE(is_cold((*batch)->receive(received)));
    EXPECT_TRUE((*batch)->empty());
  }
  EXPECT_FALSE(scene_.store().live(kOnly).clock().contains(dot));
  ASSERT_TRUE(ok(scene_.receive(received)));
  EXPECT_EQ(scene_.values("k"), (std::vector<std::string>{"v", "w"}));
}

TEST_F(WarmTest, AValueThatStandsApartIsWarmedWithItsEntryAndStays) {
  const std::string value(20'000, 'v');
  scene_.put("k", value);
  scene_.cool_down();
  EXPECT_TRUE(cold("k"));
  scene_.store().warm({"k"}, [] {});
  scene_.executor.run_all();
  EXPECT_FALSE(cold("k"));
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{value});
}

TEST_F(WarmTest, AValueThatStandsApartMayBeColdAlone) {
  scene_.put("k", std::string(20'000, 'v'));
  scene_.cool_down();
  const auto heads = [&](Reach reach) {
    return scene_.store().load("k", model::Values::kWithout, reach).status();
  };
  EXPECT_TRUE(is_cold(heads(Reach::kMemory)));
  EXPECT_TRUE(ok(heads(Reach::kDisk)));
  EXPECT_TRUE(ok(heads(Reach::kMemory)));
  EXPECT_TRUE(cold("k"));
}

TEST_F(WarmTest, AnEntryLargerThanTheCacheIsHeldUntilDoneReturns) {
  scene_.options.block_cache_bytes = 1'000;
  scene_.put("k", std::string(3'000, 'v'));
  scene_.cool_down();
  bool done = false;
  scene_.store().warm({"k"}, [&] {
    done = true;
    EXPECT_FALSE(cold("k"));
  });
  scene_.executor.run_all();
  EXPECT_TRUE(done);
  EXPECT_TRUE(cold("k"));
}

TEST_F(WarmTest, TheLargestValueStaysInACacheThatHasRoomForTwo) {
  scene_.options.block_cache_bytes = std::size_t{256} << 20;
  scene_.put("k", std::string(kValueBytesMax, 'v'));
  scene_.cool_down();
  scene_.store().warm({"k"}, [] {});
  scene_.executor.run_all();
  EXPECT_FALSE(cold("k"));
}

TEST_F(WarmTest, ItStopsAtItsBoundOfBytes) {
  scene_.options.block_cache_bytes = 8 * kBig;
  scene_.put("first", std::string(kBig, 'v'));
  scene_.put("second", std::string(kBig, 'v'));
  scene_.cool_down();
  scene_.store().warm(
      {"first", "second"},
      [&] {
        EXPECT_FALSE(cold("first"));
        EXPECT_TRUE(cold("second"));
      },
      kBig);
  scene_.executor.run_all();
}

TEST_F(WarmTest, ManyKeysAreWarmInTheEndWhateverWorksTheyWereCutInto) {
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    keys.push_back(fmt::format("key{}", i));
    scene_.put(keys.back(), std::string(3'000, static_cast<char>('a' + i % 26)));
  }
  scene_.cool_down();
  int done = 0;
  scene_.store().warm(keys, [&] { ++done; });
  EXPECT_GT(scene_.executor.waiting(), 1U);
  while (scene_.executor.waiting() > 1) {
    ASSERT_TRUE(scene_.executor.run_one());
    EXPECT_EQ(done, 0);
  }
  scene_.executor.run_all();
  EXPECT_EQ(done, 1);
  for (const std::string& key : keys) EXPECT_FALSE(cold(key)) << key;
}

TEST_F(WarmTest, NoKeysAreWarmAtOnce) {
  bool done = false;
  scene_.store().warm({}, [&] { done = true; });
  EXPECT_TRUE(done);
  EXPECT_EQ(scene_.executor.waiting(), 0U);
}

TEST_F(WarmTest, AnErrorShowsToWhoReadsNext) {
  scene_.put("k", "v");
  scene_.cool_down();
  bool done = false;
  scene_.disk.fail_reads_after(0, rocksdb::IOStatus::IOError("unreadable"));
  scene_.store().warm({"k"}, [&] {
    done = true;
    const auto entry = scene_.store().load("k", model::Values::kWith);
    EXPECT_FALSE(entry.ok());
    EXPECT_FALSE(is_cold(entry.status()));
  });
  scene_.executor.run_all();
  EXPECT_TRUE(done);
}

TEST_F(WarmTest, ARangeIsWarmedAsFarAsAsked) {
  for (int i = 0; i < 400; ++i) scene_.put(fmt::format("key{}", i), std::string(300, 'v'));
  scene_.cool_down();
  const View& live = scene_.store().live(kOnly);
  const auto scan = [&](std::size_t limit) {
    std::size_t met = 0;
    const absl::Status status =
        live.scan_stored(live.range(), std::nullopt, model::Values::kWith, Reach::kMemory,
                         [&](std::string_view, const model::Entry&) { return ++met < limit; });
    EXPECT_TRUE(status.ok() || is_cold(status)) << status;
    return status.ok();
  };
  EXPECT_FALSE(scan(1));
  bool done = false;
  scene_.store().warm(std::vector{live.range()}, std::nullopt, 100, [&] { done = true; });
  scene_.executor.run_all();
  EXPECT_TRUE(done);
  EXPECT_TRUE(scan(100));
  EXPECT_FALSE(scan(400));
  scene_.store().warm(std::vector{live.range()}, std::nullopt, 400, [] {});
  scene_.executor.run_all();
  EXPECT_TRUE(scan(400));
}

// ---- write stalls

class StallTest : public WarmTest {
 protected:
  StallTest() {
    scene_.crash();
    scene_.options.memtable_bytes = std::size_t{64} << 10;
    EXPECT_TRUE(ok(scene_.open()));
    scene_.disk.hold_tables(true);
  }

  absl::StatusOr<Committed> try_put(std::string_view key, std::string_view value,
                                    WriteOutcome* outcome = nullptr) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, scene_.store().begin());
    GRAPEVINE_ASSIGN_OR_RETURN(auto written, batch->write(write_of(key, std::string(value))));
    if (outcome != nullptr) *outcome = written;
    return scene_.store().commit(std::move(batch));
  }
  // Writes until a write is refused; that one's error.
  absl::Status fill_up() {
    for (int i = 0; i < 1'000; ++i) {
      const auto committed = try_put(fmt::format("fill{}", i), std::string(4'000, 'v'));
      if (!committed.ok()) return committed.status();
    }
    return absl::OkStatus();
  }
  // Lets flushes go on, and waits until writes are taken.
  void flow_again() {
    scene_.disk.hold_tables(false);
    ASSERT_TRUE(ok(scene_.store().put_note("waits", "for the flush")));
  }
};

TEST_F(StallTest, AStalledWriteIsRefusedWithNothingChangedAndNoFailureCounted) {
  const absl::Status refused = fill_up();
  EXPECT_TRUE(is_stalled(refused)) << refused;
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  const std::vector<std::string> before = scene_.contents();
  const ActorId actor = scene_.store().actor();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(is_stalled(try_put("k", "v").status()));
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.trees_are_true());
  EXPECT_EQ(scene_.store().statistics().write_stalls, 4U);
  flow_again();
  EXPECT_TRUE(ok(try_put("k", "v")));
  EXPECT_EQ(scene_.store().actor(), actor);
  EXPECT_TRUE(scene_.fatal.empty());
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"v"});
}

TEST_F(StallTest, TheDotOfARefusedWriteIsUsedAgainForTheLogNeverHadIt) {
  EXPECT_TRUE(is_stalled(fill_up()));
  WriteOutcome refused;
  EXPECT_TRUE(is_stalled(try_put("refused", "v", &refused).status()));
  flow_again();
  WriteOutcome taken;
  ASSERT_TRUE(ok(try_put("taken", "v", &taken)));
  EXPECT_EQ(taken.dot, refused.dot);
  const std::vector<std::string> before = scene_.contents();
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.values("refused").empty());
  EXPECT_EQ(scene_.values("taken"), std::vector<std::string>{"v"});
}

TEST_F(StallTest, WhatWasWrittenBeforeBecomesDurableMeanwhile) {
  const Committed committed = scene_.commit(write_of("k", "v"));
  EXPECT_TRUE(is_stalled(fill_up()));
  bool durable = false;
  scene_.store().when_durable(committed.number, [&] { durable = true; });
  scene_.executor.run_all();
  EXPECT_TRUE(durable);
}

}  // namespace
}  // namespace grapevine::storage
