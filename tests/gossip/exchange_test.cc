// Goal: an exchange costs what the path that it must take costs, and survives anything that a peer
// says or does not say.
#include "gossip/exchange.h"

#include "gossip/partition_states.h"
#include "tests/gossip/two_replicas.h"

namespace grapevine::gossip {
namespace {

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
