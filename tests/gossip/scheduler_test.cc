// Goal: who has waited longest is next; what is known to be missing does not wait for the timer;
// never two exchanges with one peer nor more than allowed; and after any failure the machine waits
// for time to pass.
#include "gossip/scheduler.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr NodeId kA{1};
constexpr NodeId kB{2};
constexpr NodeId kC{3};

ExchangeReport proven() {
  ExchangeReport report;
  report.proven_equal = true;
  return report;
}
ExchangeReport progress() {
  ExchangeReport report;
  report.keys_pulled = 1;
  return report;
}
ExchangeReport failure() {
  ExchangeReport report = progress();
  report.status = absl::UnavailableError("gone");
  return report;
}

class Rounds : public ::testing::Test {
 protected:
  std::vector<NodeId> due() { return scheduler_.due(now_); }
  // Meets a peer at once, and has it proven equal.
  void meet(NodeId peer) {
    scheduler_.peer_up(peer, now_);
    ASSERT_THAT(due(), ElementsAre(peer));
    scheduler_.ended(peer, proven(), now_);
    now_ = now_ + 1ms;
  }
  // The round of the timer.
  std::vector<NodeId> next_round() {
    now_ = scheduler_.next_deadline();
    return due();
  }

  SchedulerOptions options_;
  Random random_{1};
  Instant now_{1h};
  Scheduler scheduler_{options_, random_};
};

TEST_F(Rounds, WhoIsToldToBeEqualNeedsNoExchangeForAsLongAsItIsTold) {
  meet(kA);
  meet(kB);
  scheduler_.told(kA, true, now_);
  EXPECT_THAT(next_round(), ElementsAre(kB));
  scheduler_.ended(kB, proven(), now_);
  scheduler_.told(kB, true, now_);
  EXPECT_THAT(next_round(), IsEmpty());
  EXPECT_THAT(next_round(), IsEmpty());
  scheduler_.told(kB, false, now_);
  EXPECT_THAT(next_round(), ElementsAre(kB));
  scheduler_.ended(kB, proven(), now_);
  // Nothing has come from either for a long time.
  now_ = now_ + (Scheduler::kToldRounds * 3 + 1) * options_.interval;
  EXPECT_THAT(due(), ElementsAre(kA));
}

TEST_F(Rounds, WhatIsWantedDoesNotWaitForWhatWasTold) {
  meet(kA);
  scheduler_.told(kA, true, now_);
  scheduler_.want(kA, now_);
  now_ = now_ + Scheduler::kAgainAfter;
  EXPECT_THAT(due(), ElementsAre(kA));
}

TEST_F(Rounds, APeerThatComesUpIsComparedWithAtOnce) {
  scheduler_.due(now_);  // the first round has nobody
  scheduler_.peer_up(kA, now_);
  EXPECT_EQ(scheduler_.next_deadline(), now_);
  EXPECT_THAT(due(), ElementsAre(kA));
  EXPECT_THAT(due(), IsEmpty());
}

TEST_F(Rounds, TheOneThatHasWaitedLongestIsNext) {
  meet(kB);
  meet(kC);
  meet(kA);
  for (const NodeId expected : {kB, kC, kA, kB, kC, kA}) {
    EXPECT_THAT(next_round(), ElementsAre(expected));
    scheduler_.ended(expected, proven(), now_);
  }
}

TEST_F(Rounds, RoundsAreAnIntervalApartWithinTheJitter) {
  meet(kA);
  next_round();
  scheduler_.ended(kA, proven(), now_);
  std::set<Duration> gaps;
  for (int i = 0; i < 200; ++i) {
    const Instant before = now_;
    EXPECT_THAT(next_round(), ElementsAre(kA));
    scheduler_.ended(kA, proven(), now_);
    gaps.insert(now_ - before);
  }
  EXPECT_GE(*gaps.begin(), options_.interval * 3 / 4);
  EXPECT_LE(*gaps.rbegin(), options_.interval * 5 / 4);
  EXPECT_LT(*gaps.begin(), options_.interval * 4 / 5);  // and it does use its freedom
  EXPECT_GT(*gaps.rbegin(), options_.interval * 6 / 5);
}

TEST_F(Rounds, WhatIsWantedComesBeforeTheTimer) {
  meet(kA);
  meet(kB);
  next_round();
  scheduler_.ended(kA, proven(), now_);
  scheduler_.want(kA, now_);
  scheduler_.want(kA, now_ + 10ms);  // does not put it off
  EXPECT_EQ(scheduler_.next_deadline(), now_ + Scheduler::kAgainAfter);
  EXPECT_THAT(due(), IsEmpty());
  now_ = scheduler_.next_deadline();
  EXPECT_THAT(due(), ElementsAre(kA));
}

TEST_F(Rounds, AfterProgressItGoesOnSoonAfterAProofItDoesNot) {
  meet(kA);
  next_round();
  scheduler_.ended(kA, progress(), now_);
  EXPECT_EQ(scheduler_.next_deadline(), now_ + Scheduler::kAgainAfter);
  now_ = scheduler_.next_deadline();
  EXPECT_THAT(due(), ElementsAre(kA));
  scheduler_.ended(kA, proven(), now_);
  EXPECT_EQ(scheduler_.peers().at(kA).proven_equal, now_);
  EXPECT_GT(scheduler_.next_deadline(), now_ + Scheduler::kAgainAfter);
}

TEST_F(Rounds, AfterAFailureItWaitsForTheTimerAndForItsTurn) {
  meet(kA);
  meet(kB);
  EXPECT_THAT(next_round(), ElementsAre(kA));
  scheduler_.ended(kA, failure(), now_);
  EXPECT_GE(scheduler_.next_deadline() - now_, options_.interval * 3 / 4);
  EXPECT_THAT(next_round(), ElementsAre(kB));
  EXPECT_FALSE(scheduler_.peers().at(kA).proven_equal == now_);
}

TEST_F(Rounds, WithNobodyReachableItDoesNotSpin) {
  meet(kA);
  scheduler_.want(kA, now_);
  scheduler_.peer_down(kA);
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(next_round(), IsEmpty());
    EXPECT_GE(scheduler_.next_deadline() - now_, options_.interval * 3 / 4);
  }
}

TEST_F(Rounds, OneExchangeAPeer) {
  meet(kA);
  EXPECT_THAT(next_round(), ElementsAre(kA));
  scheduler_.want(kA, now_);
  EXPECT_FALSE(scheduler_.claim(kA));
  EXPECT_THAT(next_round(), IsEmpty());
  EXPECT_GE(scheduler_.next_deadline() - now_, options_.interval * 3 / 4);
  scheduler_.ended(kA, proven(), now_);
  EXPECT_TRUE(scheduler_.claim(kA));
  EXPECT_THAT(next_round(), IsEmpty());
}

TEST_F(Rounds, NoMoreAtOnceThanAllowedAndTheOthersFollow) {
  for (std::uint64_t id = 1; id <= 6; ++id) scheduler_.peer_up(NodeId{id}, now_);
  const auto first = due();
  ASSERT_THAT(first, SizeIs(options_.exchanges_at_once));
  EXPECT_FALSE(scheduler_.claim(NodeId{6}));
  EXPECT_THAT(due(), IsEmpty());
  EXPECT_GE(scheduler_.next_deadline() - now_, options_.interval * 3 / 4);  // does not spin either
  scheduler_.ended(first[0], proven(), now_);
  scheduler_.ended(first[1], proven(), now_);
  EXPECT_EQ(scheduler_.next_deadline(), now_);
  EXPECT_THAT(due(), UnorderedElementsAre(NodeId{5}, NodeId{6}));
}

TEST_F(Rounds, PeersThatAlwaysHaveMoreDoNotStarveOneThatWaits) {
  SchedulerOptions options;
  options.exchanges_at_once = 1;
  Scheduler scheduler(options, random_);
  for (const NodeId peer : {kA, kB, kC}) scheduler.peer_up(peer, now_);
  // A and B always make progress and are wanted again; C never is.
  std::map<NodeId, int> met;
  std::vector<NodeId> running = scheduler.due(now_);
  for (int i = 0; i < 400; ++i) {
    now_ = now_ + 60ms;
    for (const NodeId peer : running) {
      ++met[peer];
      scheduler.ended(peer, peer == kC ? ExchangeReport{} : progress(), now_);
    }
    now_ = now_ + 60ms;
    running = scheduler.due(now_);
  }
  EXPECT_GT(met[kA], 10);
  EXPECT_GT(met[kB], 10);
  EXPECT_GT(met[kC], 10);
}

TEST_F(Rounds, AForgottenPeerGivesItsPlaceFree) {
  SchedulerOptions options;
  options.exchanges_at_once = 1;
  Scheduler scheduler(options, random_);
  scheduler.peer_up(kA, now_);
  EXPECT_THAT(scheduler.due(now_), ElementsAre(kA));
  scheduler.forget(kA);
  scheduler.ended(kA, progress(), now_);
  scheduler.peer_up(kB, now_);
  EXPECT_THAT(scheduler.due(now_), ElementsAre(kB));
  EXPECT_FALSE(scheduler.peers().contains(kA));
}

// Whatever happens: at most so many under way, none twice, only reachable ones begun, and a
// deadline that is met is over.
RC_GTEST_PROP(SchedulerLaw, BoundsHoldAndTimeIsWaitedFor, ()) {
  Random random(*rc::gen::arbitrary<std::uint64_t>());
  SchedulerOptions options;
  options.exchanges_at_once = *rc::gen::inRange<std::size_t>(1, 4);
  Scheduler scheduler(options, random);
  Instant now{1h};
  std::set<NodeId> under_way;
  using Act = std::pair<int, std::uint64_t>;
  for (const auto& [act, id] : *rc::gen::container<std::vector<Act>>(
           rc::gen::pair(rc::gen::inRange(0, 8), rc::gen::inRange<std::uint64_t>(1, 6)))) {
    const NodeId peer{id};
    now = now + 10ms;
    if (act == 0) scheduler.peer_up(peer, now);
    if (act == 1) scheduler.peer_down(peer);
    if (act == 2) scheduler.want(peer, now);
    if (act == 3 && scheduler.claim(peer)) RC_ASSERT(under_way.insert(peer).second);
    if (act == 4 && under_way.erase(peer) > 0) scheduler.ended(peer, failure(), now);
    if (act == 5 && under_way.erase(peer) > 0) scheduler.ended(peer, progress(), now);
    if (act >= 6) {
      now = std::max(now, scheduler.next_deadline());
      for (const NodeId begun : scheduler.due(now)) {
        RC_ASSERT(under_way.insert(begun).second);
        RC_ASSERT(scheduler.peers().at(begun).reachable);
      }
      RC_ASSERT(scheduler.next_deadline() > now);
    }
    RC_ASSERT(under_way.size() <= options.exchanges_at_once);
  }
}

}  // namespace
}  // namespace grapevine::gossip
