// Goal: every member is asked in its turn; others are asked, and a stream is tried, before a member
// counts as missed; nacks tell the own fault from another's; the down are asked seldom.
// Method: one prober and a roster, in virtual time by hand.
#include "gossip/prober.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/member_records.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <typename T>
std::vector<Prober::Send> of_kind(const std::vector<Prober::Send>& sends) {
  std::vector<Prober::Send> chosen;
  std::copy_if(sends.begin(), sends.end(), std::back_inserter(chosen),
               [](const auto& send) { return std::holds_alternative<T>(send.message); });
  return chosen;
}

ProbeNumber number_of(const Prober::Send& ping) {
  return std::get<Ping>(ping.message).number;
}

class ProberTest : public ::testing::Test {
 protected:
  void meet(std::uint64_t count) {
    for (std::uint64_t id = 2; id <= count; ++id) roster_.hear(member(id), now_);
  }
  Prober::Output tick_at(Instant at) {
    now_ = at;
    prober_.tick(roster_, now_);
    return prober_.take_output();
  }
  // The next probe of a member that is up.
  Prober::Send next_ping() {
    for (;;) {
      const auto pings = of_kind<Ping>(tick_at(prober_.next_deadline()).sends);
      if (!pings.empty()) return pings.front();
    }
  }

  const SwimOptions options_;
  Random random_{1};
  Instant now_{1h};
  Roster roster_{member(1), {}, options_, now_};
  Prober prober_{options_, random_, now_};
};

TEST_F(ProberTest, AsksEachMemberOnceARound) {
  meet(6);
  for (int round = 0; round < 3; ++round) {
    std::set<NodeId> asked;
    for (int i = 0; i < 5; ++i) {
      const Prober::Send ping = next_ping();
      EXPECT_EQ(ping.address, member(ping.to.value).peer_address);
      EXPECT_EQ(std::get<Ping>(ping.message).to, ping.to);
      asked.insert(ping.to);
      prober_.on_ack(number_of(ping));
      prober_.take_output();
    }
    EXPECT_THAT(asked, SizeIs(5));
  }
}

TEST_F(ProberTest, AsksOneMemberAnInterval) {
  meet(3);
  prober_.on_ack(number_of(next_ping()));
  const Instant first = now_;
  next_ping();
  EXPECT_EQ(now_ - first, options_.probe_interval);
}

TEST_F(ProberTest, AsksOthersAndTriesAStreamBeforeItMissesAMember) {
  meet(6);
  const Prober::Send ping = next_ping();
  const Instant began = now_;
  const Prober::Output late = tick_at(began + options_.probe_timeout);
  const auto requests = of_kind<PingRequest>(late.sends);
  ASSERT_THAT(requests, SizeIs(options_.indirect_probes));
  for (const auto& request : requests) {
    EXPECT_NE(request.to, ping.to);
    EXPECT_EQ(std::get<PingRequest>(request.message),
              (PingRequest{number_of(ping), ping.to, ping.address}));
  }
  ASSERT_THAT(late.stream_pings, SizeIs(1));
  EXPECT_EQ(late.stream_pings.front().to, ping.to);
  EXPECT_EQ(late.stream_pings.front().number, number_of(ping));
  EXPECT_THAT(tick_at(began + options_.probe_interval - 1ns).missed, IsEmpty());
  EXPECT_THAT(tick_at(began + options_.probe_interval).missed, ElementsAre(ping.to));
}

TEST_F(ProberTest, AnAnswerFromAnywhereIsAnAnswer) {
  meet(3);
  const Prober::Send ping = next_ping();
  tick_at(now_ + options_.probe_timeout);
  prober_.on_ack(number_of(ping));
  EXPECT_THAT(prober_.take_output().answered, ElementsAre(ping.to));
  EXPECT_THAT(tick_at(now_ + 10s).missed, IsEmpty());
}

TEST_F(ProberTest, WhatNobodyAskedForChangesNothing) {
  meet(3);
  const Prober::Send ping = next_ping();
  prober_.on_ack(number_of(ping) + 1);
  prober_.on_nack(number_of(ping) + 1);
  EXPECT_THAT(prober_.take_output().answered, IsEmpty());
  EXPECT_THAT(tick_at(now_ + options_.probe_interval).missed, ElementsAre(ping.to));
  prober_.on_ack(number_of(ping));
  EXPECT_THAT(prober_.take_output().answered, IsEmpty()) << "too late";
}

// ---- local health ----

TEST_F(ProberTest, NacksSayThatTheFaultIsNotItsOwn) {
  meet(6);
  const Prober::Send ping = next_ping();
  tick_at(now_ + options_.probe_timeout);
  for (std::uint32_t i = 0; i < options_.indirect_probes; ++i) prober_.on_nack(number_of(ping));
  tick_at(now_ + options_.probe_timeout);
  EXPECT_EQ(prober_.health(), 0U);
}

TEST_F(ProberTest, SilenceOfThoseAskedMakesItSlowToAccuse) {
  meet(6);
  const Prober::Send ping = next_ping();
  tick_at(now_ + options_.probe_timeout);
  prober_.on_nack(number_of(ping));
  const Prober::Output missed = tick_at(now_ + options_.probe_timeout);
  EXPECT_THAT(missed.missed, SizeIs(1));
  EXPECT_EQ(prober_.health(), options_.indirect_probes - 1);
  // Timeouts are three times as long now.
  const auto next = of_kind<Ping>(missed.sends);
  ASSERT_THAT(next, SizeIs(1));
  EXPECT_THAT(tick_at(now_ + 3 * options_.probe_timeout - 1ns).stream_pings, IsEmpty());
  EXPECT_THAT(tick_at(now_ + 1ns).stream_pings, SizeIs(1));
  prober_.on_ack(number_of(next.front()));
  EXPECT_EQ(prober_.health(), options_.indirect_probes - 2);
}

TEST_F(ProberTest, HealthStaysWithinItsBounds) {
  for (std::uint32_t i = 0; i < 100; ++i) prober_.refuted();
  EXPECT_EQ(prober_.health(), options_.health_max - 1);
}

// ---- for others ----

TEST_F(ProberTest, PingsForOthersAndPassesTheAnswerOn) {
  prober_.on_request(NodeId{7}, "asker:1", {99, NodeId{8}, "target:1"}, now_);
  const auto pings = prober_.take_output().sends;
  ASSERT_THAT(pings, SizeIs(1));
  EXPECT_EQ(pings.front().address, "target:1");
  EXPECT_NE(number_of(pings.front()), 99U);
  prober_.on_ack(number_of(pings.front()));
  const auto acks = prober_.take_output().sends;
  ASSERT_THAT(acks, SizeIs(1));
  EXPECT_EQ(acks.front().address, "asker:1");
  EXPECT_EQ(acks.front().message, Message(Ack{99}));
}

TEST_F(ProberTest, SaysInTimeThatThereIsNoAnswerYetAndStillPassesALateOneOn) {
  prober_.on_request(NodeId{7}, "asker:1", {99, NodeId{8}, "target:1"}, now_);
  const auto ping = prober_.take_output().sends.front();
  const auto nacks = of_kind<Nack>(tick_at(now_ + options_.probe_timeout * 4 / 5).sends);
  ASSERT_THAT(nacks, SizeIs(1));
  EXPECT_EQ(nacks.front().message, Message(Nack{99}));
  prober_.on_ack(number_of(ping));
  EXPECT_THAT(of_kind<Ack>(prober_.take_output().sends), SizeIs(1));
}

TEST_F(ProberTest, DoesSoForABoundedNumberAtATime) {
  for (ProbeNumber i = 0; i < 2 * Prober::kRelaysMax; ++i) {
    prober_.on_request(NodeId{7}, "asker:1", {i, NodeId{8}, "target:1"}, now_);
  }
  EXPECT_THAT(prober_.take_output().sends, SizeIs(Prober::kRelaysMax));
  tick_at(now_ + options_.probe_interval);
  prober_.on_request(NodeId{7}, "asker:1", {1, NodeId{8}, "target:1"}, now_);
  EXPECT_THAT(prober_.take_output().sends, SizeIs(1));
}

// ---- out of turn ----

TEST_F(ProberTest, AHintIsAProbeAtOnce) {
  meet(6);
  tick_at(now_);
  prober_.hint(NodeId{4});
  EXPECT_LE(prober_.next_deadline(), now_);
  const auto pings = of_kind<Ping>(tick_at(now_).sends);
  ASSERT_THAT(pings, SizeIs(1));
  EXPECT_EQ(pings.front().to, NodeId{4});
  prober_.hint(NodeId{4});
  prober_.hint(NodeId{77});
  EXPECT_THAT(of_kind<Ping>(tick_at(now_).sends), IsEmpty())
      << "one at a time, and known ones only";
}

TEST_F(ProberTest, WhoIsDownIsAskedSeldomAndNeverMissed) {
  meet(3);
  roster_.hear(Down{NodeId{2}, 0, NodeId{3}}, now_);
  std::size_t asked = 0;
  const Instant end = now_ + 20s;
  while (now_ < end) {
    const Prober::Output output = tick_at(prober_.next_deadline());
    for (const auto& ping : of_kind<Ping>(output.sends)) {
      if (ping.to == NodeId{2}) {
        ++asked;
      } else {
        prober_.on_ack(number_of(ping));
      }
    }
    EXPECT_THAT(output.missed, IsEmpty());
    EXPECT_THAT(of_kind<PingRequest>(output.sends), IsEmpty());
  }
  EXPECT_EQ(asked, 20s / options_.down_probe_interval + 1);
}

TEST_F(ProberTest, WhereThereIsReasonToProbeTheStreamIsTriedAtOnceAndARefusalEndsTheProbe) {
  meet(3);
  prober_.hint(NodeId{2});
  const Prober::Output probe = tick_at(prober_.next_deadline());
  const auto pings = of_kind<Ping>(probe.sends);
  const auto hinted = std::find_if(pings.begin(), pings.end(),
                                   [](const auto& ping) { return ping.to == NodeId{2}; });
  ASSERT_NE(hinted, pings.end());
  ASSERT_THAT(probe.stream_pings, SizeIs(1));
  EXPECT_EQ(probe.stream_pings[0].number, number_of(*hinted));
  prober_.on_refused(number_of(*hinted));
  const Prober::Output refused = prober_.take_output();
  EXPECT_THAT(refused.refused, ElementsAre(NodeId{2}));
  EXPECT_THAT(refused.missed, IsEmpty());
  EXPECT_EQ(prober_.health(), 0U) << "the fault is not here";
  prober_.on_refused(number_of(*hinted));
  EXPECT_THAT(prober_.take_output().refused, IsEmpty()) << "it is over";
}

}  // namespace
}  // namespace grapevine::gossip
