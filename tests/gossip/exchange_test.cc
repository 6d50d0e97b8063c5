// Goal: an exchange costs what the path that it must take costs, tells the truth of what it did,
// and survives anything that a peer says or does not say.
#include "gossip/exchange.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gossip/partition_states.h"
#include "tests/gossip/conversation.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {
namespace {

// Without the comparison before (comparison_test.cc), which leaves little to do.
ConversationOptions stepwise() {
  ConversationOptions options;
  options.exchange.compares = false;
  return options;
}

class TwoReplicas : public ::testing::Test {
 protected:
  // Both hold what `b` wrote, from the beginning.
  void share(std::size_t keys) {
    for (std::size_t i = 0; i < keys; ++i) {
      const KeyedEntry written = b_.put(fmt::format("shared {}", i), "v");
      ASSERT_TRUE(a_.merge(a_.partition_of(written.key), {written}).ok());
    }
    settle();
  }
  void settle() {
    a_.settle();
    b_.settle();
  }
  void forget_logs() {
    Random random(1);
    a_.evict(random, 1);
    b_.evict(random, 1);
  }
  static ConversationOptions by_descent() {
    ConversationOptions options = stepwise();
    options.exchange.pull.sketches = false;
    return options;
  }
  // After upkeep: an entry may wait to be stripped.
  bool same() {
    a_.strip_all();
    b_.strip_all();
    for (const PartitionId id : a_.partitions()) {
      if (a_.partition(id).stored != b_.partition(id).stored) return false;
      if (a_.partition(id).clock != b_.partition(id).clock) return false;
    }
    return true;
  }

  FakeReplica a_{NodeId{1}, 4};
  FakeReplica b_{NodeId{2}, 4};
};

// ---- which partitions ----

TEST_F(TwoReplicas, APartitionThatMayNotBePulledNowIsLeftForTheNextRound) {
  share(50);
  for (int i = 0; i < 20; ++i) b_.put(fmt::format("k{}", i), "1");
  settle();
  ConversationOptions options = stepwise();
  options.exchange.may_pull = [](PartitionId partition) { return partition.value != 2; };
  Conversation first(a_, b_, options);
  first.run();
  EXPECT_EQ(first.report().put_off, 1U);
  EXPECT_GT(first.report().keys_pulled, 0U);
  EXPECT_NE(a_.partition(PartitionId{2}).clock, b_.partition(PartitionId{2}).clock);
  EXPECT_EQ(a_.partition(PartitionId{1}).clock, b_.partition(PartitionId{1}).clock);
  Conversation second(a_, b_, stepwise());
  second.run();
  EXPECT_TRUE(same());
}

// ---- what each path costs ----

TEST_F(TwoReplicas, AnEqualPairCostsOneSummaryWhateverItHolds) {
  share(50);
  Conversation idle(a_, b_, stepwise());
  idle.run();
  EXPECT_TRUE(idle.done());
  EXPECT_TRUE(idle.report().proven_equal);
  EXPECT_EQ(idle.asked<SummaryRequest>(), 1U);
  EXPECT_EQ(idle.asked_in_all(), 1U);
  EXPECT_FALSE(idle.report().progress());
}

TEST_F(TwoReplicas, WhereTheLogReachesADeltaPullsExactlyWhatIsMissing) {
  share(50);
  b_.put("k", "1");
  b_.remove("shared 7");
  settle();
  Conversation delta(a_, b_, stepwise());
  delta.run();
  EXPECT_EQ(delta.report().keys_pulled, 2U);
  EXPECT_EQ(delta.report().digest_pulls, 0U);
  EXPECT_EQ(delta.asked<OpenViewRequest>(), 0U);
  EXPECT_LE(delta.asked_in_all(), 4U);  // summary, states, a delta for each partition
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, WhereTheLogDoesNotReachADigestPullsWhatDiffersAndAdoptsTheClock) {
  share(50);
  b_.put("k", "1");
  b_.remove("shared 7");
  settle();
  forget_logs();
  Conversation digest(a_, b_, by_descent());
  digest.run();
  EXPECT_EQ(digest.report().digest_pulls, digest.asked<OpenViewRequest>());
  EXPECT_EQ(digest.report().clocks_adopted, digest.report().digest_pulls);
  EXPECT_LE(digest.report().keys_pulled, 2U);
  EXPECT_EQ(digest.views_open(), 0U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, WhereTheLogDoesNotReachOneSketchOfAllPartitionsPullsWhatDiffers) {
  share(200);
  for (int i = 0; i < 20; ++i) b_.put(fmt::format("shared {}", 7 * i), "other");
  for (int i = 0; i < 4; ++i) b_.remove(fmt::format("shared {}", 7 * i + 1));
  b_.put("new", "1");
  settle();
  forget_logs();
  Conversation sketch(a_, b_, stepwise());
  sketch.run();
  EXPECT_EQ(sketch.asked_in_all(), 3U) << "summary, states, sketch";
  EXPECT_EQ(sketch.asked<SketchRequest>(), 1U);
  EXPECT_EQ(sketch.report().sketch_pulls, 4U);
  EXPECT_EQ(sketch.report().digest_pulls, 4U);
  EXPECT_EQ(sketch.report().clocks_adopted, 4U);
  EXPECT_EQ(sketch.report().keys_pulled, 25U);
  EXPECT_TRUE(same());
}

// One key was written a thousand times: that is one difference.
TEST_F(TwoReplicas, ASketchIsAsLargeAsTheDifferenceNotAsTheNumberOfWrites) {
  share(200);
  for (int i = 0; i < 1000; ++i) b_.put("shared 7", fmt::format("{}", i));
  b_.put("shared 8", "other");
  settle();
  forget_logs();
  Exchange exchange(a_, a_.partitions(), stepwise().exchange);
  const auto only = [&] {
    auto output = exchange.take_output();
    EXPECT_EQ(output.requests.size(), 1U);
    return std::move(output.requests.at(0));
  };
  auto summary = only();
  exchange.on_reply(summary.number,
                    answer(b_, b_.partitions(), std::get<SummaryRequest>(summary.body)));
  auto states = only();
  exchange.on_reply(states.number,
                    answer(b_, b_.partitions(), std::get<StatesRequest>(states.body)));
  std::size_t cells = 0;
  for (const auto& request : exchange.take_output().requests) {
    cells += std::get<SketchRequest>(request.body).cells.size();
  }
  EXPECT_LT(cells, 100U);
}

TEST_F(TwoReplicas, MoreThanOneSketchCanShowIsSharedOutAmongSeveralOrFoundByDescent) {
  share(400);
  for (int i = 0; i < 400; ++i) b_.put(fmt::format("shared {}", i), "other");
  settle();
  forget_logs();
  ConversationOptions options = stepwise();
  Conversation many(a_, b_, options);
  many.run();
  EXPECT_EQ(many.report().keys_pulled, 400U);
  EXPECT_GT(many.asked<OpenViewRequest>(), 0U) << "64 cells cannot show a hundred keys";
  EXPECT_TRUE(same());
  for (int i = 0; i < 120; ++i) b_.put(fmt::format("shared {}", i), "more");
  settle();
  forget_logs();
  Conversation some(a_, b_, options);
  some.run();
  EXPECT_EQ(some.report().keys_pulled, 120U);
  EXPECT_EQ(some.report().sketch_pulls, 4U);
  EXPECT_GE(some.asked<SketchRequest>(), 4U);
  EXPECT_EQ(some.asked<OpenViewRequest>(), 0U);
  EXPECT_TRUE(same());
}

// One byte in 256 is the same by chance, and may make the guess ten times too low.
TEST_F(TwoReplicas, AGuessThatIsMuchTooLowCostsOneSketchAndNotOneForEachStepOfHalving) {
  share(400);
  for (int i = 0; i < 100; ++i) b_.put(fmt::format("shared {}", i), "other");
  settle();
  forget_logs();
  Exchange exchange(a_, a_.partitions(), stepwise().exchange);
  std::size_t sketches = 0;
  while (!exchange.done()) {
    for (auto& request : exchange.take_output().requests) {
      ExchangeReply reply;
      if (const auto* summary = std::get_if<SummaryRequest>(&request.body)) {
        reply = answer(b_, b_.partitions(), *summary);
      } else if (const auto* states = std::get_if<StatesRequest>(&request.body)) {
        StatesReply told = answer(b_, b_.partitions(), *states);
        told.slots = 5;
        reply = std::move(told);
      } else {
        ++sketches;
        const auto* const sketch = std::get_if<SketchRequest>(&request.body);
        ASSERT_NE(sketch, nullptr) << "no descent";
        reply = *answer(b_, *sketch, ResponderLimits{});
      }
      exchange.on_reply(request.number, std::move(reply));
    }
  }
  EXPECT_EQ(sketches, 2U + 4U) << "all with too few cells, all with all cells, each by itself";
  EXPECT_EQ(exchange.report().keys_pulled, 100U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, WhatAReplyHasNoRoomForIsAskedForAgain) {
  share(100);
  for (int i = 0; i < 20; ++i) b_.put(fmt::format("shared {}", i), std::string(100, 'v'));
  settle();
  forget_logs();
  ConversationOptions options = stepwise();
  options.limits.reply_bytes_max = 1000;
  Conversation cut(a_, b_, options);
  cut.run();
  EXPECT_GT(cut.asked<SketchRequest>(), 2U);
  EXPECT_EQ(cut.report().keys_pulled, 20U);
  EXPECT_EQ(cut.report().clocks_adopted, cut.report().sketch_pulls);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, BothSidesGetWhatTheyLackAndKeepWhatIsConcurrent) {
  share(100);
  for (int i = 0; i < 10; ++i) a_.put(fmt::format("shared {}", i), "of a");
  for (int i = 5; i < 15; ++i) b_.put(fmt::format("shared {}", i), "of b");
  a_.remove("shared 50");
  settle();
  forget_logs();
  push_pull(a_, b_, stepwise());
  push_pull(a_, b_, stepwise());
  EXPECT_TRUE(same());
  EXPECT_EQ(a_.values("shared 0"), std::vector<std::string>{"of a"});
  EXPECT_EQ(a_.values("shared 7").size(), 2U);
  EXPECT_EQ(a_.values("shared 12"), std::vector<std::string>{"of b"});
  EXPECT_TRUE(b_.values("shared 50").empty());
}

// What differs in a slot of many keys is for the descent.
TEST_F(TwoReplicas, KeysOfOneTagAreComparedByDescent) {
  share(50);
  for (int i = 0; i < 30; ++i) b_.put(fmt::format("{{tag}}{}", i), "1");
  Conversation first(a_, b_, stepwise());
  settle();
  first.run();
  b_.put("{tag}7", "2");
  b_.put("shared 3", "2");
  settle();
  forget_logs();
  Conversation second(a_, b_, stepwise());
  second.run();
  EXPECT_EQ(second.asked<OpenViewRequest>(), 1U);
  EXPECT_GE(second.asked<SketchRequest>(), 1U);
  EXPECT_EQ(a_.values("{tag}7"), std::vector<std::string>{"2"});
  EXPECT_TRUE(same());
}

// A clock is adopted only with all that it knows: if one of two differences had not shown, the keys
// merged would not make up for the roots.
TEST_F(TwoReplicas, NoClockIsAdoptedWhereThisReplicaChangedMeanwhileOrAPeerKeptSomethingBack) {
  for (const bool lies : {false, true}) {
    FakeReplica a(NodeId{1});
    FakeReplica b(NodeId{2});
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(a.merge(PartitionId{0}, {b.put(fmt::format("shared {}", i), "v")}).ok());
    }
    b.put("shared 1", "superseded");  // only b's clock knows of it
    b.put("shared 1", "other");
    b.put("shared 2", "other");
    Random random(1);
    b.evict(random, 1);
    SketchPull pull(a, {state_of(b, PartitionId{0})}, 2);
    auto requests = pull.take_requests();
    ASSERT_EQ(requests.size(), 1U);
    auto reply = answer(b, std::get<SketchRequest>(requests[0].body), {});
    ASSERT_TRUE(reply.ok());
    ASSERT_EQ(reply->entries.size(), 2U);
    if (lies) {
      reply->entries.pop_back();
    } else {
      a.put("shared 9", "meanwhile");
    }
    pull.on_reply(requests[0].number, *std::move(reply));
    EXPECT_TRUE(pull.done());
    EXPECT_TRUE(pull.outcome().status.ok());
    EXPECT_EQ(pull.outcome().keys_pulled, lies ? 1U : 2U);
    EXPECT_TRUE(pull.outcome().adopted.empty());
    EXPECT_FALSE(a.partition(PartitionId{0}).clock.covers(b.partition(PartitionId{0}).clock));
  }
}

TEST_F(TwoReplicas, WhateverIsWrongWithASketchADescentDoesWithout) {
  share(50);
  b_.put("shared 3", "2");
  settle();
  forget_logs();
  Exchange exchange(a_, a_.partitions(), stepwise().exchange);
  for (int i = 0; i < 2; ++i) {
    auto output = exchange.take_output();
    ASSERT_EQ(output.requests.size(), 1U);
    const auto& request = output.requests[0];
    if (const auto* summary = std::get_if<SummaryRequest>(&request.body)) {
      exchange.on_reply(request.number, answer(b_, b_.partitions(), *summary));
    } else {
      exchange.on_reply(request.number,
                        answer(b_, b_.partitions(), std::get<StatesRequest>(request.body)));
    }
  }
  auto output = exchange.take_output();
  ASSERT_TRUE(std::holds_alternative<SketchRequest>(output.requests.at(0).body));
  exchange.on_failure(output.requests[0].number, absl::UnimplementedError("an older version"));
  output = exchange.take_output();
  ASSERT_EQ(output.requests.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<OpenViewRequest>(output.requests[0].body));
  EXPECT_FALSE(exchange.done());
}

TEST_F(TwoReplicas, EqualRootsAdoptTheClockWithoutAnEntry) {
  share(10);
  b_.put("k", "1");
  b_.remove("k");  // nothing is left of it but the clock
  settle();
  forget_logs();
  Conversation adopting(a_, b_, stepwise());
  adopting.run();
  EXPECT_EQ(adopting.report().equal_roots, 1U);
  EXPECT_EQ(adopting.report().clocks_adopted, 1U);
  EXPECT_EQ(adopting.report().keys_pulled, 0U);
  EXPECT_EQ(adopting.asked<PullRequest>(), 0U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, ANewReplicaStreamsEverythingInSeveralReplies) {
  for (std::size_t i = 0; i < 500; ++i) b_.put(fmt::format("key {}", i), std::string(100, 'v'));
  settle();
  forget_logs();
  ConversationOptions options = stepwise();
  options.limits.reply_bytes_max = 4000;
  Conversation fill(a_, b_, options);
  fill.run();
  EXPECT_EQ(fill.report().keys_pulled, 500U);
  EXPECT_EQ(fill.asked<SplitRequest>(), 0U);
  EXPECT_GE(fill.asked<PullRequest>(), 20U);
  EXPECT_LE(fill.asked<PullRequest>(), 60U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, OneDifferenceInALargePartitionIsFoundByDescent) {
  share(3000);
  a_.deepen_tree();
  b_.deepen_tree();
  b_.put("shared 5", "other");
  settle();
  forget_logs();
  Conversation digest(a_, b_, by_descent());
  digest.run();
  EXPECT_LE(digest.asked<SplitRequest>(), 2U);
  EXPECT_EQ(digest.asked<PullRequest>(), 1U);
  EXPECT_EQ(digest.report().keys_pulled, 1U);
}

TEST_F(TwoReplicas, YoungDotsAreLeftToTheirReplication) {
  share(3);
  b_.put("k", "young");
  Conversation early(a_, b_, stepwise());
  early.run();
  EXPECT_EQ(early.report().in_flight, 1U);
  EXPECT_EQ(early.report().keys_pulled, 0U);
  EXPECT_TRUE(a_.values("k").empty());
  EXPECT_FALSE(early.report().progress());
  settle();
  push_pull(a_, b_, stepwise());
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, OneExchangePushesAndPulls) {
  share(3);
  a_.put("of a", "1");
  b_.put("of b", "2");
  settle();
  EXPECT_FALSE(push_pull(a_, b_, stepwise()).proven_equal);
  EXPECT_TRUE(same());
  EXPECT_TRUE(push_pull(b_, a_, stepwise()).proven_equal);
}

TEST_F(TwoReplicas, NoMorePartitionsThanAllowedArePulledAtOnce) {
  for (std::size_t i = 0; i < 100; ++i) b_.put(fmt::format("key {}", i), "v");
  settle();
  ConversationOptions options = stepwise();
  options.exchange.partitions_at_once = 2;
  Conversation pulling(a_, b_, options);
  std::size_t most = 0;
  while (pulling.under_way() > 0) {
    most = std::max(most, pulling.under_way());
    pulling.move(0);
  }
  EXPECT_EQ(most, 2U);
  EXPECT_EQ(pulling.report().delta_pulls, 4U);
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, AViewIsLetGoAsSoonAsItsPullIsOver) {
  for (std::size_t i = 0; i < 100; ++i) b_.put(fmt::format("key {}", i), "v");
  settle();
  forget_logs();
  ConversationOptions options = stepwise();
  options.exchange.partitions_at_once = 1;
  Conversation pulling(a_, b_, options);
  while (pulling.under_way() > 0) {
    pulling.move(0);
    EXPECT_LE(pulling.views_open(), 1U);
  }
  EXPECT_EQ(pulling.report().digest_pulls, 4U);
}

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

// ---- a peer that goes, or lies ----

TEST_F(TwoReplicas, APeerLostMidWayLeavesWhatWasMergedAndAdoptsNoClock) {
  for (std::size_t i = 0; i < 40; ++i) b_.put(fmt::format("{{tag}}{}", i), std::string(100, 'v'));
  settle();
  forget_logs();
  ConversationOptions options = stepwise();
  options.limits.reply_bytes_max = 1000;
  Conversation cut(a_, b_, options);
  while (cut.asked<PullRequest>() < 3) cut.move(0);
  cut.break_off();
  EXPECT_TRUE(cut.done());
  EXPECT_FALSE(cut.report().status.ok());
  EXPECT_GT(cut.report().keys_pulled, 0U);
  EXPECT_EQ(cut.report().clocks_adopted, 0U);
  const PartitionId partition = a_.partition_of("{tag}");
  EXPECT_EQ(a_.partition(partition).stored.size(), cut.report().keys_pulled);
  EXPECT_FALSE(a_.partition(partition).clock.covers(b_.partition(partition).clock));
  Conversation whole(a_, b_, options);
  whole.run();
  EXPECT_TRUE(same());
}

TEST_F(TwoReplicas, AFailedSummaryOrStatesRequestEndsTheExchange) {
  share(2);
  b_.put("k", "v");
  for (const std::size_t before : {0U, 2U}) {
    Conversation lost(a_, b_, stepwise());
    for (std::size_t i = 0; i < before; ++i) lost.move(0);
    lost.lose(0);
    EXPECT_TRUE(lost.done());
    EXPECT_TRUE(absl::IsUnavailable(lost.report().status));
    EXPECT_EQ(lost.under_way(), 0U);
  }
}

TEST_F(TwoReplicas, AFailedPullEndsOnlyThatPull) {
  for (std::size_t i = 0; i < 40; ++i) b_.put(fmt::format("key {}", i), "v");
  settle();
  Conversation exchange(a_, b_, stepwise());
  while (exchange.asked<DeltaRequest>() < 4) exchange.move(0);
  exchange.lose(0);
  exchange.run();
  EXPECT_TRUE(exchange.done());
  EXPECT_TRUE(absl::IsUnavailable(exchange.report().status));
  a_.strip_all();
  std::size_t equal = 0;
  for (const PartitionId id : a_.partitions())
    equal += a_.partition(id).stored == b_.partition(id).stored;
  EXPECT_EQ(equal, 3U);
}

class OneExchange : public TwoReplicas {
 protected:
  Exchange::RequestNumber only_request() {
    const Exchange::Output output = exchange_.take_output();
    EXPECT_EQ(output.requests.size(), 1U);
    return output.requests.front().number;
  }
  SummaryReply unequal() const { return answer(b_, b_.partitions(), SummaryRequest{}); }
  StatesReply states() const {
    StatesReply reply;
    for (const PartitionId id : b_.partitions()) reply.states.push_back(state_of(b_, id));
    return reply;
  }
  void SetUp() override { b_.put("k", "v"); }

  Exchange exchange_{a_, a_.partitions(), stepwise().exchange};
};

TEST_F(OneExchange, AnAnswerOfAnotherKindFailsIt) {
  const auto number = only_request();
  exchange_.on_reply(number, states());
  EXPECT_TRUE(exchange_.done());
  EXPECT_FALSE(exchange_.report().status.ok());
}

TEST_F(OneExchange, AnAnswerThatComesTwiceCountsOnce) {
  const auto summary = only_request();
  exchange_.on_reply(summary, unequal());
  exchange_.on_reply(summary, unequal());
  const auto asked = only_request();
  exchange_.on_reply(asked, states());
  const std::size_t pulls = exchange_.take_output().requests.size();
  EXPECT_EQ(pulls, 1U);
  exchange_.on_reply(asked, states());
  EXPECT_TRUE(exchange_.take_output().requests.empty());
  EXPECT_FALSE(exchange_.done());
}

TEST_F(OneExchange, APartitionThatIsToldTwiceIsPulledOnce) {
  exchange_.on_reply(only_request(), unequal());
  StatesReply doubled = states();
  const StatesReply once = states();
  doubled.states.insert(doubled.states.end(), once.states.begin(), once.states.end());
  exchange_.on_reply(only_request(), doubled);
  EXPECT_EQ(exchange_.take_output().requests.size(), 1U);
}

TEST_F(OneExchange, PartitionsThatWereNotAskedForAreIgnored) {
  SummaryReply lie = unequal();
  lie.fingerprints.push_back({PartitionId{77}, 1});
  exchange_.on_reply(only_request(), lie);
  const auto output = exchange_.take_output();
  ASSERT_EQ(output.requests.size(), 1U);
  EXPECT_EQ(std::get<StatesRequest>(output.requests[0].body).states.size(), 1U);
  StatesReply more = states();
  more.states.push_back({PartitionId{77}, b_.partition(PartitionId{0}).clock, {}});
  exchange_.on_reply(output.requests[0].number, more);
  EXPECT_EQ(exchange_.take_output().requests.size(), 1U);
}

TEST_F(OneExchange, NothingToCompareIsDoneAtOnce) {
  exchange_.on_reply(only_request(), SummaryReply{});
  EXPECT_TRUE(exchange_.done());
  EXPECT_FALSE(exchange_.report().proven_equal);
  EXPECT_TRUE(exchange_.report().status.ok());
  EXPECT_TRUE(Exchange::from_states(a_, {}, 0, {}).done());
}

}  // namespace
}  // namespace grapevine::gossip
