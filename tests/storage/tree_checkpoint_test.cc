// Goal: the trees that a clean stop leaves behind are those that a scan would build, and are used
// only for the state that they were written with. Method: stores in memory, stopped, crashed and
// opened again; bytes changed at every place.
#include "storage/tree_checkpoint.h"

#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kCells = 64;

class TreeCheckpointTest : public ::testing::Test {
 protected:
  TreeCheckpointTest() {
    scene_.options.partitions = 4;
    EXPECT_TRUE(ok(scene_.open()));
  }
  void write(int keys) {
    for (int i = 0; i < keys; ++i) scene_.put("key " + std::to_string(i), std::to_string(next_++));
  }
  std::vector<model::DigestShare> roots() {
    std::vector<model::DigestShare> roots;
    for (std::uint32_t i = 0; i < 4; ++i) {
      roots.push_back(scene_.store().live(PartitionId{i}).tree().root());
    }
    return roots;
  }

  Scene scene_;
  int next_ = 0;
};

TEST_F(TreeCheckpointTest, IsUsedAfterACleanStopAndSaysWhatTheScanSays) {
  write(500);
  for (int i = 0; i < 50; ++i) scene_.remove("key " + std::to_string(i));
  // Entries that are not quiet count too.
  ASSERT_TRUE(ok(scene_.receive({"key 7", filled_entry({version_of({actor(9), 3}, "w")}), {}})));
  scene_.upkeep();
  const auto before = roots();
  const auto contents = scene_.contents();
  ASSERT_TRUE(ok(scene_.close()));
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_FALSE(scene_.store().scanned());
  EXPECT_EQ(roots(), before);
  EXPECT_EQ(scene_.contents(), contents);
  EXPECT_TRUE(scene_.trees_are_true());
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(scene_.store().scanned());
  EXPECT_EQ(roots(), before) << "by the scan";
}

TEST_F(TreeCheckpointTest, GoesOnBeingTrueUnderWritesAfterwards) {
  write(300);
  ASSERT_TRUE(ok(scene_.close()));
  ASSERT_TRUE(ok(scene_.open()));
  write(400);
  scene_.upkeep();
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(TreeCheckpointTest, OfAnEarlierCleanStopIsNotUsedAfterACrash) {
  write(300);
  ASSERT_TRUE(ok(scene_.close()));
  ASSERT_TRUE(ok(scene_.open()));
  write(10);
  const auto before = roots();
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(scene_.store().scanned());
  EXPECT_EQ(roots(), before);
}

TEST_F(TreeCheckpointTest, ThatIsDamagedIsReplacedByTheScan) {
  write(300);
  const auto before = roots();
  ASSERT_TRUE(ok(scene_.close()));
  {
    auto engine = Engine::open(scene_.options);
    ASSERT_TRUE(ok(engine));
    const std::string key = meta_key(kMetaTree, 2);
    auto bytes = (*engine)->get_meta(key);
    ASSERT_TRUE(ok(bytes));
    ASSERT_TRUE(bytes->has_value());
    (**bytes)[5] ^= 1;
    rocksdb::WriteBatch writes;
    (*engine)->put_meta(writes, key, **bytes);
    ASSERT_TRUE(ok((*engine)->write(writes, Stall::kWait)));
  }
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(scene_.store().scanned());
  EXPECT_EQ(roots(), before);
}

TEST_F(TreeCheckpointTest, WhatGaveUpOpeningLeavesTheCleanStopAsItWas) {
  write(300);
  const ActorId actor = scene_.store().actor();
  ASSERT_TRUE(ok(scene_.close()));
  scene_.options.on_opening = [](double) { return false; };
  EXPECT_TRUE(absl::IsCancelled(scene_.open()));
  scene_.options.life.boot = "the next boot";  // it would need the mark of the clean stop
  double last = -1;
  scene_.options.on_opening = [&](double fraction) {
    EXPECT_GE(fraction, last);
    EXPECT_LE(fraction, 1);
    last = fraction;
    return true;
  };
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(last, 0.75) << "the last of four partitions";
  EXPECT_EQ(scene_.store().actor(), actor);
  EXPECT_FALSE(scene_.store().scanned());
}

TEST(TreeCheckpointBytes, AreRefusedWhereverTheyAreChangedOrCut) {
  model::DigestTree tree{model::TokenRange{}};
  tree.change(model::Token{77}, {}, {{1, 2}, 1, 0});
  model::Sketch sketch(kCells);
  sketch.change(model::Token{77}, {}, {1, 2});
  const std::string bytes = encode_tree_checkpoint({tree, sketch}, 9);
  const auto read = decode_tree_checkpoint(bytes, {}, kCells, 9);
  ASSERT_TRUE(ok(read));
  EXPECT_EQ(read->sketch, sketch);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] ^= 0x10;
    EXPECT_TRUE(absl::IsDataLoss(decode_tree_checkpoint(changed, {}, kCells, 9).status())) << i;
    EXPECT_TRUE(
        absl::IsDataLoss(decode_tree_checkpoint(bytes.substr(0, i), {}, kCells, 9).status()))
        << i;
  }
}

TEST(TreeCheckpointBytes, OfAnotherJournalSequenceAreRefused) {
  const std::string bytes = encode_tree_checkpoint(
      {model::DigestTree{model::TokenRange{}}, model::Sketch(kCells)}, 9);
  EXPECT_TRUE(absl::IsFailedPrecondition(decode_tree_checkpoint(bytes, {}, kCells, 10).status()));
}

}  // namespace
}  // namespace grapevine::storage
