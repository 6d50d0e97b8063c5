// Goal: what is heard is joined so that all agree, however it is ordered; only the accused takes an
// accusation back; every change is said once, to the caller and to the others.
// Method: one roster, told by hand; and random histories against the rule.
#include "gossip/roster.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/random.h"
#include "tests/gossip/members.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Instant kNow{1h};
constexpr NodeId kOther{2};
constexpr NodeId kThird{3};

class RosterTest : public ::testing::Test {
 protected:
  void meet(std::uint64_t count) {
    for (std::uint64_t id = 2; id <= count; ++id) roster_.hear(member(id, 5), kNow);
    roster_.take_news();
  }

  const SwimOptions options_;
  Roster roster_{member(1, 5), {}, options_, kNow};
};

// ---- beliefs ----

TEST_F(RosterTest, WhoIsHeardOfIsUpAndToldOn) {
  roster_.hear(member(2, 5), kNow);
  const Roster::News news = roster_.take_news();
  EXPECT_THAT(news.came_up, ElementsAre(kOther));
  EXPECT_THAT(news.changed, ElementsAre(kOther));
  EXPECT_THAT(news.spread, ElementsAre(Message(member(2, 5))));
  EXPECT_TRUE(roster_.up(kOther));
  EXPECT_THAT(roster_.reachable(), ElementsAre(kOther));
  EXPECT_EQ(roster_.n(), 2U);
  roster_.hear(member(2, 5), kNow);
  EXPECT_THAT(roster_.take_news().spread, IsEmpty());
}

TEST_F(RosterTest, WhoIsKnownFromAnEarlierLifeIsNotUpUntilItIsHeardOf) {
  Roster roster(member(1, 5), {member(2, 5), member(3, 5, MemberState::kLeft)}, options_, kNow);
  EXPECT_FALSE(roster.up(kOther));
  EXPECT_THAT(roster.unreachable(), ElementsAre(kOther));
  EXPECT_EQ(roster.n(), 2U);
  roster.hear(Suspect{kOther, 5, kThird}, kNow);
  EXPECT_FALSE(roster.up(kOther));
  roster.heard_from(kOther, kNow);
  EXPECT_THAT(roster.take_news().came_up, ElementsAre(kOther));
}

TEST_F(RosterTest, ASuspectIsUpUntilItsTimeIsOverAndDownIsSaidOnce) {
  meet(3);
  roster_.missed(kOther, kNow);
  EXPECT_THAT(roster_.take_news().spread, ElementsAre(Message(Suspect{kOther, 5, NodeId{1}})));
  EXPECT_TRUE(roster_.up(kOther));
  const Instant end = roster_.next_deadline();
  EXPECT_EQ(end, kNow + options_.suspicion_min(3)) << "nobody could confirm it";
  roster_.tick(end - 1ns);
  EXPECT_TRUE(roster_.up(kOther));
  roster_.tick(end);
  const Roster::News news = roster_.take_news();
  EXPECT_THAT(news.went_down, ElementsAre(kOther));
  EXPECT_THAT(news.spread, ElementsAre(Message(Down{kOther, 5, NodeId{1}})));
  roster_.hear(Down{kOther, 5, kThird}, end);
  EXPECT_THAT(roster_.take_news().went_down, IsEmpty());
  EXPECT_EQ(roster_.members().find(kOther)->state, MemberState::kUp) << "it stays a member";
}

TEST_F(RosterTest, ConfirmationsAreToldOnAndBringTheEndNearer) {
  meet(6);
  roster_.missed(kOther, kNow);
  roster_.take_news();
  const Instant alone = roster_.next_deadline();
  roster_.hear(Suspect{kOther, 5, kThird}, kNow);
  EXPECT_THAT(roster_.take_news().spread, SizeIs(1));
  EXPECT_LT(roster_.next_deadline(), alone);
  roster_.hear(Suspect{kOther, 5, kThird}, kNow);
  EXPECT_THAT(roster_.take_news().spread, IsEmpty());
}

TEST_F(RosterTest, OnlyAHigherIncarnationTakesAnAccusationBack) {
  meet(3);
  roster_.hear(Suspect{kOther, 5, kThird}, kNow);
  roster_.hear(member(2, 5), kNow);
  EXPECT_EQ(roster_.belief(kOther), Belief::kSuspect);
  roster_.hear(member(2, 6), kNow);
  EXPECT_EQ(roster_.belief(kOther), Belief::kUp);
  roster_.hear(Suspect{kOther, 5, kThird}, kNow);
  roster_.hear(Down{kOther, 5, kThird}, kNow);
  EXPECT_EQ(roster_.belief(kOther), Belief::kUp) << "older than the refutation";
  roster_.hear(Down{kOther, 6, kThird}, kNow);
  roster_.hear(member(2, 6), kNow);
  roster_.heard_from(kOther, kNow);
  EXPECT_EQ(roster_.belief(kOther), Belief::kDown);
}

// ---- about itself ----

TEST_F(RosterTest, RefutesAccusationsOfItself) {
  roster_.hear(Suspect{NodeId{1}, 5, kOther}, kNow);
  Roster::News news = roster_.take_news();
  EXPECT_EQ(roster_.self().incarnation, 6U);
  EXPECT_EQ(news.refutations, 1U);
  EXPECT_THAT(news.spread, ElementsAre(Message(member(1, 6))));
  roster_.hear(Down{NodeId{1}, 9, kOther}, kNow);
  EXPECT_EQ(roster_.self().incarnation, 10U);
}

TEST_F(RosterTest, AnswersOldAccusationsWithWhatItIs) {
  roster_.hear(Suspect{NodeId{1}, 4, kOther}, kNow);
  const Roster::News news = roster_.take_news();
  EXPECT_EQ(news.refutations, 0U);
  EXPECT_THAT(news.spread, ElementsAre(Message(member(1, 5))));
}

TEST_F(RosterTest, RefutesATwinNoFasterThanItsRate) {
  const auto twin = [&](Instant now) {
    MemberRecord record = member(1, roster_.self().incarnation);
    record.peer_address = "copy:4741";
    roster_.hear(record, now);
    roster_.hear(Suspect{NodeId{1}, roster_.self().incarnation, kOther}, now);
    return roster_.take_news().refutations;
  };
  std::uint32_t refutations = 0;
  for (int i = 0; i < 100; ++i) refutations += twin(kNow);
  EXPECT_EQ(refutations, Roster::kRefutationsMax);
  EXPECT_EQ(twin(kNow + Roster::kRefutationInterval), 1U);
}

TEST_F(RosterTest, ALaterEpochOfItselfIsReportedHoweverOldTheRecord) {
  MemberRecord later = member(1, 3);
  later.epoch = roster_.self().epoch + 4;
  later.peer_address = "elsewhere:4741";
  roster_.hear(later, kNow);
  Roster::News news = roster_.take_news();
  EXPECT_EQ(news.later_epoch, later.epoch);
  EXPECT_THAT(news.elsewhere, ElementsAre("elsewhere:4741"));
  later.epoch = ActorId::kEpochMax + 1;
  roster_.hear(later, kNow);
  later.epoch = roster_.self().epoch;
  roster_.hear(later, kNow);
  news = roster_.take_news();
  EXPECT_EQ(news.later_epoch, 0U);
  EXPECT_THAT(news.elsewhere, IsEmpty());
}

TEST_F(RosterTest, DoesNotRefuteOnceItHasLeft) {
  roster_.change_self(member(1, 0, MemberState::kLeft));
  roster_.take_news();
  roster_.hear(Down{NodeId{1}, 6, kOther}, kNow);
  EXPECT_EQ(roster_.self(), member(1, 6, MemberState::kLeft));
  EXPECT_THAT(roster_.take_news().spread, IsEmpty());
}

TEST_F(RosterTest, TellsTheAccusedFirstOfAll) {
  meet(3);
  EXPECT_EQ(roster_.news_for(kOther), std::nullopt);
  roster_.missed(kOther, kNow);
  EXPECT_EQ(roster_.news_for(kOther), Message(Suspect{kOther, 5, NodeId{1}}));
  roster_.hear(Down{kOther, 5, kThird}, kNow);
  EXPECT_EQ(roster_.news_for(kOther), Message(Down{kOther, 5, NodeId{1}}));
  roster_.remove(kOther, kNow);
  EXPECT_EQ(roster_.news_for(kOther), Message(member(2, 5, MemberState::kRemoved)));
}

// ---- who went ----

TEST_F(RosterTest, WhoLeftOrWasRemovedIsNoMemberAndAccusationsOfItAreContradicted) {
  meet(4);
  roster_.hear(member(2, 6, MemberState::kLeft), kNow);
  EXPECT_TRUE(roster_.remove(kThird, kNow));
  EXPECT_FALSE(roster_.remove(NodeId{77}, kNow));
  EXPECT_THAT(roster_.take_news().went_down, ElementsAre(kOther, kThird));
  EXPECT_EQ(roster_.n(), 2U);
  EXPECT_THAT(roster_.unreachable(), IsEmpty());
  roster_.hear(Suspect{kThird, 5, NodeId{4}}, kNow);
  EXPECT_THAT(roster_.take_news().spread,
              ElementsAre(Message(member(3, 5, MemberState::kRemoved))));
}

TEST_F(RosterTest, WhoWentIsRememberedAsAListenerForAWhile) {
  meet(3);
  roster_.hear(Down{kOther, 5, kThird}, kNow);
  EXPECT_THAT(roster_.gone_lately(kNow), ElementsAre(kOther));
  roster_.tick(kNow + options_.gossip_to_gone);
  EXPECT_THAT(roster_.gone_lately(kNow), IsEmpty());
}

// ---- push-pull ----

TEST_F(RosterTest, WhatAPeerTakesForDownIsSuspectedWhereItIsUp) {
  meet(3);
  roster_.hear({{member(2, 5), Belief::kDown, 5}}, kThird, kNow);
  EXPECT_EQ(roster_.belief(kOther), Belief::kSuspect);
  EXPECT_THAT(roster_.take_news().went_down, IsEmpty());
}

TEST_F(RosterTest, AJoinerTakesOverWhoIsUpAndWhoIsNotAndTellsNobody) {
  roster_.hear({{member(2, 5), Belief::kUp, 5},
                {member(3, 5), Belief::kDown, 5},
                {member(4, 5), Belief::kSuspect, 5},
                {member(1, 5), Belief::kUp, 5}},
               kOther, kNow);
  EXPECT_TRUE(roster_.up(kOther));
  EXPECT_EQ(roster_.belief(kThird), Belief::kDown);
  EXPECT_EQ(roster_.belief(NodeId{4}), Belief::kSuspect);
  const Roster::News news = roster_.take_news();
  EXPECT_THAT(news.came_up, ElementsAre(kOther, NodeId{4}));
  EXPECT_THAT(news.went_down, IsEmpty());
  EXPECT_THAT(news.spread, IsEmpty());
}

TEST_F(RosterTest, SaysWhatAPeerLacksAndHashesAsOneThatLacksNothing) {
  meet(3);
  Roster other(member(2, 5), {}, options_, kNow);
  EXPECT_NE(roster_.hash(), other.hash());
  other.hear(roster_.lacking(other.views()), NodeId{1}, kNow);
  EXPECT_EQ(roster_.hash(), other.hash());
  EXPECT_THAT(roster_.lacking(other.views()), IsEmpty());
}

// ---- laws ----

// Records, accusations and verdicts about few members at few incarnations, in any order and any
// number: all that hear them believe the same.
RC_GTEST_PROP(RosterLaw, TheOrderInWhichNewsComesDoesNotMatter, ()) {
  const auto observed =
      rc::gen::map(rc::gen::tuple(rc::gen::inRange<std::uint64_t>(2, 5),
                                  rc::gen::inRange<std::uint64_t>(0, 4), rc::gen::inRange(0, 3)),
                   [](const auto& drawn) {
                     const auto [node, incarnation, kind] = drawn;
                     if (kind == 0) return Message(member(node, incarnation));
                     if (kind == 1) return Message(Suspect{NodeId{node}, incarnation, NodeId{9}});
                     return Message(Down{NodeId{node}, incarnation, NodeId{9}});
                   });
  auto news = *rc::gen::container<std::vector<Message>>(observed);
  const SwimOptions options;
  const auto told = [&] {
    Roster roster(member(1), {}, options, kNow);
    for (std::uint64_t id = 2; id < 5; ++id) roster.hear(member(id), kNow);
    for (const Message& message : news) {
      std::visit(
          [&](const auto& update) {
            if constexpr (requires { roster.hear(update, kNow); }) roster.hear(update, kNow);
          },
          message);
    }
    return roster.views();
  };
  const auto in_order = told();
  Random random(*rc::gen::arbitrary<std::uint64_t>());
  for (std::size_t i = news.size(); i > 1; --i) std::swap(news[i - 1], news[random.below(i)]);
  RC_ASSERT(told() == in_order);
  RC_ASSERT(told() == in_order);
}

}  // namespace
}  // namespace grapevine::gossip
