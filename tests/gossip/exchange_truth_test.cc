// Goal: an exchange tells the truth of what it did: what is proven equal, what is damaged, what was
// heard; and nothing that is not true spreads by it.
#include "gossip/exchange.h"

#include <algorithm>

#include "gossip/partition_states.h"
#include "tests/gossip/two_replicas.h"

namespace grapevine::gossip {
namespace {

// ---- what is proven ----

// A delete whose earlier dots nobody holds any more leaves a vector until the gap is closed.
TEST_F(TwoReplicas, APairWithAGapThatNobodyFillsIsProvenEqualAllTheSame) {
  share(3);
  FakeReplica gone(NodeId{3}, 4);
  gone.put("k", "lost with its node");
  const KeyedEntry last = gone.put("k", "kept");
  ASSERT_TRUE(b_.merge(b_.partition_of("k"), {last}).ok());
  b_.remove("k");
  settle();
  push_pull(a_, b_, stepwise());
  ASSERT_FALSE(b_.quiet());
  Conversation again(a_, b_, stepwise());
  again.run();
  EXPECT_TRUE(again.report().proven_equal);
  EXPECT_EQ(again.asked_in_all(), 1U);
}

TEST_F(TwoReplicas, EqualDataUnderOtherClocksIsNoProof) {
  share(3);
  b_.remove("never was");
  settle();
  Conversation first(a_, b_, stepwise());
  first.run();
  EXPECT_FALSE(first.report().proven_equal);
  Conversation second(a_, b_, stepwise());
  second.run();
  EXPECT_TRUE(second.report().proven_equal);
}

// Under equal clocks the join of an entry with a lost one deletes it: pulling would spread the
// damage.
TEST_F(TwoReplicas, DamageIsReportedAndDoesNotSpread) {
  share(5);
  a_.rot("shared 2");
  std::uint64_t both_ways = 0;
  for (const bool from_a : {true, false}) {
    Conversation exchange(from_a ? a_ : b_, from_a ? b_ : a_, stepwise());
    exchange.run();
    ASSERT_EQ(exchange.report().differences.size(), 1U);
    const std::uint64_t difference = exchange.report().differences.begin()->second;
    EXPECT_NE(difference, 0U);
    both_ways += difference;
    EXPECT_FALSE(exchange.report().proven_equal);
    EXPECT_FALSE(exchange.report().progress());  // else it would be begun again at once, for ever
    EXPECT_EQ(b_.values("shared 2").size(), 1U);
  }
  EXPECT_EQ(both_ways, 0U) << "one side's difference is the other's, negated";
}

// A version that only a damaged replica knew to be superseded is live again at two of three: nothing
// but the third's word tells them, and it is taken when what it has adds up.
TEST_F(TwoReplicas, ADifferenceIsSettledByWhoKnowsMore) {
  const KeyedEntry first = a_.put("k", "old");
  const PartitionId partition = a_.partition_of("k");
  ASSERT_TRUE(b_.merge(partition, {first}).ok());
  KeyedEntry second = b_.put("k", "new");
  second.entry.vector = {};
  second.entry.vector.raise(second.events.front());
  ASSERT_TRUE(a_.merge(partition, {second}).ok());
  settle();
  ASSERT_EQ(a_.values("k").size(), 2U);
  ASSERT_EQ(b_.values("k").size(), 1U);
  ASSERT_EQ(a_.partition(partition).clock, b_.partition(partition).clock);

  ConversationOptions options = stepwise();
  options.exchange.settle = [](PartitionId) { return true; };
  Conversation keeps(b_, a_, options);
  keeps.run();
  EXPECT_EQ(keeps.report().settled, 1U);
  EXPECT_EQ(b_.values("k"), std::vector<std::string>{"new"});
  Conversation learns(a_, b_, options);
  learns.run();
  EXPECT_EQ(learns.report().settled, 1U);
  EXPECT_TRUE(learns.report().differences.empty());
  EXPECT_EQ(a_.values("k"), std::vector<std::string>{"new"});
  Conversation after(a_, b_, options);
  after.run();
  EXPECT_TRUE(after.report().proven_equal);
}

TEST_F(TwoReplicas, WhoHasLostAnEntryIsNotBelieved) {
  share(5);
  b_.rot("shared 2");
  ConversationOptions options = stepwise();
  options.exchange.settle = [](PartitionId) { return true; };
  Conversation exchange(a_, b_, options);
  exchange.run();
  EXPECT_TRUE(absl::IsDataLoss(exchange.report().status));
  EXPECT_EQ(exchange.report().settled, 0U);
  EXPECT_EQ(exchange.report().differences.size(), 1U);
  EXPECT_EQ(exchange.asked<OpenViewRequest>(), 0U);
  EXPECT_EQ(a_.values("shared 2").size(), 1U);
}

// ---- closed actors ----

// R8: what one has closed the other adopts as any difference of clocks.
TEST_F(TwoReplicas, AClosedActorCostsOneExchangeAndLeavesNothingUnquiet) {
  share(50);
  // A delete whose predecessor nobody has: a gap, and an entry that is not quiet.
  const ActorId ended = ActorId::of(NodeId{3}, 4);
  KeyedEntry above_gap{"gone", {}, {model::Dot{ended, 2}}};
  above_gap.entry.vector.raise(ended, 2);
  const PartitionId partition = a_.partition_of("gone");
  ASSERT_TRUE(a_.merge(partition, {above_gap}).ok());
  ASSERT_TRUE(b_.merge(partition, {above_gap}).ok());
  ASSERT_TRUE(a_.close_actors(partition, NodeId{3}, 4).ok());
  a_.strip_all();
  EXPECT_TRUE(a_.quiet());
  const ExchangeReport report = push_pull(b_, a_, stepwise());
  EXPECT_EQ(report.equal_roots, 1U);
  EXPECT_EQ(report.clocks_adopted, 1U);
  EXPECT_TRUE(same());
  EXPECT_TRUE(b_.quiet());
  EXPECT_TRUE(push_pull(a_, b_, stepwise()).proven_equal);
}

TEST_F(TwoReplicas, AMarkerAndOtherDataComeByOneDigestPullWithoutADelta) {
  share(50);
  const std::string key = "news";
  const PartitionId partition = a_.partition_of(key);
  a_.put(key, "1");
  ASSERT_TRUE(a_.close_actors(partition, NodeId{3}, 4).ok());
  settle();
  Conversation pull(b_, a_, stepwise());
  pull.run();
  EXPECT_EQ(pull.asked<DeltaRequest>(), 0U);
  EXPECT_EQ(pull.report().digest_pulls, 1U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, TwoThatClosedDifferentEpochsMeetAtTheLater) {
  share(50);
  const PartitionId partition{1};
  ASSERT_TRUE(a_.close_actors(partition, NodeId{3}, 4).ok());
  ASSERT_TRUE(a_.close_actors(partition, NodeId{4}, 2).ok());
  ASSERT_TRUE(b_.close_actors(partition, NodeId{3}, 6).ok());
  push_pull(a_, b_, stepwise());
  EXPECT_TRUE(same());
  EXPECT_TRUE(a_.partition(partition).clock.closed(ActorId::of(NodeId{3}, 6)));
  EXPECT_TRUE(a_.partition(partition).clock.closed(ActorId::of(NodeId{4}, 2)));
  EXPECT_TRUE(push_pull(a_, b_, stepwise()).proven_equal);
}

// What came late to one, of an actor that the other has closed, goes again.
TEST_F(TwoReplicas, ALateWriteOfAClosedActorIsDropped) {
  share(50);
  FakeReplica ended(NodeId{3}, 4);
  const KeyedEntry late = ended.put("late", "1");
  const PartitionId partition = a_.partition_of("late");
  ASSERT_TRUE(a_.close_actors(partition, NodeId{3}, 1).ok());
  ASSERT_TRUE(b_.merge(partition, {late}).ok());
  ASSERT_TRUE(a_.merge(partition, {late}).ok());
  EXPECT_TRUE(a_.values("late").empty());
  settle();
  push_pull(a_, b_, stepwise());
  EXPECT_TRUE(same());
  EXPECT_TRUE(b_.values("late").empty());
}

// ---- all that the peer knows ----

ConversationOptions hearing_all(const std::vector<PartitionId>& of) {
  ConversationOptions options = stepwise();
  options.exchange.hear_all = [of](PartitionId partition) {
    return std::find(of.begin(), of.end(), partition) != of.end();
  };
  return options;
}

TEST_F(TwoReplicas, OfAQuietPeerAllIsHeardWhenItsClockIsCovered) {
  share(50);
  const std::vector<PartitionId> wanted{PartitionId{0}, PartitionId{1}, PartitionId{2}};
  Conversation equal(a_, b_, hearing_all(wanted));
  equal.run();
  EXPECT_TRUE(equal.report().proven_equal);
  EXPECT_EQ(equal.asked_in_all(), 2U);  // the states, too
  EXPECT_EQ(equal.report().heard_all, wanted);
  for (int i = 0; i < 40; ++i) b_.put(fmt::format("k{}", i), "1");
  Conversation young(a_, b_, hearing_all(wanted));
  young.run();
  EXPECT_TRUE(young.report().heard_all.empty());
  settle();
  Conversation settled(a_, b_, hearing_all(wanted));
  settled.run();
  EXPECT_EQ(settled.report().delta_pulls, 4U);
  EXPECT_EQ(settled.report().heard_all.size(), 3U);
  Conversation nobody_asks(a_, b_, stepwise());
  nobody_asks.run();
  EXPECT_TRUE(nobody_asks.report().heard_all.empty());
}

// A vector knows of a delete whose dot is in no clock any more.
TEST_F(TwoReplicas, WhatTheVectorsOfThePeerKnowIsPulledToBeHeard) {
  share(50);
  const PartitionId partition = a_.partition_of("k1");
  KeyedEntry known{"k1", b_.load("k1"), {}};
  known.entry.vector.raise(ActorId::of(NodeId{3}, 1), 5);
  ASSERT_TRUE(b_.merge(partition, {known}).ok());
  EXPECT_FALSE(b_.quiet());
  EXPECT_TRUE(push_pull(a_, b_, stepwise()).proven_equal);
  EXPECT_TRUE(a_.quiet());
  Conversation hears(a_, b_, hearing_all({partition}));
  hears.run();
  EXPECT_EQ(hears.report().equal_roots, 1U);
  EXPECT_EQ(hears.report().keys_pulled, 1U);
  EXPECT_EQ(hears.report().heard_all, std::vector{partition});
  EXPECT_EQ(a_.load("k1").vector, b_.load("k1").vector);
}

TEST_F(TwoReplicas, WhatFailedOrWasPutOffOrIsOlderThanTheExchangeIsNotHeard) {
  share(50);
  for (int i = 0; i < 40; ++i) b_.put(fmt::format("k{}", i), "1");
  settle();
  ConversationOptions options = hearing_all(a_.partitions());
  options.exchange.may_pull = [](PartitionId partition) { return partition.value != 2; };
  a_.merge_status = absl::UnavailableError("no");
  Conversation failed(a_, b_, options);
  failed.run();
  EXPECT_TRUE(failed.report().heard_all.empty());
  a_.merge_status = absl::OkStatus();
  std::vector<PartitionState> states;
  for (const PartitionId id : b_.partitions()) states.push_back(state_of(b_, id));
  Conversation from_states(a_, b_, {states, nullptr}, options);
  from_states.run();
  EXPECT_GT(from_states.report().keys_pulled, 0U);
  EXPECT_TRUE(from_states.report().heard_all.empty());
  Conversation rest(a_, b_, options);
  rest.run();
  EXPECT_EQ(rest.report().heard_all, (std::vector{PartitionId{0}, PartitionId{1}, PartitionId{3}}));
}

}  // namespace
}  // namespace grapevine::gossip
