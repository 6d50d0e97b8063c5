// Goal: a request is answered once, whatever happens; operations on one key are done in order; a
// key of other owners is forwarded, once. Method: peers' answers, the disk and time moved by hand;
// see coordinator_desk.h.
#include "server/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr NodeId kD{4};

class CoordinatorTest : public CoordinatorDesk {
 protected:
  void own_nothing() { ring_.owners_of_all = {kB, kC, kD}; }
};

TEST_F(CoordinatorTest, NothingToDoIsDoneAtOnce) {
  const RequestId id = begin(std::vector<Operation>{});
  ASSERT_TRUE(answered(id));
  EXPECT_TRUE(answers(id).empty());
  EXPECT_EQ(coordinator_.next_deadline(), std::nullopt);
}

TEST_F(CoordinatorTest, AMajorityIsMoreThanHalf) {
  EXPECT_EQ(owners_needed(Consistency::kQuorum, 1), 1U);
  EXPECT_EQ(owners_needed(Consistency::kQuorum, 2), 2U);
  EXPECT_EQ(owners_needed(Consistency::kQuorum, 3), 2U);
  EXPECT_EQ(owners_needed(Consistency::kQuorum, 4), 3U);
  EXPECT_EQ(owners_needed(Consistency::kOne, 3), 1U);
  EXPECT_EQ(owners_needed(Consistency::kAll, 3), 3U);
}

// ---- order

TEST_F(CoordinatorTest, AReadWaitsForTheWriteBeforeItAndTheNextWriteForTheRead) {
  ring_.owners_of_all = {store_.node()};
  const RequestId id = begin({put("k", "1"), get("k"), put("k", "2"), get("k")});
  EXPECT_EQ(store_.values("k"), Strings{"1"});
  sync();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"1"});
  EXPECT_EQ(values_of(answers(id)[3]), Strings{"2"});
}

TEST_F(CoordinatorTest, AWriteThatIsNotConfirmedHoldsUpOnlyWhatComesAfterIt) {
  const RequestId id =
      begin({put("k", "1"), get("l", Consistency::kOne), get("k", Consistency::kOne)});
  sync();
  EXPECT_FALSE(answered(id));
  fail(kB);
  fail(kC);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kUnknown);
  EXPECT_EQ(values_of(answers(id)[2]), Strings{"1"});
}

TEST_F(CoordinatorTest, OperationsOnDifferentKeysAreUnderWayTogether) {
  begin({put("k", "1"), get("l"), put("m", "2"), get("n")});
  ASSERT_EQ(desk_.size(), 3U) << "two replications and one read";
}

TEST_F(CoordinatorTest, WritesOfOneKeyFollowEachOther) {
  ring_.owners_of_all = {store_.node()};
  const RequestId id = begin({put("k", "1"), put_seen("k", "2", ""), put("k", "3")});
  sync();
  EXPECT_EQ(dot_of(answers(id)[0]).counter, 1U);
  EXPECT_EQ(dot_of(answers(id)[1]).counter, 2U);
  EXPECT_EQ(dot_of(answers(id)[2]).counter, 3U);
  EXPECT_EQ(store_.values("k"), Strings{"3"});
}

// ---- forwarding

TEST_F(CoordinatorTest, AKeyOfOthersIsForwardedToTheFirstThatCanBeReached) {
  own_nothing();
  ring_.unreachable = {kB};
  const RequestId id = begin({put("k", "v"), get("l")});
  const PeerCall call = take(kC);
  const auto forward = body<ForwardCall>(call);
  ASSERT_EQ(forward.operations.size(), 2U);
  EXPECT_EQ(forward.operations[0].value, "v");
  EXPECT_EQ(forward.deadline, now_ + kTimeout);
  EXPECT_TRUE(desk_.empty());
  EXPECT_FALSE(answered(id));
  const model::Dot dot{actor(3), 1};
  reply(call.id,
        ForwardReply{{WriteAnswer{dot, "context"}, ReadAnswer{{version_of(dot, "w")}, "c"}}});
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(dot_of(answers(id)[0]), dot);
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"w"});
  EXPECT_EQ(coordinator_.counters().forwarded, 2U);
  EXPECT_TRUE(store_.values("k").empty());
}

TEST_F(CoordinatorTest, OfTwoOwnersTheLessBusyOneIsAsked) {
  own_nothing();
  ring_.busy_nodes = {{kB, 3}, {kC, 2}};
  begin({get("k")});
  take(kC);
  ring_.busy_nodes = {{kB, 3}, {kC, 3}};
  begin({get("k")});
  take(kB);
}

TEST_F(CoordinatorTest, WhatWasForwardedIsNotForwardedAgain) {
  own_nothing();
  const RequestId id = begin({put("k", "v"), get("k")}, /*may_forward=*/false);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kUnavailable);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kUnavailable);
  EXPECT_TRUE(desk_.empty());
}

TEST_F(CoordinatorTest, WithoutAnyReachableOwnerNothingIsWritten) {
  own_nothing();
  ring_.unreachable = {kB, kC, kD};
  const RequestId id = begin(put("k", "v"));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("nothing was written"));
}

TEST_F(CoordinatorTest, AForwardThatFailsLeavesWritesUnknownAndReadsUnavailable) {
  own_nothing();
  const RequestId id = begin({put("k", "v"), get("l")});
  fail(kB);
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kUnknown);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kUnavailable);
  EXPECT_TRUE(lagging_.empty());
}

TEST_F(CoordinatorTest, AnOwnerThatIsOverloadedOrNotTheOneMeantHasWrittenNothing) {
  own_nothing();
  const RequestId overloaded = begin({put("k", "v"), get("l")});
  fail(take(kB).id, absl::ResourceExhaustedError("overloaded: 20000 requests are under way"));
  EXPECT_EQ(code_of(answers(overloaded)[0]), StatusCode::kResourceExhausted);
  EXPECT_EQ(code_of(answers(overloaded)[1]), StatusCode::kResourceExhausted);
  const RequestId refused = begin(put("k", "v"));
  fail(take(kB).id, absl::FailedPreconditionError("node D answers at b:1, not node B"));
  EXPECT_EQ(code_of(answer(refused)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(refused)), HasSubstr("node D answers at b:1"));
}

TEST_F(CoordinatorTest, AnIncompleteAnswerToAForwardLeavesTheRestUnknown) {
  own_nothing();
  const RequestId id = begin({put("k", "v"), put("l", "w"), get("m")});
  reply(take(kB).id, ForwardReply{{WriteAnswer{{actor(2), 1}, ""}}});
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kOk);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kUnknown);
  EXPECT_EQ(code_of(answers(id)[2]), StatusCode::kUnavailable);
}

TEST_F(CoordinatorTest, AForwardThatIsNotAnsweredInTimeIsUnknownForWrites) {
  own_nothing();
  const RequestId id = begin({put("k", "v"), get("l"), get("k")});
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kUnknown);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kUnavailable);
  EXPECT_EQ(code_of(answers(id)[2]), StatusCode::kUnavailable) << "it had not begun";
}

// ---- deadlines

TEST_F(CoordinatorTest, TheNextDeadlineIsThatOfTheEarliestRequestUnderWay) {
  EXPECT_EQ(coordinator_.next_deadline(), std::nullopt);
  const RequestId first = begin(get("k"));
  pass(kTimeout / 2);
  begin(get("k"));
  EXPECT_EQ(coordinator_.next_deadline(), now_ + kTimeout / 2);
  reply(desk_.at(0).id, ReadReply{{model::Entry{}}});
  ASSERT_TRUE(answered(first));
  EXPECT_EQ(coordinator_.next_deadline(), now_ + kTimeout);
  pass(kTimeout);
  EXPECT_EQ(coordinator_.next_deadline(), std::nullopt);
}

TEST_F(CoordinatorTest, AtTheDeadlineEveryOperationIsAnsweredAndWhatHadNotBegunIsNotWritten) {
  const RequestId id = begin({put("k", "1"), get("k"), put("k", "2"), get("l")});
  sync();
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  ASSERT_EQ(answers(id).size(), 4U);
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kUnknown);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kUnavailable);
  EXPECT_EQ(code_of(answers(id)[2]), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answers(id)[2]), HasSubstr("nothing was written"));
  EXPECT_EQ(code_of(answers(id)[3]), StatusCode::kUnavailable);
  EXPECT_EQ(store_.values("k"), Strings{"1"});
}

TEST_F(CoordinatorTest, WhatWasAnsweredBeforeTheDeadlineKeepsItsAnswer) {
  const RequestId id = begin({put("k", "1"), get("l", Consistency::kOne), get("k")});
  confirm(kB);
  take(kC);
  sync();
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kOk);
  EXPECT_TRUE(values_of(answers(id)[1]).empty());
  EXPECT_EQ(code_of(answers(id)[2]), StatusCode::kUnavailable);
}

TEST_F(CoordinatorTest, RequestsWithOneDeadlineEndTogether) {
  const RequestId first = begin(put("k", "1"));
  const RequestId second = begin(get("l"));
  pass(kTimeout);
  EXPECT_TRUE(answered(first));
  EXPECT_TRUE(answered(second));
}

TEST_F(CoordinatorTest, AnswersThatComeTwiceOrToNobodyAreIgnored) {
  const RequestId id = begin(put("k", "v", Consistency::kAll));
  const PeerCall call = take(kB);
  reply(call.id, ReplicateReply{});
  reply(call.id, ReplicateReply{});
  fail(call.id);
  sync();
  EXPECT_FALSE(answered(id)) << "C has not answered";
  EXPECT_TRUE(lagging_.empty());
  reply(CallId{1'000'000}, ReplicateReply{});
  fail(CallId{1'000'000});
  confirm(kC);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

// ---- overload

TEST_F(CoordinatorTest, TooManyRequestsAreRefusedUntilOneEnds) {
  for (std::size_t i = 0; i < Coordinator::kRequestsMax; ++i) begin(get("k"));
  const auto refused = coordinator_.execute({get("k")}, true, now_ + kTimeout, WallTime{7});
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  reply(desk_.front().id, ReadReply{{model::Entry{}}});
  EXPECT_TRUE(ok(coordinator_.execute({get("k")}, true, now_ + kTimeout, WallTime{7}).status()));
}

TEST_F(CoordinatorTest, CountersCountOperations) {
  begin({put("k", "v"), get("k"), put("", "v")});
  confirm(kB);
  take(kC);
  sync();
  show(kB, heads_of(store_.entry("k")));
  EXPECT_EQ(coordinator_.counters().writes, 1U);
  EXPECT_EQ(coordinator_.counters().reads, 1U);
  EXPECT_EQ(coordinator_.counters().failed, 1U);
}

}  // namespace
}  // namespace grapevine::server::test
