// Goal: the work that waits gets done: entries become quiet, trees as fine as a rebuilt one, and
// always true.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/store.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

constexpr PartitionId kOnly{0};

class UpkeepTest : public ::testing::Test {
 protected:
  UpkeepTest() { EXPECT_TRUE(ok(scene_.open())); }

  const model::DigestTree& tree() { return scene_.store().live(kOnly).tree(); }
  std::uint64_t unquiet() { return scene_.store().statistics().unquiet; }
  // Receives deletes that lie above a gap in the clock: one unquiet entry without versions each.
  model::Clock receive_deletes_above_a_gap(std::uint64_t count) {
    model::Clock gap_closed;
    gap_closed.add({actor(5), 1, count + 1});
    for (std::uint64_t i = 0; i < count; ++i) {
      const model::Dot dot{actor(5), i + 2};
      EXPECT_TRUE(ok(scene_.receive({fmt::format("key{}", i), filled_entry({}, {dot}), {dot}})));
    }
    return gap_closed;
  }

  Scene scene_;
};

TEST_F(UpkeepTest, NothingToDoIsSaidAtOnce) {
  scene_.put("k", "v");
  const auto more = scene_.store().upkeep(1);
  ASSERT_TRUE(ok(more));
  EXPECT_FALSE(*more);
}

TEST_F(UpkeepTest, EntriesThatTheClockHasComeToImplyAreStripped) {
  const model::Clock gap_closed = receive_deletes_above_a_gap(300);
  scene_.upkeep();
  EXPECT_EQ(unquiet(), 300U);
  ASSERT_TRUE(ok(scene_.adopt(kOnly, gap_closed)));
  EXPECT_EQ(unquiet(), 300U);
  scene_.upkeep();
  EXPECT_EQ(unquiet(), 0U);
  EXPECT_EQ(scene_.store().statistics().keys, 0U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(UpkeepTest, WhatWasToBeStrippedIsStrippedAfterACrash) {
  const model::Clock gap_closed = receive_deletes_above_a_gap(3);
  ASSERT_TRUE(ok(scene_.adopt(kOnly, gap_closed)));
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(unquiet(), 3U);
  scene_.upkeep();
  EXPECT_EQ(unquiet(), 0U);
}

TEST_F(UpkeepTest, StrippingKeepsVersionsAndValues) {
  const model::Dot dot{actor(5), 2};
  model::KeyedEntry keyed{"k", filled_entry({version_of(dot, "value")}, {{actor(6), 9}}), {dot}};
  ASSERT_TRUE(ok(scene_.receive(keyed)));
  EXPECT_EQ(unquiet(), 1U);
  model::Clock theirs;
  theirs.add({actor(6), 1, 9});
  ASSERT_TRUE(ok(scene_.adopt(kOnly, theirs)));
  scene_.upkeep();
  EXPECT_EQ(unquiet(), 0U);
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"value"});
}

TEST_F(UpkeepTest, EachCallKeepsItsBudget) {
  const model::Clock gap_closed = receive_deletes_above_a_gap(200);
  ASSERT_TRUE(ok(scene_.adopt(kOnly, gap_closed)));
  std::uint64_t before = unquiet();
  for (;;) {
    const auto more = scene_.store().upkeep(10);
    ASSERT_TRUE(ok(more));
    scene_.executor.run_all();
    EXPECT_LE(before - unquiet(), 10U);
    before = unquiet();
    if (!*more) break;
  }
  EXPECT_EQ(before, 0U);
}

TEST_F(UpkeepTest, AGapThatStaysDoesNotKeepItBusy) {
  receive_deletes_above_a_gap(5);
  scene_.upkeep();
  const auto more = scene_.store().upkeep(1'000);
  ASSERT_TRUE(ok(more));
  EXPECT_FALSE(*more);
  EXPECT_EQ(unquiet(), 5U);
}

TEST_F(UpkeepTest, AGrownTreeEqualsARebuiltOne) {
  for (int i = 0; i < 3'000; ++i) scene_.put(fmt::format("key{}", i), "v");
  EXPECT_TRUE(tree().wants_to_grow());
  scene_.upkeep();
  EXPECT_FALSE(tree().wants_to_grow());
  EXPECT_TRUE(scene_.trees_are_true());
  const model::TokenRange leaf = tree().leaf_range({0});
  EXPECT_LT(leaf.last.value, ~std::uint64_t{0} >> 5);
  const model::DigestShare share = tree().range(leaf);
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(tree().leaf_range({0}), leaf);
  EXPECT_EQ(tree().range(leaf), share);
}

TEST_F(UpkeepTest, ATreeIsTrueWhileItGrowsUnderWrites) {
  Random random(3);
  for (int i = 0; i < 4'000; ++i) {
    const std::string key = fmt::format("key{}", random.below(1'500));
    if (random.chance(0.2)) {
      scene_.remove(key);
    } else {
      scene_.put(key, fmt::format("{}", i));
    }
    ASSERT_TRUE(ok(scene_.store().upkeep(1 + random.below(20))));
    if (i % 100 != 0) continue;
    ASSERT_TRUE(scene_.trees_are_true()) << "after " << i;
  }
  scene_.upkeep();
  EXPECT_TRUE(scene_.trees_are_true());
  EXPECT_FALSE(tree().wants_to_grow());
}

TEST_F(UpkeepTest, WhatIsColdIsWarmedFirstAndNothingIsDoneMeanwhile) {
  const model::Clock gap_closed = receive_deletes_above_a_gap(300);
  ASSERT_TRUE(ok(scene_.adopt(kOnly, gap_closed)));
  scene_.cool_down();
  for (int i = 0; i < 3; ++i) {
    const auto more = scene_.store().upkeep(1'000);
    ASSERT_TRUE(ok(more));
    EXPECT_TRUE(*more);
    EXPECT_EQ(scene_.executor.waiting(), 1U);
    EXPECT_EQ(unquiet(), 300U);
  }
  scene_.upkeep();
  EXPECT_EQ(unquiet(), 0U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(UpkeepTest, AColdTreeGrowsAsATrueOne) {
  for (int i = 0; i < 3'000; ++i) scene_.put(fmt::format("key{}", i), std::string(200, 'v'));
  scene_.cool_down();
  for (int i = 0; !tree().wants_to_grow(); ++i) scene_.put(fmt::format("more{}", i), "v");
  ASSERT_TRUE(ok(scene_.store().upkeep(100)));
  EXPECT_GT(scene_.executor.waiting(), 0U);
  scene_.upkeep();
  EXPECT_FALSE(tree().wants_to_grow());
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(UpkeepTest, OneTagWithManyKeysGrowsToo) {
  for (int i = 0; i < 500; ++i) scene_.put(fmt::format("{{tag}}{}", i), "v");
  scene_.upkeep();
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(UpkeepTest, AReadErrorWhileGrowingCountsNothingTwice) {
  for (int i = 0; i < 500; ++i) scene_.put(fmt::format("key{}", i), std::string(100, 'v'));
  scene_.crash();  // what was written goes from the log into a table
  ASSERT_TRUE(ok(scene_.open()));
  while (!tree().wants_to_grow()) {
    scene_.put(fmt::format("more{}", scene_.store().statistics().keys), "v");
  }
  scene_.disk.fail_reads_after(3, rocksdb::IOStatus::IOError("unreadable"));
  ASSERT_TRUE(ok(scene_.store().upkeep(100'000)));  // asks for what is cold
  scene_.executor.run_all();                        // in vain
  EXPECT_FALSE(scene_.store().upkeep(100'000).ok());
  scene_.disk.fail_reads_after(0, rocksdb::IOStatus::OK());
  scene_.upkeep();
  EXPECT_TRUE(scene_.trees_are_true());
}

}  // namespace
}  // namespace grapevine::storage
