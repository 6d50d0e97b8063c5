// Goal: who stops answering is down after so many misses in a row and not before; its return is
// noticed with the first answer; every change of mind is said once; nobody is probed twice at once,
// and a down member for ever.
#include "gossip/failure_detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kNode{1};

class Detector : public ::testing::Test {
 protected:
  void pass(Duration by) { now_ = now_ + by; }
  // Verdicts as the caller sees them: +1 came up, -1 went down.
  std::vector<int> verdicts() {
    std::vector<int> changes;
    for (const auto& verdict : detector_.take_verdicts()) changes.push_back(verdict.up ? 1 : -1);
    return changes;
  }
  void come_up() {
    detector_.watch(kNode, now_);
    detector_.heard_from(kNode, now_);
    verdicts();
  }
  // Waits for the next probe, which is missed.
  void miss_probe() {
    now_ = detector_.next_deadline();
    ASSERT_THAT(detector_.probes(now_), ElementsAre(kNode));
    detector_.missed(kNode, now_);
  }

  PingOptions options_;
  Random random_{1};
  Instant now_{1h};
  PingDetector detector_{options_, random_};
};

TEST_F(Detector, AWatchedNodeIsDownUntilItIsHeardFromAndProbedAtOnce) {
  detector_.watch(kNode, now_);
  EXPECT_FALSE(detector_.up(kNode));
  EXPECT_EQ(detector_.next_deadline(), now_);
  EXPECT_THAT(detector_.probes(now_), ElementsAre(kNode));
  EXPECT_THAT(verdicts(), IsEmpty());
  detector_.heard_from(kNode, now_);
  EXPECT_TRUE(detector_.up(kNode));
  EXPECT_THAT(verdicts(), ElementsAre(1));
}

TEST_F(Detector, WatchingAgainForgetsNothing) {
  come_up();
  detector_.watch(kNode, now_ + 1s);
  EXPECT_TRUE(detector_.up(kNode));
}

TEST_F(Detector, IsDownAfterTheLastMissAndNotBefore) {
  come_up();
  for (std::uint32_t i = 1; i < options_.misses_to_down; ++i) {
    miss_probe();
    EXPECT_TRUE(detector_.up(kNode)) << i;
    EXPECT_THAT(verdicts(), IsEmpty());
  }
  miss_probe();
  EXPECT_FALSE(detector_.up(kNode));
  EXPECT_THAT(verdicts(), ElementsAre(-1));
}

TEST_F(Detector, OneAnswerBetweenMissesBeginsTheCountAgain) {
  come_up();
  miss_probe();
  miss_probe();
  detector_.heard_from(kNode, now_);
  miss_probe();
  miss_probe();
  EXPECT_TRUE(detector_.up(kNode));
  EXPECT_THAT(verdicts(), IsEmpty());
}

TEST_F(Detector, AfterAMissItIsProbedSoonerThanOtherwise) {
  come_up();
  const Instant usual = detector_.next_deadline();
  EXPECT_GE(usual - now_, options_.probe_interval * 3 / 4);
  EXPECT_LE(usual - now_, options_.probe_interval * 5 / 4);
  now_ = usual;
  detector_.probes(now_);
  detector_.missed(kNode, now_);
  EXPECT_EQ(detector_.next_deadline(), now_ + options_.retry_interval);
}

TEST_F(Detector, ADownNodeIsProbedForEverAndItsDownSaidOnce) {
  come_up();
  for (std::uint32_t i = 0; i < options_.misses_to_down; ++i) miss_probe();
  verdicts();
  for (int i = 0; i < 50; ++i) miss_probe();
  EXPECT_THAT(verdicts(), IsEmpty());
  const Instant before = now_;
  miss_probe();
  EXPECT_LE(now_ - before, options_.probe_interval);
}

TEST_F(Detector, TheFirstAnswerOfADownNodeBringsItBack) {
  come_up();
  for (std::uint32_t i = 0; i < options_.misses_to_down; ++i) miss_probe();
  verdicts();
  now_ = detector_.next_deadline();
  EXPECT_THAT(detector_.probes(now_), ElementsAre(kNode));
  detector_.heard_from(kNode, now_);
  EXPECT_TRUE(detector_.up(kNode));
  EXPECT_THAT(verdicts(), ElementsAre(1));
  EXPECT_EQ(detector_.since(kNode, now_ + 3s), 3s);
}

TEST_F(Detector, ANodeIsNotProbedWhileAProbeIsUnderWay) {
  detector_.watch(kNode, now_);
  EXPECT_THAT(detector_.probes(now_), ElementsAre(kNode));
  EXPECT_THAT(detector_.probes(now_ + 1h), IsEmpty());
  EXPECT_EQ(detector_.next_deadline(), Instant{Duration::max()});
}

TEST_F(Detector, AHintHastensTheProbeOfADownNodeOnly) {
  come_up();
  const Instant usual = detector_.next_deadline();
  detector_.hint(kNode, now_);
  EXPECT_EQ(detector_.next_deadline(), usual);
  for (std::uint32_t i = 0; i <= options_.misses_to_down; ++i) miss_probe();
  detector_.hint(kNode, now_);
  EXPECT_EQ(detector_.next_deadline(), now_);
  EXPECT_FALSE(detector_.up(kNode));
}

TEST_F(Detector, AForgottenNodeIsDownAndComesUpAgainWhenItIsMetAgain) {
  come_up();
  detector_.forget(kNode);
  EXPECT_THAT(verdicts(), ElementsAre(-1));
  detector_.forget(kNode);
  EXPECT_THAT(verdicts(), IsEmpty());
  come_up();
  EXPECT_TRUE(detector_.up(kNode));
}

TEST_F(Detector, WhatIsSaidOfAForgottenNodeCountsForNothing) {
  come_up();
  detector_.forget(kNode);
  verdicts();
  detector_.heard_from(kNode, now_);
  detector_.missed(kNode, now_);
  detector_.hint(kNode, now_);
  EXPECT_FALSE(detector_.up(kNode));
  EXPECT_THAT(verdicts(), IsEmpty());
  EXPECT_THAT(detector_.probes(now_ + 1h), IsEmpty());
}

// Whatever happens: up after an answer, down after enough misses in a row, and verdicts tell every
// change exactly once.
RC_GTEST_PROP(DetectorLaw, VerdictsAreTheChangesOfMind, ()) {
  Random random(1);
  PingDetector detector(PingOptions{}, random);
  Instant now{1h};
  detector.watch(kNode, now);
  bool up = false;
  std::uint32_t misses = 0;
  for (const int act : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4))) {
    const bool before = up;
    now = now + 50ms;
    if (act == 0) {
      detector.heard_from(kNode, now);
      up = true;
      misses = 0;
    } else if (act == 1) {
      detector.hint(kNode, now);
    } else {
      detector.missed(kNode, now);
      if (++misses >= PingOptions{}.misses_to_down) up = false;
    }
    RC_ASSERT(detector.up(kNode) == up);
    const auto verdicts = detector.take_verdicts();
    RC_ASSERT(verdicts.size() == (before == up ? 0U : 1U));
    if (!verdicts.empty()) RC_ASSERT(verdicts.front().up == up);
  }
}

}  // namespace
}  // namespace grapevine::gossip
