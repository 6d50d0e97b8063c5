// Goal: a read answers the join of what as many owners as were asked for hold, with every value;
// who lags behind it is repaired. Method: peers' answers and time moved by hand; see
// coordinator_desk.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/model/context.h"
#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

const model::Dot kByB{actor(2), 1};
const model::Dot kByC{actor(3), 1};

class CoordinatorRead : public CoordinatorDesk {
 protected:
  // What this node holds of a key, as a peer sends it.
  model::Entry mine(std::string_view key) { return heads_of(store_.entry(key)); }
};

// ---- how many are asked

TEST_F(CoordinatorRead, AQuorumIsThisNodeAndTheVersionsOfOnePeer) {
  store_.put("k", "v");
  const RequestId id = begin(get("k"));
  EXPECT_FALSE(answered(id));
  ASSERT_EQ(desk_.size(), 1U);
  EXPECT_TRUE(body<ReadCall>(desk_[0]).heads_only);
  EXPECT_EQ(body<ReadCall>(desk_[0]).keys, Strings{"k"});
  show(desk_[0].to, mine("k"));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
  EXPECT_TRUE(desk_.empty()) << "nobody lags";
}

TEST_F(CoordinatorRead, OneIsThisNodeAlone) {
  store_.put("k", "v");
  const RequestId id = begin(get("k", Consistency::kOne));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
  EXPECT_TRUE(desk_.empty());
}

TEST_F(CoordinatorRead, AllIsEveryOwner) {
  store_.put("k", "v");
  const RequestId id = begin(get("k", Consistency::kAll));
  show(kB, mine("k"));
  EXPECT_FALSE(answered(id));
  show(kC, mine("k"));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
}

TEST_F(CoordinatorRead, WhatNobodyHoldsIsNoVersionAndTheEmptyContext) {
  const RequestId id = begin(get("k"));
  show(kB, model::Entry{});
  EXPECT_TRUE(values_of(answer(id)).empty());
  EXPECT_EQ(context_of(answer(id)), "");
}

TEST_F(CoordinatorRead, ManyKeysAreOneCallAPeer) {
  store_.put("k", "1");
  store_.put("l", "2");
  const RequestId id = begin({get("k"), get("l"), get("nothing")});
  const PeerCall call = take(kB);
  EXPECT_EQ(body<ReadCall>(call).keys, (Strings{"k", "l", "nothing"}));
  reply(call.id, ReadReply{{mine("k"), mine("l"), model::Entry{}}});
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answers(id)[0]), Strings{"1"});
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"2"});
  EXPECT_TRUE(values_of(answers(id)[2]).empty());
}

TEST_F(CoordinatorRead, TooFewReachableOwnersAreNotEvenAsked) {
  ring_.unreachable = {kB, kC};
  const RequestId id = begin(get("k"));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_TRUE(desk_.empty());
}

// ---- owners that fail

TEST_F(CoordinatorRead, AnotherOwnerIsAskedForOneThatFails) {
  store_.put("k", "v");
  const RequestId id = begin(get("k"));
  fail(kB);
  EXPECT_FALSE(answered(id));
  show(kC, mine("k"));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
}

TEST_F(CoordinatorRead, AnOwnerThatCannotReadTheKeyIsReplacedForThatKeyAlone) {
  store_.put("k", "v");
  store_.put("l", "w");
  const RequestId id = begin({get("k"), get("l")});
  reply(take(kB).id, ReadReply{{absl::DataLossError("a bad block"), mine("l")}});
  EXPECT_FALSE(answered(id));
  const PeerCall call = take(kC);
  EXPECT_EQ(body<ReadCall>(call).keys, Strings{"k"});
  reply(call.id, ReadReply{{mine("k")}});
  EXPECT_EQ(values_of(answers(id)[0]), Strings{"v"});
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"w"});
}

TEST_F(CoordinatorRead, AnAnswerThatIsTooShortIsAFailure) {
  const RequestId id = begin(get("k"));
  reply(take(kB).id, ReadReply{});
  show(kC, model::Entry{});
  EXPECT_TRUE(values_of(answer(id)).empty());
}

TEST_F(CoordinatorRead, TooFewAnswersAreAnError) {
  const RequestId id = begin(get("k"));
  fail(kB);
  fail(kC);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
}

TEST_F(CoordinatorRead, AtTheDeadlineAReadIsUnavailableAndNotUnknown) {
  const RequestId id = begin(get("k"));
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), ::testing::Not(HasSubstr("written")));
  show(kB, model::Entry{});
}

// ---- joining

TEST_F(CoordinatorRead, ConcurrentVersionsAreShownTogetherUnderOneContext) {
  store_.put("k", "mine");
  const RequestId id = begin(get("k"));
  const model::Entry theirs = entry_of({version_of(kByB, "theirs")});
  show(kB, heads_of(theirs));
  ASSERT_FALSE(answered(id)) << "the value has yet to come";
  show(kB, theirs);
  EXPECT_EQ(values_of(answer(id)), (Strings{"mine", "theirs"}));
  const auto seen = model::decode_context("k", context_of(answer(id)));
  ASSERT_TRUE(seen.ok());
  EXPECT_TRUE(seen->covers(kByB));
  EXPECT_TRUE(seen->covers({store_->actor(), 1}));
}

TEST_F(CoordinatorRead, ADeleteThatThisNodeMissedHidesTheKey) {
  const model::Dot dot = store_.put("k", "v");
  const RequestId id = begin(get("k"));
  show(kB, entry_of({}, {dot, kByB}));
  EXPECT_TRUE(values_of(answer(id)).empty());
  EXPECT_TRUE(store_.values("k").empty()) << "and is made up for here";
}

TEST_F(CoordinatorRead, VersionsOfOneWriteIdAreShownAsOne) {
  ASSERT_TRUE(ok(
      store_.receive({"k", entry_of({version_of(kByB, "v", 42), version_of(kByC, "v", 42)}), {}})));
  ASSERT_TRUE(ok(store_.receive({"k", entry_of({version_of({actor(4), 1}, "w", 0)}), {}})));
  ASSERT_TRUE(ok(store_.receive({"k", entry_of({version_of({actor(5), 1}, "w", 0)}), {}})));
  const RequestId id = begin(get("k", Consistency::kOne));
  EXPECT_EQ(values_of(answer(id)), (Strings{"v", "w", "w"}));
  const auto seen = model::decode_context("k", context_of(answer(id)));
  EXPECT_TRUE(seen->covers(kByC)) << "the next write supersedes both";
}

// ---- values that only others have

TEST_F(CoordinatorRead, AValueIsFetchedFromWhoHasIt) {
  const RequestId id = begin(get("k"));
  const model::Entry theirs = entry_of({version_of(kByB, "v")});
  show(kB, heads_of(theirs));
  const PeerCall fetch = take(kB);
  EXPECT_FALSE(body<ReadCall>(fetch).heads_only);
  show(fetch.id, theirs);
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinatorRead, ValuesAreFetchedFromAsManyAsItTakes) {
  const RequestId id = begin(get("k", Consistency::kAll));
  const model::Entry at_b = entry_of({version_of(kByB, "b")});
  const model::Entry at_c = entry_of({version_of(kByC, "c")});
  show(kB, heads_of(at_b));
  show(kC, heads_of(at_c));
  show(kB, at_b);
  ASSERT_FALSE(answered(id));
  show(kC, at_c);
  EXPECT_EQ(values_of(answer(id)), (Strings{"b", "c"}));
}

TEST_F(CoordinatorRead, AValueThatWasOverwrittenMeanwhileGivesWayToTheNewOne) {
  const RequestId id = begin(get("k"));
  show(kB, heads_of(entry_of({version_of(kByB, "old")})));
  show(kB, entry_of({version_of({kByB.actor, 2}, "new")}));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
}

TEST_F(CoordinatorRead, AnotherOwnerStandsInForOneThatFailsBetweenVersionsAndValue) {
  const model::Entry theirs = entry_of({version_of(kByB, "v")});
  const RequestId gone = begin(get("k"));
  show(kB, heads_of(theirs));
  fail(kB);
  ASSERT_FALSE(answered(gone));
  show(kC, heads_of(theirs));
  show(kC, theirs);
  EXPECT_EQ(values_of(answer(gone)), Strings{"v"});
}

TEST_F(CoordinatorRead, AnotherOwnerStandsInForOneThatCannotReadTheValue) {
  const model::Entry theirs = entry_of({version_of(kByB, "v")});
  const RequestId id = begin(get("k"));
  show(kB, heads_of(theirs));
  show(kB, absl::DataLossError("a bad block"));
  ASSERT_FALSE(answered(id));
  show(kC, heads_of(theirs));
  show(kC, theirs);
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
}

TEST_F(CoordinatorRead, AValueThatNobodyLeftCanGiveIsAnError) {
  const RequestId id = begin(get("k"));
  show(kB, heads_of(entry_of({version_of(kByB, "v")})));
  ring_.unreachable = {kC};
  fail(kB);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
}

// ---- read repair

TEST_F(CoordinatorRead, APeerThatLagsIsSentTheJoinedEntry) {
  const model::Dot dot = store_.put("k", "v");
  const RequestId id = begin(get("k"));
  show(kB, model::Entry{});
  ASSERT_TRUE(answered(id));
  const PeerCall call = take(kB);
  const model::KeyedEntry& sent = *body<ReplicateCall>(call).entries.at(0);
  EXPECT_EQ(sent.key, "k");
  ASSERT_NE(sent.entry.find(dot), nullptr);
  EXPECT_EQ(sent.entry.find(dot)->value, "v");
  EXPECT_EQ(coordinator_.counters().read_repairs, 1U);
  reply(call.id, ReplicateReply{});
}

TEST_F(CoordinatorRead, ARepairThatFailsIsNoMissedWrite) {
  store_.put("k", "v");
  begin(get("k"));
  show(kB, model::Entry{});
  fail(kB);
  EXPECT_TRUE(lagging_.empty());
}

TEST_F(CoordinatorRead, ThisNodeIsRepairedToo) {
  const model::Dot dot = store_.put("k", "old");
  const RequestId id = begin(get("k"));
  const model::Entry theirs = entry_of({version_of(kByB, "new")}, {dot});
  show(kB, heads_of(theirs));
  show(kB, theirs);
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
  EXPECT_EQ(store_.values("k"), Strings{"new"});
  EXPECT_TRUE(desk_.empty()) << "the peer has it";
}

TEST_F(CoordinatorRead, AWriteOfItsOwnThatThisNodeDoesNotRememberEndsItsActor) {
  const model::Entry theirs = entry_of({version_of({store_->actor(), 9}, "v")});
  const RequestId id = begin(get("k"));
  show(kB, heads_of(theirs));
  EXPECT_FALSE(must_renew_actor_);
  show(kB, theirs);
  EXPECT_EQ(values_of(answer(id)), Strings{"v"}) << "the read is answered all the same";
  EXPECT_TRUE(must_renew_actor_);
}

}  // namespace
}  // namespace grapevine::server::test
