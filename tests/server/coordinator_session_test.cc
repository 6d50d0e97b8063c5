// Goal: with what its session has seen a read shows nothing older, asks for no more than that takes,
// and never claims what it cannot have; a write supersedes it and waits for nobody. Method: peers'
// answers moved by hand, see coordinator_desk.h; this node lags behind what the session did at B.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/model/context.h"
#include "storage/model/session.h"
#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;

const model::Dot kByB{actor(2), 1};
const model::Dot kByC{actor(3), 1};

class CoordinatorSession : public CoordinatorDesk {
 protected:
  model::SessionScope scope() { return {store_->digester().key_hash(""), 1}; }

  // The token of a session that has seen this.
  std::string token(std::string_view key, const model::Seen& seen) {
    return model::encode_seen(scope(), key, seen);
  }
  std::string token(std::string_view key, const model::Entry& entry) {
    return token(key, model::seen_of(entry));
  }
  static Operation in(Operation operation, std::string session) {
    operation.session = std::move(session);
    return operation;
  }
  Operation get_in(std::string session) {
    return in(get("k", Consistency::kOne), std::move(session));
  }

  model::Seen seen(const OperationAnswer& answer) {
    const auto* read = std::get_if<ReadAnswer>(&answer);
    const auto* written = std::get_if<WriteAnswer>(&answer);
    EXPECT_TRUE(read != nullptr || written != nullptr) << text_of_answer(answer);
    if (read == nullptr && written == nullptr) return {};
    const auto session = model::Session::decode(read != nullptr ? read->session : written->session);
    EXPECT_TRUE(ok(session.status()));
    if (!session.ok()) return {};
    EXPECT_EQ(session->scope(), scope());
    return session->of("k");
  }

  const model::Entry at_b_ = entry_of({version_of(kByB, "new")});
};

// ---- reads

TEST_F(CoordinatorSession, WithoutOneAReadAtOneShowsThePast) {
  EXPECT_TRUE(values_of(answer(begin(get("k", Consistency::kOne)))).empty());
  EXPECT_TRUE(desk_.empty());
}

TEST_F(CoordinatorSession, AReadThatLagsAsksAllOtherOwnersAtOnceAndTheFirstThatHasItWillDo) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  ASSERT_EQ(desk_.size(), 2U);
  EXPECT_TRUE(body<ReadCall>(desk_[0]).heads_only);
  show(kB, heads_of(at_b_));
  show(kB, at_b_);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
  EXPECT_EQ(seen(answer(id)).live, model::seen_of(at_b_).live);
  EXPECT_EQ(store_.values("k"), Strings{"new"}) << "this node has caught up with that key";
  show(kC, model::Entry{});
  EXPECT_EQ(coordinator_.counters().caught_up, 1U);
  EXPECT_EQ(coordinator_.counters().behind, 0U);
}

TEST_F(CoordinatorSession, WhatIsThereIsAnsweredAtOnce) {
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  const RequestId id = begin(get_in(token("k", at_b_)));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
}

TEST_F(CoordinatorSession, WhatSupersededItIsAsGood) {
  const model::Entry newer = entry_of({version_of(kByC, "newer")}, {kByB});
  ASSERT_TRUE(ok(store_.receive({"k", newer, {}})));
  EXPECT_EQ(values_of(answer(begin(get_in(token("k", at_b_))))), Strings{"newer"});
}

TEST_F(CoordinatorSession, WhatItLacksOfOtherKeysIsNotWaitedFor) {
  model::Entry far_ahead = at_b_;
  far_ahead.vector.raise({kByC.actor, 1'000});
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  const RequestId id = begin(get_in(token("k", far_ahead)));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
}

TEST_F(CoordinatorSession, WhatItKnowsToBeDeletedStaysSoAndNobodyIsAsked) {
  const model::Dot old = store_.put("k", "old");
  const RequestId id = begin(get_in(token("k", entry_of({}, {old, kByB}))));
  ASSERT_TRUE(answered(id));
  EXPECT_TRUE(values_of(answer(id)).empty());
  EXPECT_TRUE(desk_.empty());
  EXPECT_EQ(store_.values("k"), Strings{"old"}) << "a session's word changes no replica";
  const auto context = model::decode_context("k", context_of(answer(id)));
  ASSERT_TRUE(context.ok());
  EXPECT_TRUE(context->covers(kByB));
}

TEST_F(CoordinatorSession, ASupersededSiblingStaysAwayAndAnUnseenOneIsShown) {
  const model::Dot old = store_.put("k", "old");
  ASSERT_TRUE(
      ok(store_.receive({"k", entry_of({version_of(kByB, "b"), version_of(kByC, "c")}), {}})));
  const RequestId id = begin(get_in(token("k", entry_of({version_of(kByB, "b")}, {old}))));
  EXPECT_EQ(values_of(answer(id)), (Strings{"b", "c"}));
}

TEST_F(CoordinatorSession, AnOwnerThatCannotBeReachedIsNamed) {
  ring_.unreachable = {kB};
  const RequestId id = begin(get_in(token("k", at_b_)));
  show(kC, model::Entry{});
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)),
              AllOf(HasSubstr(to_string(kB)), ::testing::Not(HasSubstr(to_string(kC))),
                    HasSubstr("nothing was read")));
  EXPECT_EQ(coordinator_.counters().behind, 1U);
}

TEST_F(CoordinatorSession, AnOwnerThatFailsIsNamedToo) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  fail(kB);
  EXPECT_FALSE(answered(id));
  show(kC, model::Entry{});
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr(to_string(kB)));
}

TEST_F(CoordinatorSession, WithoutAnyOtherOwnerItIsRefusedAtOnce) {
  ring_.unreachable = {kB, kC};
  const RequestId id = begin(get_in(token("k", at_b_)));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
}

TEST_F(CoordinatorSession, WhatNoOwnerHasAnyMoreIsRefused) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  show(kB, model::Entry{});
  EXPECT_FALSE(answered(id));
  show(kC, model::Entry{});
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("begin a new session"));
}

TEST_F(CoordinatorSession, ALateOwnerDoesNotDisturbTheFetchOfAValue) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  show(kB, heads_of(at_b_));
  const PeerCall fetch = take(kB);
  EXPECT_FALSE(body<ReadCall>(fetch).heads_only);
  show(kC, model::Entry{});
  EXPECT_FALSE(answered(id));
  show(fetch.id, at_b_);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
}

TEST_F(CoordinatorSession, AnOwnerThatAnsweredMeanwhileStandsInForAFetchThatFails) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  show(kB, heads_of(at_b_));
  const PeerCall fetch = take(kB);
  show(kC, heads_of(at_b_));
  fail(fetch.id);
  ASSERT_FALSE(answered(id));
  show(kC, at_b_);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"new"});
}

TEST_F(CoordinatorSession, AFetchThatFailsWhileNobodyElseHasItIsRefused) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  show(kB, heads_of(at_b_));
  const PeerCall fetch = take(kB);
  show(kC, model::Entry{});
  fail(fetch.id);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
}

TEST_F(CoordinatorSession, AtTheDeadlineAReadThatCatchesUpIsUnavailable) {
  const RequestId id = begin(get_in(token("k", at_b_)));
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  take(kB);
  take(kC);
}

TEST_F(CoordinatorSession, AFloorIsWaitedForWhateverKeyItCameFrom) {
  store_.put("k", "v");
  model::Seen floor{.exact = false, .live = {}, .vector = {}};
  floor.vector.raise(kByB);
  const RequestId id = begin(get_in(token("k", floor)));
  EXPECT_FALSE(answered(id));
  model::Entry behind = heads_of(store_.entry("k"));
  show(kC, behind);
  EXPECT_FALSE(answered(id));
  behind.vector.raise(kByB);
  show(kB, behind);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
  EXPECT_TRUE(seen(answer(id)).exact) << "and from now on the key is known by itself";
}

TEST_F(CoordinatorSession, WhatHasExpiredForItStaysAway) {
  model::Version brief = version_of(kByB, "brief");
  brief.expires = {7};
  ASSERT_TRUE(ok(store_.receive({"k", entry_of({brief}), {}})));
  const RequestId late = begin(get_in(""));
  EXPECT_TRUE(values_of(answer(late)).empty());
  const std::string after = std::get<ReadAnswer>(answer(late)).session;
  // The clock goes back.
  const auto id = coordinator_.execute({get_in(after)}, true, now_ + kTimeout, WallTime{5});
  ASSERT_TRUE(ok(id.status()));
  collect();
  EXPECT_TRUE(values_of(answer(*id)).empty());
}

TEST_F(CoordinatorSession, AReadInNoSessionIsToldNothingOfOne) {
  EXPECT_EQ(std::get<ReadAnswer>(answer(begin(get("k", Consistency::kOne)))).session, "");
}

TEST_F(CoordinatorSession, ATokenThatIsNoneOrOfAnotherClusterIsRefused) {
  EXPECT_EQ(code_of(answer(begin(get_in("nonsense")))), StatusCode::kInvalidArgument);
  const std::string foreign = model::encode_seen({1, 1}, "k", model::seen_of(at_b_));
  const RequestId id = begin(in(put("k", "v"), foreign));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kInvalidArgument);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("another cluster"));
  EXPECT_TRUE(store_.values("k").empty());
}

// ---- writes

TEST_F(CoordinatorSession, APlainWriteSupersedesWhatItHasSeenThoughThisNodeHasNot) {
  const RequestId id = begin(in(put("k", "next", Consistency::kOne), token("k", at_b_)));
  sync();
  ASSERT_TRUE(answered(id)) << "it waits for no other owner";
  EXPECT_TRUE(seen(answer(id)).vector.covers(kByB));
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  EXPECT_EQ(store_.values("k"), Strings{"next"});
}

TEST_F(CoordinatorSession, WithoutOneItMakesASibling) {
  begin(put("k", "next", Consistency::kOne));
  sync();
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  EXPECT_EQ(store_.values("k"), (Strings{"new", "next"}));
}

TEST_F(CoordinatorSession, ADeleteDoesTheSame) {
  Operation removal = in(remove("k"), token("k", at_b_));
  removal.consistency = Consistency::kOne;
  const RequestId id = begin(std::move(removal));
  sync();
  EXPECT_TRUE(seen(answer(id)).live.empty());
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  EXPECT_TRUE(store_.values("k").empty());
}

TEST_F(CoordinatorSession, AWriteWithAContextSupersedesExactlyThat) {
  Operation write = in(put_seen("k", "next", ""), token("k", at_b_));
  write.consistency = Consistency::kOne;
  const RequestId id = begin(std::move(write));
  sync();
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  EXPECT_EQ(store_.values("k"), (Strings{"new", "next"}));
  EXPECT_EQ(seen(answer(id)).live.size(), 2U) << "both are to be found from now on";
}

TEST_F(CoordinatorSession, AFloorSupersedesNothing) {
  model::Seen floor{.exact = false, .live = {}, .vector = {}};
  floor.vector.raise(kByB);
  const RequestId id = begin(in(put("k", "next", Consistency::kOne), token("k", floor)));
  sync();
  ASSERT_TRUE(ok(store_.receive({"k", at_b_, {}})));
  EXPECT_EQ(store_.values("k"), (Strings{"new", "next"}))
      << "that the session has seen some other key at B is no word on this one";
  const model::Seen after = seen(answer(id));
  EXPECT_FALSE(after.exact);
  EXPECT_TRUE(after.vector.covers(kByB));
  EXPECT_TRUE(after.vector.covers(dot_of(answer(id))));
}

TEST_F(CoordinatorSession, WhatItWroteIsFoundBehindIt) {
  const RequestId wrote = begin(in(put("k", "mine", Consistency::kOne), ""));
  sync();
  const model::Seen after = seen(answer(wrote));
  EXPECT_EQ(after.live, (absl::InlinedVector<model::Dot, 1>{dot_of(answer(wrote))}));
  EXPECT_FALSE(model::reaches(model::Entry{}, after));
  EXPECT_TRUE(model::reaches(store_.entry("k"), after));
}

TEST_F(CoordinatorSession, AWriteTriedAgainIsFoundToo) {
  begin(put_again("k", "v", 9));
  sync();
  desk_.clear();
  const RequestId again = begin(in(put_again("k", "v", 9), token("k", at_b_)));
  confirm(kC);
  sync();
  ASSERT_TRUE(answered(again));
  EXPECT_EQ(seen(answer(again)).live.size(), 2U) << "that, and what was seen before";
}

// ---- several operations

TEST_F(CoordinatorSession, ALaterOperationOfARequestKnowsWhatTheEarlierOnesDid) {
  ring_.owners_of_all = {kB, kC};
  ring_.busy_nodes = {{kC, 9}};
  const RequestId id = begin({in(put("k", "v"), ""), get_in("")});
  const PeerCall write = take(kB);
  EXPECT_EQ(*body<ForwardCall>(write).operations.at(0).session, model::Session(scope()).encode());
  ring_.busy_nodes = {{kB, 9}};
  reply(write.id, ForwardReply{{WriteAnswer{kByB, "", token("k", at_b_)}}});
  const PeerCall read = take(kC);
  EXPECT_EQ(*body<ForwardCall>(read).operations.at(0).session, token("k", at_b_));
  reply(read.id, ForwardReply{{ReadAnswer{{}, "", token("k", at_b_)}}});
  EXPECT_TRUE(answered(id));
}

TEST_F(CoordinatorSession, ReadsOfOneKeyAreDoneOneAfterTheOther) {
  const RequestId id = begin({in(get("k"), ""), get_in(""), get("k", Consistency::kOne)});
  ASSERT_EQ(desk_.size(), 1U);
  show(kB, heads_of(at_b_));
  show(kB, at_b_);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"new"});
}

TEST_F(CoordinatorSession, APeerThatKnowsNoSessionsCannotReadForOne) {
  ring_.owners_of_all = {kB, kC};
  const RequestId id = begin(get_in(token("k", at_b_)));
  reply(take(kB).id, ForwardReply{{ReadAnswer{}}});
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("knows no sessions"));
}

}  // namespace
}  // namespace grapevine::server::test
