// Goal: a write is acknowledged when, and only when, it is durable here and at as many owners as
// were asked for; what is answered instead is true. Method: peers' answers, the disk and time moved
// by hand; see coordinator_desk.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/limits.h"
#include "storage/model/context.h"
#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CoordinatorWrite : public CoordinatorDesk {};

// ---- when it is acknowledged

TEST_F(CoordinatorWrite, AQuorumIsThisNodesDiskAndOnePeer) {
  const RequestId id = begin(put("k", "v"));
  confirm(kB);
  EXPECT_FALSE(answered(id));
  sync();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(dot_of(answer(id)), (model::Dot{store_->actor(), 1}));
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinatorWrite, ItsOwnDiskAloneIsNoQuorum) {
  const RequestId id = begin(put("k", "v"));
  sync();
  EXPECT_FALSE(answered(id));
  confirm(kC);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

TEST_F(CoordinatorWrite, PeersDoNotStandInForItsOwnDisk) {
  const RequestId quorum = begin(put("k", "v"));
  confirm(kB);
  confirm(kC);
  const RequestId one = begin(put("l", "v", Consistency::kOne));
  confirm(kB);
  EXPECT_FALSE(answered(quorum));
  EXPECT_FALSE(answered(one));
  sync();
  EXPECT_EQ(code_of(answer(quorum)), StatusCode::kOk);
  EXPECT_EQ(code_of(answer(one)), StatusCode::kOk);
}

TEST_F(CoordinatorWrite, OneIsThisNodesDiskAndTheOthersAreSentItAllTheSame) {
  const RequestId id = begin(put("k", "v", Consistency::kOne));
  EXPECT_FALSE(answered(id));
  sync();
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
  confirm(kB);
  confirm(kC);
}

TEST_F(CoordinatorWrite, AllIsEveryOwner) {
  const RequestId id = begin(put("k", "v", Consistency::kAll));
  sync();
  confirm(kB);
  EXPECT_FALSE(answered(id));
  confirm(kC);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

TEST_F(CoordinatorWrite, AnOnlyOwnerNeedsNobodyElse) {
  ring_.owners_of_all = {store_.node()};
  const RequestId id = begin(put("k", "v", Consistency::kAll));
  EXPECT_TRUE(desk_.empty());
  EXPECT_FALSE(answered(id));
  sync();
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

// ---- what peers are sent

TEST_F(CoordinatorWrite, PeersGetTheFilledEntryAndItsEvent) {
  const model::Dot first = store_.put("k", "old");
  begin(put("k", "new"));
  const PeerCall call = take(kB);
  const auto replicate = body<ReplicateCall>(call);
  ASSERT_EQ(replicate.entries.size(), 1U);
  const model::KeyedEntry& sent = *replicate.entries[0];
  const model::Dot second{first.actor, 2};
  EXPECT_EQ(sent.key, "k");
  ASSERT_EQ(sent.entry.versions.size(), 1U);
  EXPECT_EQ(sent.entry.versions[0].value, "new");
  EXPECT_EQ(sent.entry.versions[0].written, WallTime{7});
  EXPECT_TRUE(sent.entry.vector.covers(second));
  EXPECT_THAT(sent.events, ElementsAre(second));
}

TEST_F(CoordinatorWrite, ADeleteIsSentAsAnEventWithoutVersions) {
  store_.put("k", "v");
  const RequestId id = begin(remove("k"));
  const PeerCall call = take(kB);
  const model::KeyedEntry& sent = *body<ReplicateCall>(call).entries.at(0);
  EXPECT_TRUE(sent.entry.versions.empty());
  EXPECT_EQ(sent.events.size(), 1U);
  reply(call.id, ReplicateReply{});
  sync();
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
  EXPECT_TRUE(store_.values("k").empty());
}

TEST_F(CoordinatorWrite, ManyKeysAreOneCallAPeerAndAKeyIsSentOnce) {
  const RequestId id = begin({put("k", "1"), put("l", "2"), put("k", "3")});
  ASSERT_EQ(desk_.size(), 2U);
  const PeerCall call = take(kB);
  EXPECT_EQ(body<ReplicateCall>(call).entries.size(), 2U);
  sync();
  EXPECT_FALSE(answered(id));
  reply(call.id, ReplicateReply{});
  ASSERT_TRUE(answered(id));
  for (const OperationAnswer& each : answers(id)) EXPECT_EQ(code_of(each), StatusCode::kOk);
  EXPECT_EQ(store_.values("k"), Strings{"3"});
}

TEST_F(CoordinatorWrite, WhatIsTooMuchForOneCallIsSeveral) {
  ring_.owners_of_all = {store_.node(), kB};
  const std::string large(Coordinator::kReplicateBytesMax / 2 - 10'000, 'v');
  const RequestId id = begin({put("k", large), put("l", large), put("m", large), put("k", large)});
  ASSERT_EQ(desk_.size(), 2U);
  const PeerCall first = std::move(desk_[0]);
  const PeerCall second = std::move(desk_[1]);
  EXPECT_EQ(body<ReplicateCall>(first).entries.size(), 2U);
  EXPECT_EQ(body<ReplicateCall>(second).entries.size(), 1U);
  sync();
  fail(second.id);
  EXPECT_FALSE(answered(id));
  reply(first.id, ReplicateReply{});
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kOk);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kOk);
  EXPECT_TRUE(is_outcome_unknown(std::get<absl::Status>(answers(id)[2])));
  EXPECT_EQ(code_of(answers(id)[3]), StatusCode::kOk);
  desk_.clear();
}

TEST_F(CoordinatorWrite, OwnersThatCannotBeReachedAreNotCalled) {
  ring_.unreachable = {kB};
  const RequestId id = begin(put("k", "v"));
  sync();
  EXPECT_EQ(desk_.size(), 1U);
  confirm(kC);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

// ---- refused: nothing is written

TEST_F(CoordinatorWrite, TooFewReachableOwnersAndNothingIsWritten) {
  ring_.unreachable = {kB, kC};
  const RequestId quorum = begin(put("k", "v"));
  ASSERT_TRUE(answered(quorum));
  EXPECT_EQ(code_of(answer(quorum)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(quorum)), HasSubstr("nothing was written"));
  ring_.unreachable = {kB};
  EXPECT_EQ(code_of(answer(begin(put("k", "v", Consistency::kAll)))), StatusCode::kUnavailable);
  EXPECT_TRUE(store_.values("k").empty());
  EXPECT_TRUE(desk_.empty());
}

TEST_F(CoordinatorWrite, ANodeThatMayNotWriteYetSaysWhyAndStillReads) {
  store_.put("k", "old");
  coordinator_.refuse_writes("comparing clocks with a peer");
  const RequestId refused = begin({put("k", "new"), get("k", Consistency::kOne)});
  ASSERT_TRUE(answered(refused));
  EXPECT_EQ(code_of(answers(refused)[0]), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answers(refused)[0]), HasSubstr("comparing clocks with a peer"));
  EXPECT_EQ(values_of(answers(refused)[1]), Strings{"old"});
  EXPECT_TRUE(desk_.empty());
  coordinator_.refuse_writes({});
  const RequestId taken = begin(put("k", "new"));
  confirm(kB);
  sync();
  EXPECT_EQ(code_of(answer(taken)), StatusCode::kOk);
}

TEST_F(CoordinatorWrite, KeysAndValuesOverTheirLimitsAreRefusedAlone) {
  const RequestId id = begin({put("", "v"), put(std::string(kKeyBytesMax + 1, 'k'), "v"),
                              put("k", std::string(kValueBytesMax + 1, 'v')), put("good", "v")});
  sync();
  confirm(kB);
  ASSERT_TRUE(answered(id));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(code_of(answers(id)[i]), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(code_of(answers(id)[3]), StatusCode::kOk);
  EXPECT_TRUE(store_.values("k").empty());
}

TEST_F(CoordinatorWrite, TheContextOfAnotherKeyIsRefusedAlone) {
  const RequestId first = begin(put("k", "v"));
  confirm(kB);
  take(kC);
  sync();
  const std::string context = context_of(answer(first));
  const RequestId id = begin({put_seen("other", "v", context), put_seen("k", "w", context)});
  confirm(kB);
  sync();
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kOk);
  EXPECT_EQ(store_.values("k"), Strings{"w"});
  EXPECT_TRUE(store_.values("other").empty());
}

TEST_F(CoordinatorWrite, WhatAFullDiskRefusesIsSentToNobodyAndReadsGoOn) {
  const RequestId before = begin(put("k", "old"));
  sync();
  confirm(kB);
  confirm(kC);
  ASSERT_EQ(code_of(answer(before)), StatusCode::kOk);
  store_.fill_disk(true);
  const RequestId full = begin({put("k", "new"), get("k", Consistency::kOne)});
  ASSERT_TRUE(answered(full));
  EXPECT_EQ(code_of(answers(full)[0]), StatusCode::kResourceExhausted);
  EXPECT_EQ(values_of(answers(full)[1]), Strings{"old"});
  EXPECT_TRUE(desk_.empty());
  store_.fill_disk(false);
  const RequestId again = begin(put("k", "new"));
  confirm(kB);
  sync();
  EXPECT_EQ(code_of(answer(again)), StatusCode::kOk);
  EXPECT_EQ(store_.values("k"), Strings{"new"});
}

TEST_F(CoordinatorWrite, AContextOfWritesThatNeverWereIsRefused) {
  model::VersionVector seen;
  seen.raise({store_->actor(), 5});
  const RequestId id = begin(put_seen("k", "v", model::encode_context("k", seen)));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kInvalidArgument);
  EXPECT_TRUE(desk_.empty());
}

// ---- contexts and retries

TEST_F(CoordinatorWrite, AContextSupersedesWhatItHasSeenAndTheEmptyOneNothing) {
  const RequestId first = begin(put("k", "1"));
  confirm(kB);
  take(kC);
  sync();
  begin(put_seen("k", "2", ""));
  EXPECT_EQ(store_.values("k"), (Strings{"1", "2"}));
  begin(put_seen("k", "3", context_of(answer(first))));
  EXPECT_EQ(store_.values("k"), (Strings{"2", "3"}));
  begin(put("k", "4"));
  EXPECT_EQ(store_.values("k"), Strings{"4"});
}

TEST_F(CoordinatorWrite, ARetriedWriteIsOneVersionUnderOneDotAndIsSentAgain) {
  const RequestId first = begin(put_again("k", "v", 42));
  fail(kB);
  fail(kC);
  sync();
  ASSERT_EQ(code_of(answer(first)), StatusCode::kUnknown);
  const RequestId retry = begin(put_again("k", "v", 42));
  confirm(kB);
  sync();
  EXPECT_EQ(dot_of(answer(retry)), (model::Dot{store_->actor(), 1}));
  EXPECT_EQ(store_.values("k"), Strings{"v"});
  EXPECT_EQ(store_->tops(store_->actor()), std::vector<std::uint64_t>{1});
}

// ---- outcome unknown

TEST_F(CoordinatorWrite, TheOutcomeIsUnknownAsSoonAsTooManyOwnersFailed) {
  const RequestId id = begin(put("k", "v"));
  fail(kB);
  EXPECT_FALSE(answered(id));
  fail(kC);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnknown);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("not rolled back"));
  EXPECT_EQ(store_.values("k"), Strings{"v"});
  sync();
}

TEST_F(CoordinatorWrite, OneFailureIsMadeGoodByTheOtherPeer) {
  const RequestId id = begin(put("k", "v"));
  fail(kB);
  confirm(kC);
  sync();
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
}

TEST_F(CoordinatorWrite, AllFailsWithOneOwner) {
  const RequestId id = begin(put("k", "v", Consistency::kAll));
  sync();
  confirm(kB);
  fail(kC);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnknown);
}

TEST_F(CoordinatorWrite, TheOutcomeIsUnknownAtTheDeadlineAndLaterConfirmationsChangeNothing) {
  const RequestId id = begin(put("k", "v"));
  sync();
  pass(kTimeout - Duration(1));
  EXPECT_FALSE(answered(id));
  pass(Duration(1));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnknown);
  confirm(kB);
  fail(kC);
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinatorWrite, ADiskThatIsSlowerThanTheDeadlineIsAnUnknownOutcome) {
  const RequestId id = begin(put("k", "v"));
  confirm(kB);
  confirm(kC);
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnknown);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("own disk"));
  sync();
}

// ---- who lags

TEST_F(CoordinatorWrite, APeerThatMissedAWriteIsReported) {
  begin(put("k", "v"));
  confirm(kB);
  EXPECT_TRUE(lagging_.empty());
  fail(kC);
  EXPECT_THAT(lagging_, ElementsAre(kC));
}

TEST_F(CoordinatorWrite, APeerThatMissedAWriteIsReportedEvenWhenTheRequestHasEnded) {
  const RequestId id = begin(put("k", "v"));
  confirm(kB);
  sync();
  ASSERT_TRUE(answered(id));
  fail(kC);
  EXPECT_THAT(lagging_, ElementsAre(kC));
}

}  // namespace
}  // namespace grapevine::server::test
