// Goal: where few keys differ one or two questions make a pair equal, without the states of any partition;
// nothing is taken but what brings a missing dot; whatever else is between two replicas the rest of the
// exchange finds. Method: exchanges between two replicas on maps; answers made up by hand.
#include "gossip/comparison.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/gossip/conversation.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {
namespace {

class ComparisonTest : public ::testing::Test {
 protected:
  void share(std::size_t keys) {
    for (std::size_t i = 0; i < keys; ++i) {
      const KeyedEntry written = b_.put(fmt::format("shared {}", i), "v");
      ASSERT_TRUE(a_.merge(a_.partition_of(written.key), {written}).ok());
    }
    forget_all();
  }
  // No log helps.
  void forget_all() {
    Random random(1);
    for (FakeReplica* replica : {&a_, &b_}) {
      replica->settle();
      replica->evict(random, 1);
    }
  }
  bool same() {
    for (FakeReplica* replica : {&a_, &b_}) replica->strip_all();
    for (const PartitionId id : a_.partitions()) {
      if (a_.partition(id).stored != b_.partition(id).stored) return false;
      if (a_.partition(id).clock != b_.partition(id).clock) return false;
    }
    return true;
  }
  CompareReply answer_of(const FakeReplica& replica, const CompareRequest& request) {
    const auto judged = judge(replica, replica.partitions(), request, {});
    EXPECT_TRUE(judged.ok()) << judged.status();
    auto reply = answer(replica, replica.partitions(), *judged, {});
    EXPECT_TRUE(reply.ok()) << reply.status();
    return *std::move(reply);
  }

  FakeReplica a_{NodeId{1}, 4};
  FakeReplica b_{NodeId{2}, 4};
};

TEST_F(ComparisonTest, AnEqualPairCostsOneQuestion) {
  share(50);
  Conversation idle(a_, b_);
  idle.run();
  EXPECT_TRUE(idle.report().proven_equal);
  EXPECT_EQ(idle.asked_in_all(), 1U);
  EXPECT_FALSE(idle.report().progress());
}

TEST_F(ComparisonTest, AKeyThatIsMissingHereComesWithTheFirstAnswerAndProvesThePair) {
  share(50);
  b_.put("shared 7", "other");
  forget_all();
  Conversation one(a_, b_);
  one.run();
  EXPECT_EQ(one.asked_in_all(), 1U);
  EXPECT_EQ(one.report().keys_pulled, 1U);
  EXPECT_EQ(one.report().comparisons, 1U);
  EXPECT_TRUE(one.report().proven_equal);
  EXPECT_EQ(a_.values("shared 7"), std::vector<std::string>{"other"});
  EXPECT_TRUE(same());
}

TEST_F(ComparisonTest, AKeyThatIsMissingThereThePeerAsksForByItsSlot) {
  share(50);
  a_.put("new", "1");
  forget_all();
  Conversation one(a_, b_);
  one.run();
  EXPECT_EQ(one.asked_in_all(), 1U);
  EXPECT_FALSE(one.report().proven_equal);
  auto hint = one.take_hint();
  ASSERT_TRUE(hint.has_value());
  EXPECT_EQ(hint->slots.size(), 1U);
  Conversation back(b_, a_, *hint);
  back.run();
  EXPECT_EQ(back.asked_in_all(), 1U);
  EXPECT_TRUE(back.report().proven_equal);
  EXPECT_TRUE(same());
}

TEST_F(ComparisonTest, SeveralTakeTwoQuestionsWhoeverBegins) {
  for (const bool lacking_begins : {true, false}) {
    share(200);
    for (int i = 0; i < 20; ++i) b_.put(fmt::format("shared {}", 7 * i), "other");
    forget_all();
    std::optional<Conversation> begun;
    begun.emplace(lacking_begins ? a_ : b_, lacking_begins ? b_ : a_);
    begun->run();
    if (auto hint = begun->take_hint()) {
      EXPECT_FALSE(lacking_begins);
      EXPECT_EQ(begun->asked_in_all(), 1U);
      begun.emplace(a_, b_, *hint);
      begun->run();
    }
    EXPECT_LE(begun->asked<CompareRequest>(), 3U);
    EXPECT_EQ(begun->asked<StatesRequest>(), 0U);
    EXPECT_EQ(begun->report().keys_pulled, 20U);
    EXPECT_TRUE(begun->report().proven_equal);
    EXPECT_TRUE(same());
  }
}

TEST_F(ComparisonTest, WhatTheEntriesDoNotTellTheStatesDo) {
  share(50);
  for (int i = 0; i < 9; ++i) b_.put("shared 7", fmt::format("{}", i));  // dots that nothing holds
  b_.remove("shared 8");
  b_.put("new", "1");
  forget_all();
  Conversation rest(a_, b_);
  rest.run();
  EXPECT_GE(rest.asked<CompareRequest>(), 1U);
  EXPECT_EQ(rest.asked<StatesRequest>(), 1U);
  EXPECT_GT(rest.report().clocks_adopted, 0U);
  EXPECT_TRUE(same());
}

TEST_F(ComparisonTest, MuchIsLeftToTheStatesAtOnce) {
  share(200);
  for (int i = 0; i < 150; ++i) b_.put(fmt::format("shared {}", i), "other");
  b_.settle();
  Conversation much(a_, b_);
  much.run();
  EXPECT_EQ(much.asked<CompareRequest>(), 1U);
  EXPECT_EQ(much.asked<SummaryRequest>(), 0U) << "the fingerprints came with the answer";
  EXPECT_EQ(much.report().delta_pulls, 4U);
  EXPECT_TRUE(same());
}

TEST_F(ComparisonTest, BothSidesGetWhatTheyLack) {
  share(100);
  for (int i = 0; i < 4; ++i) a_.put(fmt::format("shared {}", i), "of a");
  for (int i = 2; i < 7; ++i) b_.put(fmt::format("shared {}", i), "of b");
  forget_all();
  for (int round = 0; round < 3; ++round) push_pull(a_, b_);
  EXPECT_TRUE(same());
  EXPECT_EQ(a_.values("shared 0"), std::vector<std::string>{"of a"});
  EXPECT_EQ(a_.values("shared 3").size(), 2U);
}

TEST_F(ComparisonTest, YoungKeysAreLeftToTheirReplication) {
  share(3);
  b_.put("k", "young");
  Conversation early(a_, b_);
  early.run();
  EXPECT_GE(early.report().in_flight, 1U);
  EXPECT_EQ(early.report().keys_pulled, 0U);
  EXPECT_FALSE(early.report().progress());
  EXPECT_TRUE(a_.values("k").empty());
}

// What one has lost under equal clocks the join would delete at the other, too.
TEST_F(ComparisonTest, DamageDoesNotSpreadThoughOtherKeysAreTaken) {
  share(50);
  std::size_t other = 0;
  while (b_.partition_of(fmt::format("new {}", other)) == b_.partition_of("shared 2")) ++other;
  b_.put(fmt::format("new {}", other), "1");
  forget_all();
  b_.rot("shared 2");
  Conversation exchange(a_, b_);
  exchange.run();
  EXPECT_EQ(a_.values(fmt::format("new {}", other)).size(), 1U);
  EXPECT_EQ(a_.values("shared 2").size(), 1U);
  EXPECT_EQ(exchange.report().differences.size(), 1U);
  EXPECT_FALSE(exchange.report().proven_equal);
}

TEST_F(ComparisonTest, WhatAnAnswerHasNoRoomForIsAskedForAgain) {
  share(100);
  for (int i = 0; i < 10; ++i) b_.put(fmt::format("shared {}", i), std::string(100, 'v'));
  forget_all();
  ConversationOptions options;
  options.limits.reply_bytes_max = 500;
  Conversation cut(a_, b_, options);
  cut.run();
  EXPECT_GT(cut.asked<CompareRequest>(), 3U);
  EXPECT_EQ(cut.asked<StatesRequest>(), 0U);
  EXPECT_EQ(cut.report().keys_pulled, 10U);
  EXPECT_TRUE(cut.report().proven_equal);
}

TEST_F(ComparisonTest, WhileAnotherPullsTheSameEachPartitionIsLookedAtByItself) {
  share(100);
  for (int i = 0; i < 10; ++i) b_.put(fmt::format("shared {}", i), "other");
  forget_all();
  ConversationOptions options;
  options.exchange.may_pull = [](PartitionId partition) { return partition.value != 2; };
  Conversation busy(a_, b_, options);
  busy.run();
  EXPECT_EQ(busy.asked<CompareRequest>(), 1U);
  EXPECT_EQ(busy.asked<StatesRequest>(), 1U);
  EXPECT_EQ(busy.report().put_off, 1U);
}

// As a node asks: its own exchange is among those that might pull.
TEST_F(ComparisonTest, AnExchangeIsNotInItsOwnWay) {
  share(200);
  for (int i = 0; i < 20; ++i) b_.put(fmt::format("shared {}", 7 * i), "other");
  forget_all();
  std::optional<Exchange> exchange;
  ExchangeOptions options;
  options.may_pull = [&](PartitionId partition) {
    return !exchange.has_value() || !exchange->pulls(partition);
  };
  exchange.emplace(a_, a_.partitions(), options);
  int questions = 0;
  while (!exchange->done()) {
    const auto output = exchange->take_output();
    ASSERT_EQ(output.requests.size(), 1U);
    const auto* const request = std::get_if<CompareRequest>(&output.requests[0].body);
    ASSERT_NE(request, nullptr);
    EXPECT_EQ(exchange->pulls(PartitionId{2}), ++questions > 1);
    exchange->on_reply(output.requests[0].number, answer_of(b_, *request));
  }
  EXPECT_TRUE(exchange->report().proven_equal);
  EXPECT_FALSE(exchange->pulls(PartitionId{2}));
}

TEST_F(ComparisonTest, AnEntryThatBringsNoMissingDotIsNotTaken) {
  share(5);
  b_.put("k", "v");
  Comparison comparison(a_, a_.partitions(), {});
  ASSERT_TRUE(comparison.take_request().has_value());
  CompareReply reply;
  reply.verdict = CompareVerdict::kEntries;
  KeyedEntry known{"shared 2", {}, {}};  // as if the peer had deleted it
  model::fill(known.entry, b_.partition(b_.partition_of("shared 2")).clock);
  reply.entries = {known};
  comparison.on_reply(reply);
  EXPECT_TRUE(comparison.done());
  EXPECT_EQ(comparison.outcome().keys_pulled, 0U);
  EXPECT_EQ(a_.values("shared 2").size(), 1U);
}

TEST_F(ComparisonTest, KeysOfOtherPartitionsAndVerdictsOfTheFutureEndIt) {
  share(5);
  b_.put("k", "v");
  const PartitionId of_k = b_.partition_of("k");
  std::vector<PartitionId> others;
  for (const PartitionId id : a_.partitions()) {
    if (id != of_k) others.push_back(id);
  }
  CompareReply reply;
  reply.verdict = CompareVerdict::kEntries;
  reply.entries = {{"k", b_.load("k"), {}}};
  CompareReply later;
  later.verdict = static_cast<CompareVerdict>(99);
  for (const CompareReply& answer : {reply, later}) {
    Comparison comparison(a_, others, {});
    comparison.on_reply(answer);
    EXPECT_TRUE(comparison.done());
    EXPECT_TRUE(absl::IsInvalidArgument(comparison.outcome().status));
    EXPECT_TRUE(a_.values("k").empty());
  }
}

TEST_F(ComparisonTest, APeerThatCannotCompareIsAskedAsBefore) {
  share(5);
  b_.put("k", "v");
  Exchange exchange(a_, a_.partitions(), {});
  auto output = exchange.take_output();
  ASSERT_EQ(output.requests.size(), 1U);
  exchange.on_failure(output.requests[0].number, absl::UnimplementedError("an older version"));
  output = exchange.take_output();
  ASSERT_EQ(output.requests.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<SummaryRequest>(output.requests[0].body));
  exchange.on_failure(output.requests[0].number, absl::UnavailableError("gone"));
  EXPECT_TRUE(exchange.done());
}

TEST_F(ComparisonTest, APeerThatIsGoneEndsTheExchange) {
  share(5);
  Conversation lost(a_, b_);
  lost.lose(0);
  EXPECT_TRUE(lost.done());
  EXPECT_TRUE(absl::IsUnavailable(lost.report().status));
}

TEST_F(ComparisonTest, AQuestionOutOfOrderOrOverALimitIsRefused) {
  share(5);
  b_.put("k", "v");
  CompareRequest request;
  request.slots = {7, 3};
  EXPECT_TRUE(absl::IsInvalidArgument(judge(b_, b_.partitions(), request, {}).status()));
  request.slots = {};
  EXPECT_TRUE(absl::IsInvalidArgument(judge(b_, b_.partitions(), request, {}).status()))
      << "neither cells nor slots";
  request.cells.resize(FakePartition::kSketchCells + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(judge(b_, b_.partitions(), request, {}).status()));
}

RC_GTEST_FIXTURE_PROP(ComparisonTest, CellsThatNobodyMadeCostAnAnswerAndNoMore, ()) {
  share(20);
  b_.put("k", "v");
  CompareRequest request;
  request.dots = *rc::gen::inRange<std::uint64_t>(0, 50);
  const auto number = rc::gen::inRange<std::uint32_t>(0, 4'000'000'000);
  const auto count = *rc::gen::inRange<std::size_t>(1, FakePartition::kSketchCells);
  for (std::size_t i = 0; i < count; ++i) request.cells.push_back({*number, *number, *number});
  const CompareReply reply = answer_of(b_, request);
  RC_ASSERT(reply.verdict != CompareVerdict::kEqual);
}

RC_GTEST_FIXTURE_PROP(ComparisonTest, WhateverDiffersAFewRoundsMakeThePairEqual, ()) {
  share(30);
  const auto changes = *rc::gen::inRange(0, 30);
  for (int i = 0; i < changes; ++i) {
    FakeReplica& at = *rc::gen::arbitrary<bool>() ? a_ : b_;
    const std::string key = fmt::format("shared {}", *rc::gen::inRange(0, 40));
    if (*rc::gen::inRange(0, 4) == 0) {
      at.remove(key);
    } else {
      at.put(key, fmt::format("{}", i));
    }
  }
  if (*rc::gen::arbitrary<bool>()) forget_all();
  a_.settle();
  b_.settle();
  int rounds = 0;
  while (!push_pull(rounds % 2 == 0 ? a_ : b_, rounds % 2 == 0 ? b_ : a_).proven_equal) {
    ++rounds;
    RC_ASSERT(rounds < 6);
  }
  RC_ASSERT(same());
}

}  // namespace
}  // namespace grapevine::gossip
