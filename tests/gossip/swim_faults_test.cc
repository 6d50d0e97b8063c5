// Goal: members are seldom wrong about who lives, and never for long: through restarts, changes of
// address, loss, cuts in one direction or both, and slowness.
// Method: as in swim_test.cc.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/swim_cluster.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;

using SwimFaultsTest = SwimCluster;
INSTANTIATE_TEST_SUITE_P(Seeds, SwimFaultsTest, ::testing::Range<std::uint64_t>(1, 6));

// ---- coming back ----

TEST_P(SwimFaultsTest, AMemberThatComesBackAfterAnHourIsNoticedByAll) {
  Village village = cluster(5);
  const auto list = village.at(3).members().all();
  village.kill(3);
  village.run(1h);
  EXPECT_EQ(village.at(1).members().find(NodeId{3})->state, MemberState::kUp);
  village.start(member(3, 2), {}, list);
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 5s));
}

TEST_P(SwimFaultsTest, AMemberThatForgotItsIncarnationsIsToldOfTheAccusationAndRefutesIt) {
  Village village = cluster(5);
  village.kill(3);
  village.run(30s);
  // Neither list nor seeds: the others find it, and the accusation, older than its life, reaches
  // it.
  village.start(member(3, 0));
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 20s));
  EXPECT_GT(village.at(3).self().incarnation, 1U);
}

TEST_P(SwimFaultsTest, AMemberThatComesBackElsewhereIsFoundThere) {
  Village village = cluster(5);
  const auto list = village.at(3).members().all();
  village.kill(3);
  village.run(30s);
  MemberRecord moved = member(3, 2);
  moved.epoch = 7;
  moved.peer_address = "elsewhere:4741";
  village.start(moved, {}, list);
  ASSERT_TRUE(village.run_until([&] { return village.acquainted(); }, 5s));
  village.run(60s);
  EXPECT_TRUE(village.acquainted());
  EXPECT_EQ(village.at(1).members().find(NodeId{3})->peer_address, "elsewhere:4741");
  EXPECT_EQ(village.at(1).members().find(NodeId{3})->epoch, 7U);
}

TEST_P(SwimFaultsTest, AQuickRestartIsNoVerdict) {
  Village village = cluster(5);
  village.run(5s);
  const Instant restarted = village.now();
  const auto list = village.at(3).members().all();
  village.start(member(3, 2), {}, list);
  village.run(60s);
  EXPECT_TRUE(village.acquainted());
  EXPECT_EQ(village.down_verdicts_since(restarted), 0U);
}

TEST_P(SwimFaultsTest, AllRestartedAtOnceMeetAgainWithoutSeeds) {
  for (const bool remembers : {true, false}) {
    Village village = cluster(12);
    const auto list = village.at(1).members().all();
    for (std::uint64_t id = 1; id <= 12; ++id) village.kill(id);
    village.run(10s);
    for (std::uint64_t id = 1; id <= 12; ++id) {
      village.start(member(id, remembers ? 2 : 1), {}, list);
    }
    EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 15s)) << remembers;
  }
}

TEST_P(SwimFaultsTest, AllButOneRestartedWhileTheyWereTakenForDownMeetAgain) {
  Village village = cluster(6);
  const auto list = village.at(1).members().all();
  for (std::uint64_t id = 2; id <= 6; ++id) village.kill(id);
  ASSERT_TRUE(village.run_until([&] { return village.acquainted(); }, 60s));
  // Memberlist's issue 311: the survivor accuses all others of a life that they do not remember.
  for (std::uint64_t id = 2; id <= 6; ++id) village.start(member(id, 0), {}, list);
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 20s));
}

TEST_P(SwimFaultsTest, AFlappingMemberIsSeenAsItIsInTheEnd) {
  Village village = cluster(6);
  std::uint64_t incarnation = 1;
  for (int i = 0; i < 10; ++i) {
    village.kill(2);
    village.run(Duration(1s) * (i + 1));
    village.start(member(2, ++incarnation), {address_of(1)});
    village.run(Duration(1s) * (10 - i));
  }
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 5s));
  village.kill(2);
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 30s));
}

// ---- bad networks ----

TEST_P(SwimFaultsTest, TakesNobodyForDownWhileOnePacketInTwentyIsLost) {
  Village village = cluster(10, SwimOptions::lan(), {.loss = 0.05});
  village.run(20min);
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
  EXPECT_GT(village.at(1).counters().probes_helped, 50U) << "the rare path was reached";
}

TEST_P(SwimFaultsTest, TakesNobodyForDownWhileOnePacketInThreeIsLostAndAccusationsAreRefuted) {
  Village village = cluster(10, SwimOptions::lan(), {.loss = 0.33});
  village.run(20min);
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
  std::uint64_t missed = 0;
  std::uint64_t refuted = 0;
  for (const auto& [id, node] : village.nodes()) {
    missed += node->swim.counters().probes_missed;
    refuted += node->swim.counters().refutations;
  }
  EXPECT_GT(missed, 0U) << "the rare path was reached";
  EXPECT_GT(refuted, 0U) << "the rare path was reached";
}

TEST_P(SwimFaultsTest, TakesNobodyForDownWhereDatagramsAreBlocked) {
  Village village = cluster(5);
  village.block_datagrams();
  village.run(5min);
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
  village.kill(2);
  EXPECT_TRUE(village.run_until([&] { return village.all_believe(2, false); }, 120s));
}

TEST_P(SwimFaultsTest, ACutBetweenTwoIsBridgedByTheOthers) {
  Village village = cluster(6);
  village.cut(1, 2);
  village.cut(2, 1);
  village.run(5min);
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
}

TEST_P(SwimFaultsTest, ACutInOneDirectionIsBridgedByTheOthers) {
  Village village = cluster(6);
  village.cut(1, 2);
  village.run(5min);
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
}

TEST_P(SwimFaultsTest, AMemberThatHearsNothingIsDownAndAccusesNobodyWithSuccess) {
  Village village = cluster(8);
  for (std::uint64_t id = 2; id <= 8; ++id) village.cut(id, 1);
  const Instant cut = village.now();
  village.run(2min);
  for (const auto& verdict : village.verdicts()) {
    if (verdict.at < cut || verdict.up || verdict.by == NodeId{1}) continue;
    EXPECT_EQ(verdict.of, NodeId{1});
  }
  for (std::uint64_t id = 2; id <= 8; ++id) EXPECT_FALSE(village.at(id).up(NodeId{1}));
  village.heal();
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 30s));
}

TEST_P(SwimFaultsTest, HalvesThatWereSplitMeetAgainSoon) {
  Village village = cluster(10);
  village.split_after(4);
  ASSERT_TRUE(village.run_until(
      [&] {
        return village.at(1).members().size() == 10 && !village.at(1).up(NodeId{5}) &&
               !village.at(10).up(NodeId{1});
      },
      60s));
  village.run(10min);
  village.heal();
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 15s));
  village.run(60s);
  EXPECT_TRUE(village.acquainted());
}

// ---- slow members ----

TEST_P(SwimFaultsTest, ASuspectMayStillRefuteWhenItsAccuserWasPaused) {
  Village village = cluster(8);
  PacketWriter accusation(0, NodeId{4}, kPacketBytesMax);
  accusation.add(Suspect{NodeId{5}, village.at(5).self().incarnation, NodeId{4}});
  village.at(3).on_packet(address_of(4), accusation.take(), village.now());
  ASSERT_EQ(village.at(3).belief(NodeId{5}), Belief::kSuspect);
  village.pause(3);
  village.run(10min);
  village.resume(3);
  const Instant resumed = village.now();
  ASSERT_TRUE(village.run_until([&] { return village.acquainted(); }, 10s));
  EXPECT_EQ(village.down_verdicts_since(resumed), 0U);
  EXPECT_GT(village.at(5).self().incarnation, 1U) << "it heard and refuted";
}

TEST_P(SwimFaultsTest, NobodyTakesItselfForSlowWhileAllIsWell) {
  for (const SwimOptions& options :
       {SwimOptions::local(), SwimOptions::lan(), SwimOptions::wan()}) {
    Village village = cluster(5, options);
    for (int i = 0; i < 200; ++i) {
      village.run(options.probe_interval * 19 / 10);
      village.at(3).on_connection_lost(NodeId{5});
      village.settle(3);
      EXPECT_EQ(village.at(3).health(), 0U);
    }
  }
}

TEST_P(SwimFaultsTest, APausedMemberAccusesNobodyWhenItGoesOn) {
  for (const Duration pause : {3s, 20s, 300s}) {
    Village village = cluster(8, SwimOptions::lan(), {.loss = 0.1});
    for (int i = 0; i < 10; ++i) {
      village.pause(3);
      village.run(pause);
      const Instant resumed = village.now();
      village.resume(3);
      village.run(60s);
      for (const auto& verdict : village.verdicts()) {
        EXPECT_FALSE(verdict.at >= resumed && !verdict.up && verdict.of != NodeId{3});
      }
      EXPECT_TRUE(village.acquainted());
    }
  }
}

TEST_P(SwimFaultsTest, ASlowMemberIsNotTakenForDown) {
  Village village = cluster(8);
  const Instant began = village.now();
  village.slow(3, 700ms);
  village.run(5min);
  EXPECT_EQ(village.down_verdicts_since(began), 0U);
}

TEST_P(SwimFaultsTest, ASlowMemberAccusesFewerOthersForKnowingItsHealth) {
  const auto accusations = [&](std::uint32_t health_max) {
    SwimOptions options;
    options.health_max = health_max;
    Village village = cluster(8, options);
    village.slow(3, 1200ms);
    village.run(5min);
    return village.at(3).counters().probes_missed;
  };
  EXPECT_LT(accusations(8) * 4, accusations(1));
}

}  // namespace
}  // namespace grapevine::gossip
