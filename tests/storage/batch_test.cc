// Goal: the rules of one write (R1) and of one received entry (R3), and that a batch happens whole
// or not at all. Method: a store in memory with one partition; peers are entries made by hand.
#include "storage/batch.h"

#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

using model::Dot;
using model::KeyedEntry;
using model::VersionVector;
using Strings = std::vector<std::string>;

class BatchTest : public ::testing::Test {
 protected:
  BatchTest() { EXPECT_TRUE(ok(scene_.open())); }

  std::unique_ptr<Batch> begin() {
    auto batch = scene_.store().begin();
    EXPECT_TRUE(ok(batch));
    return *std::move(batch);
  }
  const model::Clock& clock() { return scene_.store().live(PartitionId{0}).clock(); }
  ActorId self() { return scene_.store().actor(); }
  std::uint64_t stored_keys() { return scene_.store().statistics().keys; }
  // As a peer would send a version that has seen nothing but itself.
  KeyedEntry from_peer(std::string_view key, Dot dot, std::string_view value) {
    return {std::string(key), filled_entry({version_of(dot, value)}), {dot}};
  }

  Scene scene_;
  const VersionVector nothing_;
};

TEST_F(BatchTest, AWriteWithoutContextOverwritesWhatTheCoordinatorKnows) {
  scene_.put("k", "1", nothing_);
  scene_.put("k", "2", nothing_);
  scene_.put("k", "3");
  EXPECT_EQ(scene_.values("k"), Strings{"3"});
}

TEST_F(BatchTest, AWriteWithTheEmptyContextSupersedesNothing) {
  scene_.put("k", "1");
  scene_.put("k", "2", nothing_);
  EXPECT_EQ(scene_.values("k"), (Strings{"1", "2"}));
}

TEST_F(BatchTest, AWriteWithAContextSupersedesExactlyWhatItHasSeen) {
  const VersionVector stale = scene_.put("k", "1").seen;
  scene_.put("k", "2");
  scene_.put("k", "3", stale);
  EXPECT_EQ(scene_.values("k"), (Strings{"2", "3"}));
  scene_.put("k", "4", scene_.load("k").vector);
  EXPECT_EQ(scene_.values("k"), Strings{"4"});
}

TEST_F(BatchTest, ADeleteWithAContextLeavesConcurrentVersions) {
  const VersionVector stale = scene_.put("k", "1").seen;
  scene_.put("k", "2", nothing_);
  scene_.remove("k", stale);
  EXPECT_EQ(scene_.values("k"), Strings{"2"});
}

TEST_F(BatchTest, ADeleteLeavesNoEntry) {
  scene_.put("k", "1");
  EXPECT_EQ(stored_keys(), 1U);
  const Dot gone = scene_.remove("k").dot;
  EXPECT_EQ(stored_keys(), 0U);
  EXPECT_TRUE(clock().contains(gone));
  scene_.remove("never written");
  EXPECT_EQ(stored_keys(), 0U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(BatchTest, TheContextThatAWriteReturnsSupersedesThatWrite) {
  const VersionVector first = scene_.put("k", "1", nothing_).seen;
  const VersionVector second = scene_.put("k", "2", first).seen;
  scene_.remove("k", second);
  EXPECT_EQ(scene_.values("k"), Strings{});
}

// A vector that covers this write's dot covers every lower dot of its actor, also one that is a
// live sibling.
TEST_F(BatchTest, TheContextThatAWriteReturnsNeverCoversASiblingThatItHasNotSeen) {
  scene_.put("k", "another writer's", nothing_);
  const VersionVector mine = scene_.put("k", "mine", nothing_).seen;
  scene_.put("k", "mine again", mine);
  const Strings values = scene_.values("k");
  EXPECT_NE(std::find(values.begin(), values.end(), "another writer's"), values.end());
}

TEST_F(BatchTest, TheContextThatARetryReturnsNeverCoversASiblingThatItHasNotSeen) {
  WriteOutcome outcome;
  scene_.commit(write_of("k", "mine", nothing_, 77), &outcome);
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", Dot{actor(5), 1}, "another writer's"))));
  scene_.commit(write_of("k", "mine", nothing_, 77), &outcome);
  scene_.put("k", "mine again", outcome.seen);
  EXPECT_EQ(scene_.values("k"), (Strings{"another writer's", "mine again"}));
}

TEST_F(BatchTest, ARetriedWriteGetsTheSameDotAndIsReplicatedAgain) {
  WriteOutcome first;
  WriteOutcome second;
  scene_.commit(write_of("k", "v", std::nullopt, 77), &first);
  const model::Clock before = clock();
  const Committed committed = scene_.commit(write_of("k", "v", std::nullopt, 77), &second);
  EXPECT_EQ(second.dot, first.dot);
  EXPECT_EQ(second.seen, first.seen);
  EXPECT_EQ(clock(), before);
  ASSERT_EQ(committed.to_replicate.size(), 1U);
  EXPECT_EQ(committed.to_replicate[0].entry.versions[0].value, "v");
  EXPECT_TRUE(committed.to_replicate[0].entry.versions[0].has_value);
  // Whoever knows that the actor has ended must see that this comes of it (R8).
  EXPECT_EQ(committed.to_replicate[0].events, std::vector<Dot>{first.dot});

  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  const Committed later = scene_.commit(write_of("k", "v", std::nullopt, 77), &second);
  EXPECT_EQ(second.dot, first.dot);
  ASSERT_EQ(later.to_replicate.size(), 1U);
  EXPECT_TRUE(later.to_replicate[0].events.empty());
}

TEST_F(BatchTest, WriteIdZeroIsNoId) {
  WriteOutcome first;
  WriteOutcome second;
  scene_.commit(write_of("k", "v"), &first);
  scene_.commit(write_of("k", "v"), &second);
  EXPECT_NE(second.dot, first.dot);
}

TEST_F(BatchTest, AContextThatHasSeenMoreOfThisNodeThanItEverWroteIsRefused) {
  VersionVector forged;
  forged.raise(self(), 1'000);
  auto batch = begin();
  const auto outcome = batch->write(write_of("k", "v", forged));
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(clock().empty());
}

TEST_F(BatchTest, TwoWritesOnOneKeyInOneBatchSeeEachOther) {
  auto batch = begin();
  const auto first = batch->write(write_of("k", "1"));
  const auto second = batch->write(write_of("k", "2", nothing_));
  ASSERT_TRUE(ok(first));
  ASSERT_TRUE(ok(second));
  EXPECT_EQ(second->dot.counter, first->dot.counter + 1);
  const auto committed = scene_.store().commit(std::move(batch));
  ASSERT_TRUE(ok(committed));
  EXPECT_EQ(scene_.values("k"), (Strings{"1", "2"}));
  ASSERT_EQ(committed->to_replicate.size(), 1U);
  EXPECT_EQ(committed->to_replicate[0].events, (std::vector<Dot>{first->dot, second->dot}));
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(BatchTest, AKeyWrittenAndDeletedInOneBatchLeavesOnlyTheClock) {
  auto batch = begin();
  ASSERT_TRUE(ok(batch->write(write_of("k", "1"))));
  ASSERT_TRUE(ok(batch->write(write_of("k", std::nullopt))));
  ASSERT_TRUE(ok(scene_.store().commit(std::move(batch))));
  EXPECT_EQ(stored_keys(), 0U);
  EXPECT_EQ(clock().top(self()), 2U);
}

TEST_F(BatchTest, WhatIsReplicatedIsFilledAndHasItsValues) {
  scene_.put("other", "x");
  scene_.put("k", "1");
  const Committed committed = scene_.commit(write_of("k", "2", nothing_));
  ASSERT_EQ(committed.to_replicate.size(), 1U);
  const KeyedEntry& keyed = committed.to_replicate[0];
  EXPECT_EQ(keyed.key, "k");
  EXPECT_EQ(keyed.events, (std::vector<Dot>{{self(), 3}}));
  EXPECT_EQ(keyed.entry.vector.of(self()), 3U);
  ASSERT_EQ(keyed.entry.versions.size(), 2U);
  EXPECT_EQ(keyed.entry.versions[0].value, "1");
  EXPECT_EQ(keyed.entry.versions[1].value, "2");
}

TEST_F(BatchTest, ADroppedBatchLeavesEverythingAsItWas) {
  scene_.put("k", "1");
  scene_.put("l", "1");
  const auto before = scene_.contents();
  {
    auto batch = begin();
    ASSERT_TRUE(ok(batch->write(write_of("k", "2"))));
    ASSERT_TRUE(ok(batch->write(write_of("l", std::nullopt))));
    ASSERT_TRUE(ok(batch->write(write_of("m", "3"))));
    ASSERT_TRUE(ok(batch->receive(from_peer("k", Dot{actor(5), 9}, "theirs"))));
    EXPECT_FALSE(batch->empty());
  }
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(scene_.trees_are_true());
  {
    auto batch = begin();
    model::Clock theirs;
    theirs.add({actor(5), 1, 20});
    ASSERT_TRUE(ok(batch->adopt(PartitionId{0}, theirs)));
  }
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_EQ(scene_.put("k", "4").dot.counter, 3U);
}

TEST_F(BatchTest, AnEmptyBatchCommits) {
  auto batch = begin();
  EXPECT_TRUE(batch->empty());
  EXPECT_TRUE(ok(scene_.store().commit(std::move(batch))));
}

TEST_F(BatchTest, ReceivedEntriesAreJoined) {
  scene_.put("k", "mine");
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", Dot{actor(5), 1}, "theirs"))));
  EXPECT_EQ(scene_.values("k"), (Strings{"mine", "theirs"}));
  KeyedEntry resolved{"k", filled_entry({version_of(Dot{actor(5), 2}, "both")}), {}};
  resolved.entry.vector.raise(self(), 1);
  ASSERT_TRUE(ok(scene_.receive(resolved)));
  EXPECT_EQ(scene_.values("k"), Strings{"both"});
  EXPECT_TRUE(clock().contains(Dot{actor(5), 1}));
  EXPECT_TRUE(clock().contains(Dot{actor(5), 2}));
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(BatchTest, ReceivingTwiceIsReceivingOnce) {
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", Dot{actor(5), 1}, "theirs"))));
  const auto once = scene_.contents();
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", Dot{actor(5), 1}, "theirs"))));
  EXPECT_EQ(scene_.contents(), once);
}

TEST_F(BatchTest, AReceivedDeleteAboveAGapIsRememberedUntilTheGapCloses) {
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", Dot{actor(5), 1}, "theirs"))));
  const Dot deletes{actor(5), 3};
  ASSERT_TRUE(ok(scene_.receive({"k", filled_entry({}, {deletes}), {deletes}})));
  EXPECT_EQ(scene_.values("k"), Strings{});
  EXPECT_EQ(scene_.store().statistics().unquiet, 1U);
  ASSERT_TRUE(ok(scene_.receive(from_peer("l", Dot{actor(5), 2}, "filler"))));
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().unquiet, 0U);
  EXPECT_EQ(stored_keys(), 1U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(BatchTest, AHeadIsEnoughForAVersionThatIsAlreadyHere) {
  const Dot dot = scene_.put("k", "mine").dot;
  model::Version head = version_of(dot, "mine");
  model::drop_value(head);
  KeyedEntry received{"k", filled_entry({head, version_of({actor(5), 1}, "theirs")}), {}};
  ASSERT_TRUE(ok(scene_.receive(received)));
  EXPECT_EQ(scene_.values("k"), (Strings{"mine", "theirs"}));
}

TEST_F(BatchTest, AHeadOfAVersionThatIsNotHereIsRefused) {
  model::Version head = version_of({actor(5), 1}, "theirs");
  model::drop_value(head);
  const absl::Status status = scene_.receive({"k", filled_entry({head}), {}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(clock().empty());
  EXPECT_EQ(stored_keys(), 0U);
}

TEST_F(BatchTest, AnEntryThatContradictsItselfIsRefused) {
  KeyedEntry uncovered_version = from_peer("k", Dot{actor(5), 4}, "v");
  uncovered_version.entry.vector = {};
  EXPECT_EQ(scene_.receive(uncovered_version).code(), absl::StatusCode::kInvalidArgument);
  KeyedEntry uncovered_event = from_peer("k", Dot{actor(5), 4}, "v");
  uncovered_event.events = {{actor(5), 5}};
  EXPECT_EQ(scene_.receive(uncovered_event).code(), absl::StatusCode::kInvalidArgument);
  KeyedEntry counter_zero = from_peer("k", Dot{actor(5), 0}, "v");
  EXPECT_EQ(scene_.receive(counter_zero).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(clock().empty());
  EXPECT_EQ(stored_keys(), 0U);
}

TEST_F(BatchTest, AForgottenWriteOfOnesOwnIsRefusedUntilTheActorIsRenewed) {
  const ActorId before = self();
  const KeyedEntry remembered = from_peer("k", Dot{before, 9}, "written, then forgotten");
  EXPECT_EQ(scene_.receive(remembered).code(), absl::StatusCode::kFailedPrecondition);
  model::Clock theirs;
  theirs.add({before, 1, 9});
  EXPECT_EQ(scene_.adopt(PartitionId{0}, theirs).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(clock().empty());

  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  EXPECT_EQ(self().node(), before.node());
  EXPECT_EQ(self().epoch(), before.epoch() + 1);
  ASSERT_TRUE(ok(scene_.receive(remembered)));
  ASSERT_TRUE(ok(scene_.adopt(PartitionId{0}, theirs)));
  EXPECT_EQ(scene_.values("k"), Strings{"written, then forgotten"});
  EXPECT_EQ(scene_.put("k", "new").dot, (Dot{self(), 1}));
  EXPECT_EQ(scene_.values("k"), Strings{"new"});
}

TEST_F(BatchTest, AdoptingAClockMakesItOnesOwnForGood) {
  scene_.put("k", "v");
  model::Clock theirs;
  theirs.add({actor(5), 1, 20});
  theirs.add({actor(6), 3, 4});
  ASSERT_TRUE(ok(scene_.adopt(PartitionId{0}, theirs)));
  EXPECT_TRUE(clock().covers(theirs));
  const auto before = scene_.contents();
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
}

// ---- R8 ----

class ClosingBatchTest : public BatchTest {
 protected:
  absl::Status close(NodeId node, std::uint64_t epoch) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, scene_.store().begin());
    GRAPEVINE_RETURN_IF_ERROR(batch->close(PartitionId{0}, node, epoch));
    return scene_.store().commit(std::move(batch)).status();
  }
};

TEST_F(ClosingBatchTest, AClosedActorStaysClosedAndAllItsEntriesBecomeQuiet) {
  const Dot above_gap{actor(9, 1), 3};
  ASSERT_TRUE(ok(scene_.receive({"gone", filled_entry({}, {above_gap}), {above_gap}})));
  ASSERT_TRUE(ok(scene_.receive(from_peer("kept", {actor(9, 2), 5}, "v"))));
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().unquiet, 1U);
  ASSERT_TRUE(ok(close(NodeId{9}, 2)));
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().unquiet, 0U);
  EXPECT_EQ(stored_keys(), 1U);
  EXPECT_EQ(scene_.values("kept"), Strings{"v"});
  const auto before = scene_.contents();
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_TRUE(clock().closed(actor(9, 2)));
  EXPECT_FALSE(clock().closed(actor(9, 3)));
  EXPECT_EQ(clock().actors().size(), 1U);
}

TEST_F(ClosingBatchTest, WhatAClosedActorWroteIsOverwrittenAndDeletedAsEver) {
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", {actor(9), 1}, "old"))));
  ASSERT_TRUE(ok(close(NodeId{9}, 1)));
  scene_.put("k", "new");
  EXPECT_EQ(scene_.values("k"), Strings{"new"});
  scene_.remove("k");
  EXPECT_EQ(stored_keys(), 0U);
}

TEST_F(ClosingBatchTest, ALateWriteOfAClosedActorLeavesNoTrace) {
  ASSERT_TRUE(ok(close(NodeId{9}, 3)));
  scene_.put("k", "mine", nothing_);
  const auto before = scene_.contents();
  for (const std::uint64_t epoch : {1U, 3U}) {
    ASSERT_TRUE(ok(scene_.receive(from_peer("k", {actor(9, epoch), 7}, "late"))));
    ASSERT_TRUE(ok(scene_.receive(from_peer("other", {actor(9, epoch), 8}, "late"))));
  }
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_EQ(scene_.store().live(PartitionId{0}).tree().root().unquiet, 0U);
}

TEST_F(ClosingBatchTest, NobodyClosesTheActorThatThisStoreWritesAs) {
  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  scene_.put("k", "v");
  const auto before = scene_.contents();
  EXPECT_TRUE(absl::IsFailedPrecondition(close(self().node(), self().epoch())));
  model::Clock theirs;
  theirs.close(self().node(), self().epoch() + 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(scene_.adopt(PartitionId{0}, theirs)));
  KeyedEntry entry = from_peer("k", {actor(9), 1}, "w");
  entry.entry.vector.raise(self(), model::kClosed);
  EXPECT_TRUE(absl::IsFailedPrecondition(scene_.receive(entry)));
  EXPECT_EQ(scene_.contents(), before);
  // R7: it goes on under a later epoch.
  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  ASSERT_TRUE(ok(scene_.store().renew_actor()));
  EXPECT_TRUE(ok(scene_.adopt(PartitionId{0}, theirs)));
  EXPECT_EQ(scene_.put("k", "x").dot, (Dot{self(), 1}));
  EXPECT_TRUE(ok(close(self().node(), self().epoch() - 1)));
}

TEST_F(ClosingBatchTest, ABatchThatClosesAndIsDroppedHasNotHappened) {
  ASSERT_TRUE(ok(scene_.receive(from_peer("k", {actor(9), 2}, "v"))));
  const auto before = scene_.contents();
  {
    auto batch = begin();
    ASSERT_TRUE(ok(batch->close(PartitionId{0}, NodeId{9}, 1)));
  }
  EXPECT_EQ(scene_.contents(), before);
  EXPECT_FALSE(clock().closed(actor(9)));
}

TEST_F(BatchTest, TokensAndPartitionsFollowTheHashTag) {
  Scene wide;
  wide.options.partitions = 64;
  ASSERT_TRUE(ok(wide.open()));
  wide.put("{tag}a", "1");
  wide.put("{tag}b", "2");
  const PartitionId partition = wide.store().partitioning().of("tag");
  EXPECT_EQ(wide.store().live(partition).tree().root().keys, 2U);
  EXPECT_EQ(wide.store().tops(wide.store().actor())[partition.value], 2U);
}

}  // namespace
}  // namespace grapevine::storage
