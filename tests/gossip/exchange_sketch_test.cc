// Goal: where the log does not reach, one sketch brings what differs, and whatever is wrong with it a
// descent does without.
#include "gossip/exchange.h"

#include "gossip/partition_states.h"
#include "tests/gossip/two_replicas.h"

namespace grapevine::gossip {
namespace {

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

}  // namespace
}  // namespace grapevine::gossip
