// Goal: members find each other, agree on who answers, and hear what is told to all; who left or
// was removed stays away; an idle cluster says little.
// Method: whole clusters of SWIM machines in virtual time (swim_network.h), each claim over a few
// seeds.
#include "gossip/swim.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/swim_cluster.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::SizeIs;

using SwimTest = SwimCluster;
INSTANTIATE_TEST_SUITE_P(Seeds, SwimTest, ::testing::Range<std::uint64_t>(1, 6));

// The latest that a member killed in good weather may be found by all: its turn comes within two
// rounds in one of the others, a probe takes an interval, the suspicion its time, the news a
// second.
Duration found_within(const SwimOptions& options, std::size_t n) {
  return 3 * options.probe_interval + options.suspicion_max(n) / 2 + 1s;
}

// ---- joining ----

TEST_P(SwimTest, EveryoneMeetsEveryoneThroughOneSeed) {
  SwimNetwork village = network();
  for (std::uint64_t id = 1; id <= 20; ++id) village.start(member(id), {address_of(1)});
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 5s));
}

TEST_P(SwimTest, AProbeBringsWhatTheProbedOneHolds) {
  SwimNetwork village = network();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    village.start(member(id), {address_of(1)});
    village.at(id).summarize_with([id](NodeId of) -> std::optional<Summary> {
      if (of.value == 3) return std::nullopt;  // they share nothing with it
      return Summary{{id, of.value}, 7};
    });
  }
  std::vector<std::pair<NodeId, Summary>> heard;  // of 1 and 3
  village.on_summary = [&](NodeId at, NodeId from, const Summary& summary) {
    EXPECT_EQ(summary, (Summary{{from.value, at.value}, 7}));
    EXPECT_NE(at, NodeId{3});
    heard.emplace_back(at, summary);
  };
  EXPECT_TRUE(village.run_until([&] { return heard.size() >= 20; }, 30s));
}

TEST_P(SwimTest, SeedsThatAreAllDownAtFirstAreCalledUntilOneAnswers) {
  SwimNetwork village = network();
  for (std::uint64_t id = 4; id <= 6; ++id) {
    village.start(member(id), {address_of(1), address_of(2), address_of(3)});
  }
  village.run(60s);
  EXPECT_EQ(village.at(4).members().size(), 1U);
  village.start(member(2), {address_of(1), address_of(3)});
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 3s));
}

TEST_P(SwimTest, GroupsThatKnowNothingOfEachOtherMeetThroughASeedThatComesLater) {
  SwimNetwork village = network();
  village.start(member(1), {address_of(9)});
  village.start(member(2), {address_of(1)});
  village.start(member(3), {address_of(9)});
  village.start(member(4), {address_of(3)});
  village.run(5s);
  EXPECT_EQ(village.at(1).members().size(), 2U);
  village.start(member(9));
  EXPECT_TRUE(
      village.run_until([&] { return village.acquainted(); }, SwimOptions().seed_interval + 5s));
}

TEST_P(SwimTest, ASeedWhoseOwnerHasANewIdIsCalledAgain) {
  Village village = cluster(3);
  village.kill(1);
  ASSERT_TRUE(village.run_until([&] { return village.all_believe(1, false); }, 30s));
  MemberRecord replaced = member(7, 1);
  replaced.peer_address = address_of(1);
  village.start(replaced);  // its disk was lost, and nobody told it of the others
  EXPECT_TRUE(
      village.run_until([&] { return village.acquainted(); }, SwimOptions().seed_interval + 5s));
  EXPECT_EQ(village.at(2).belief(NodeId{1}), Belief::kDown);
}

TEST_P(SwimTest, AJoinerIsKnownToAHundredWithinSeconds) {
  SwimNetwork village = network();
  village.start_acquainted(100);
  village.start(member(101), {address_of(50)});
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 3s));
}

// ---- death ----

TEST_P(SwimTest, AKilledMemberIsFoundByAllInTimeAndNobodyElseIsAccused) {
  for (const std::uint64_t n : {2U, 3U, 5U, 30U}) {
    Village village = cluster(n);
    village.run(10s);
    village.kill(2);
    const auto took = village.run_until([&] { return village.all_believe(2, false); },
                                        found_within(SwimOptions(), n));
    ASSERT_TRUE(took) << n;
    EXPECT_GE(*took, SwimOptions().suspicion_min(n)) << n;
    village.run(60s);
    for (const auto& verdict : village.verdicts()) {
      EXPECT_TRUE(verdict.up || verdict.of == NodeId{2});
    }
    EXPECT_TRUE(village.acquainted());
  }
}

TEST_P(SwimTest, OnOneMachineAKilledMemberIsFoundWithinThreeSeconds) {
  Village village = cluster(3, SwimOptions::local());
  village.run(10s);
  village.kill(2);
  EXPECT_TRUE(village.run_until([&] { return village.all_believe(2, false); }, 3s));
}

TEST_P(SwimTest, ALostConnectionHastensTheVerdict) {
  Village village = cluster(3);
  village.kill(2);
  for (const std::uint64_t id : {1U, 3U}) {
    village.at(id).on_connection_lost(NodeId{2});
    village.settle(id);
  }
  EXPECT_TRUE(
      village.run_until([&] { return village.all_believe(2, false); },
                        SwimOptions().probe_interval + SwimOptions().suspicion_min(3) + 100ms));
}

TEST_P(SwimTest, WhereNobodyListensAMemberIsDownWithinItsTimeToRefute) {
  for (const SwimOptions& options : {SwimOptions::local(), SwimOptions::lan()}) {
    Village village = cluster(5, options);
    village.run(10s);
    village.kill_process(2);
    village.at(3).on_connection_lost(NodeId{2});
    village.settle(3);
    const auto took = village.run_until([&] { return !village.at(3).up(NodeId{2}); }, 10s);
    ASSERT_TRUE(took);
    EXPECT_GE(*took, options.refused_time);
    EXPECT_LE(*took, options.refused_time + 100ms);
    EXPECT_TRUE(village.run_until([&] { return village.all_believe(2, false); }, 1s))
        << "the others are told";
  }
}

TEST_P(SwimTest, ARestartThatIsQuickEnoughRefutesARefusal) {
  Village village = cluster(5);
  village.run(10s);
  const auto list = village.at(2).members().all();
  village.kill_process(2);
  village.at(3).on_connection_lost(NodeId{2});
  village.settle(3);
  village.run(100ms);
  village.start(member(2, 9), {address_of(1)}, list);
  village.run(60s);
  EXPECT_TRUE(village.acquainted());
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
}

TEST_P(SwimTest, WhoSaysThatItStopsIsDownAtOnce) {
  Village village = cluster(10);
  village.at(4).stop(village.now());
  village.settle(4);
  ASSERT_TRUE(village.run_until([&] { return village.at(4).told(); }, 2s));
  village.kill(4);
  EXPECT_TRUE(village.run_until([&] { return village.all_believe(4, false); }, 1s));
  EXPECT_EQ(village.at(1).members().find(NodeId{4})->state, MemberState::kUp)
      << "it stays a member";
}

TEST_P(SwimTest, TheLastOneThatLivesNoticesThatItIsAlone) {
  Village village = cluster(4);
  for (const std::uint64_t id : {1U, 2U, 3U}) village.kill(id);
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 60s));
}

// ---- records ----

TEST_P(SwimTest, AChangeOfARecordReachesAll) {
  Village village = cluster(20);
  MemberRecord changed = village.at(7).self();
  changed.weight = 7;
  village.at(7).change_self(changed, village.now());
  village.settle(7);
  EXPECT_TRUE(village.run_until(
      [&] {
        return std::all_of(village.nodes().begin(), village.nodes().end(), [](const auto& node) {
          return node.second->swim.members().find(NodeId{7})->weight == 7;
        });
      },
      3s));
  EXPECT_EQ(village.down_verdicts_since({}), 0U);
}

// ---- who knows what ----

TEST_P(SwimTest, ACheckSaysWhoKnowsAllThatIsKnownHere) {
  Village village = cluster(4);
  village.run(10s);
  village.node(1).told.clear();
  const Instant begun = village.now();
  village.at(1).check(NodeId{3}, begun);
  village.settle(1);
  village.run(1s);
  ASSERT_THAT(village.node(1).told, SizeIs(1));
  EXPECT_EQ(village.node(1).told[0].node, NodeId{3});
  EXPECT_EQ(village.node(1).told[0].begun, begun);
}

TEST_P(SwimTest, WhoLacksSomethingIsTakenForToldOnceItHasBeenTold) {
  Village village = cluster(4);
  village.run(10s);
  village.block_datagrams();
  MemberRecord changed = village.at(1).self();
  changed.epoch = 7;
  village.at(1).change_self(changed, village.now());
  village.settle(1);
  village.node(1).told.clear();
  const Instant changed_at = village.now();
  village.at(1).check(NodeId{3}, village.now());
  village.settle(1);
  ASSERT_TRUE(village.run_until(
      [&] {
        const auto& told = village.node(1).told;
        return std::any_of(told.begin(), told.end(), [&](const Swim::Told& one) {
          return one.node == NodeId{3} && one.begun >= changed_at;
        });
      },
      5s));
  EXPECT_EQ(village.at(3).members().find(NodeId{1})->epoch, 7U);
}

bool all_have(const SwimNetwork& village, std::uint64_t id, MemberState state) {
  return std::all_of(village.nodes().begin(), village.nodes().end(), [&](const auto& node) {
    const MemberRecord* const record = node.second->swim.members().find(NodeId{id});
    return record != nullptr && record->state == state;
  });
}

TEST_P(SwimTest, WhoLeavesIsKnownToHaveLeftBeforeItGoes) {
  Village village = cluster(10);
  village.at(4).leave(village.now());
  village.settle(4);
  ASSERT_TRUE(village.run_until([&] { return village.at(4).told(); }, 3s));
  village.kill(4);
  EXPECT_TRUE(village.run_until([&] { return all_have(village, 4, MemberState::kLeft); }, 1s));
  EXPECT_TRUE(village.acquainted());
  village.run(60s);
  EXPECT_TRUE(all_have(village, 4, MemberState::kLeft));
  // It may come back.
  village.start(member(4, 9), {address_of(1)});
  EXPECT_TRUE(village.run_until([&] { return village.acquainted(); }, 3s));
}

TEST_P(SwimTest, ARemovedMemberLearnsOfItAndDoesNotComeBack) {
  Village village = cluster(6);
  EXPECT_TRUE(absl::IsNotFound(village.at(1).remove(NodeId{77}, village.now())));
  EXPECT_TRUE(absl::IsInvalidArgument(village.at(1).remove(NodeId{1}, village.now())));
  ASSERT_TRUE(village.at(1).remove(NodeId{5}, village.now()).ok());
  village.settle(1);
  // Whom gossip misses learns it from the others' answer to its accusation.
  EXPECT_TRUE(village.run_until([&] { return all_have(village, 5, MemberState::kRemoved); }, 12s));
  village.run(60s);
  EXPECT_TRUE(all_have(village, 5, MemberState::kRemoved));
}

TEST_P(SwimTest, TwoRemovedMembersDoNotTalkToEachOtherForEver) {
  Village village = cluster(6);
  for (const std::uint64_t id : {5U, 6U}) {
    ASSERT_TRUE(village.at(1).remove(NodeId{id}, village.now()).ok());
  }
  village.settle(1);
  village.run(30s);
  PacketWriter ping(0, NodeId{6}, kPacketBytesMax);
  ping.add(Ping{1, NodeId{5}});
  village.at(5).on_packet(address_of(6), ping.take(), village.now());
  village.settle(5);
  const auto before = village.traffic().packets;
  village.run(1s);
  EXPECT_LE(village.traffic().packets - before, 2 * 6U);
}

TEST_P(SwimTest, AMemberThatWasRemovedWhileItWasAwayIsToldWhenItComesBack) {
  Village village = cluster(6);
  const auto list = village.at(5).members().all();
  village.kill(5);
  village.run(30s);
  ASSERT_TRUE(village.at(1).remove(NodeId{5}, village.now()).ok());
  village.settle(1);
  village.run(1h);
  village.start(member(5, 99), {}, list);
  EXPECT_TRUE(village.run_until([&] { return all_have(village, 5, MemberState::kRemoved); }, 5s));
  village.run(60s);
  EXPECT_TRUE(all_have(village, 5, MemberState::kRemoved));
  EXPECT_FALSE(village.at(1).up(NodeId{5}));
}

// ---- load and rumours ----

TEST_P(SwimTest, ALoadReachesAllAndIsSeldomSentAgainUnchanged) {
  Village village = cluster(8);
  const Load load{17, 50, 1000};
  village.at(2).set_load(load);
  village.settle(2);
  EXPECT_TRUE(village.run_until(
      [&] {
        return std::all_of(village.nodes().begin(), village.nodes().end(), [&](const auto& node) {
          const Load* const known = node.second->swim.load(NodeId{2});
          return known != nullptr && *known == load;
        });
      },
      3s));
  const auto sent_for_it = [&](Duration time) {
    const auto packets = village.traffic().packets;
    village.at(2).set_load(load);
    village.settle(2);
    village.run(time);
    return village.traffic().packets - packets;
  };
  village.run(3s);
  EXPECT_LE(sent_for_it(1s), 2 * 8U) << "probes and their answers alone";
  village.run(10s);
  EXPECT_GT(sent_for_it(1s), 2 * 8U) << "for those that have joined since";
}

TEST_P(SwimTest, ARumourIsDeliveredOnceToEach) {
  Village village = cluster(20, SwimOptions::lan(), {.loss = 0.2});
  ASSERT_TRUE(village.at(3).tell("config", "factor=3", village.now()).ok());
  village.settle(3);
  village.run(60s);
  for (const auto& [id, node] : village.nodes()) {
    EXPECT_THAT(node->rumours, SizeIs(id == NodeId{3} ? 0 : 1)) << id.value;
  }
}

TEST_P(SwimTest, ARumourThatWasMissedComesByPushPull) {
  Village village = cluster(5);
  const auto list = village.at(5).members().all();
  village.kill(5);
  village.run(20s);
  ASSERT_TRUE(village.at(3).tell("config", "factor=3", village.now()).ok());
  village.settle(3);
  village.run(5min);
  village.start(member(5, 2), {}, list);
  village.run(5s);
  ASSERT_THAT(village.node(5).rumours, SizeIs(1));
  EXPECT_EQ(village.node(5).rumours.front().payload, "factor=3");
  EXPECT_GE(village.node(5).rumours.front().age_seconds, 299U);
}

// ---- cost ----

TEST_P(SwimTest, AnIdleClusterSaysTheSameToEachWhateverItsSize) {
  const auto bytes_per_member_second = [&](std::uint64_t n) {
    SwimNetwork village = network();
    village.start_acquainted(n);
    village.run(60s);
    const auto before = village.traffic();
    village.run(60s);
    const auto& after = village.traffic();
    return static_cast<double>(after.packet_bytes + after.stream_bytes - before.packet_bytes -
                               before.stream_bytes) /
           60 / static_cast<double>(n);
  };
  const double few = bytes_per_member_second(5);
  EXPECT_LT(few, 60);
  EXPECT_LT(bytes_per_member_second(100), few * 1.2);
}

TEST_P(SwimTest, TwoProcessesUnderOneIdDoNotFloodTheNetwork) {
  Village village = cluster(6);
  const auto before = village.traffic().packets;
  for (int i = 0; i < 60; ++i) {
    // The twin lives elsewhere, and refutes whatever it hears of itself.
    MemberRecord twin = member(3, village.at(3).self().incarnation + 1);
    twin.peer_address = "copy:4741";
    PacketWriter writer(0, NodeId{3}, kPacketBytesMax);
    writer.add(twin);
    village.at(1).on_packet("copy:4741", writer.take(), village.now());
    village.settle(1);
    village.run(1s);
  }
  EXPECT_LT((village.traffic().packets - before) / 60, 6 * 20U) << "packets a second";
}

// ---- packets ----

TEST_P(SwimTest, PacketsOfOthersAndGarbageAreCountedAndChangeNothing) {
  Village village = cluster(3);
  SwimOptions other;
  other.cluster = 1;
  PacketWriter writer(other.cluster, NodeId{9}, kPacketBytesMax);
  writer.add(member(9));
  village.at(1).on_packet("host9:4741", writer.take(), village.now());
  village.at(1).on_packet("host9:4741", "garbage", village.now());
  EXPECT_EQ(village.at(1).counters().packets_refused, 2U);
  EXPECT_EQ(village.at(1).members().size(), 3U);
}

}  // namespace
}  // namespace grapevine::gossip
