// Goal: whatever happens in whatever order, exchanges lose nothing, bring nothing back and invent
// no conflict, and in the end all replicas are the same. Method: random histories (history.h) with
// a ghost beside every replica; each is a function of its seed, which a failure prints. To replay
// one: GRAPEVINE_SEED=n gossip_test --gtest_filter=Convergence.NoHistoryBreaksARule;
// GRAPEVINE_HISTORIES=n runs more of them. Replicas that get a rule wrong prove that the checks
// would notice.
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/gossip/history.h"

namespace grapevine::gossip {
namespace {

constexpr std::uint64_t kHistories = 3000;

std::optional<std::uint64_t> number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

TEST(Convergence, NoHistoryBreaksARule) {
  const auto asked_seed = number_in("GRAPEVINE_SEED");
  const std::uint64_t first = asked_seed.value_or(1);
  const std::uint64_t last =
      asked_seed.value_or(number_in("GRAPEVINE_HISTORIES").value_or(kHistories));
  HistoryCounts all;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    History history(seed);
    const auto broken = history.run();
    ASSERT_FALSE(broken.has_value()) << *broken;
    const HistoryCounts& counts = history.counts();
    all.writes += counts.writes;
    all.delta_pulls += counts.delta_pulls;
    all.digest_pulls += counts.digest_pulls;
    all.equal_roots += counts.equal_roots;
    all.clocks_adopted += counts.clocks_adopted;
    all.regained += counts.regained;
    all.splits += counts.splits;
    all.in_flight += counts.in_flight;
    all.closed += counts.closed;
    all.closed_gaps += counts.closed_gaps;
    all.mail_refused += counts.mail_refused;
  }
  if (last - first + 1 < kHistories) return;
  // Every path was really taken, and often.
  EXPECT_GT(all.writes, 50'000U);
  EXPECT_GT(all.delta_pulls, 1000U);
  EXPECT_GT(all.digest_pulls, 1000U);
  EXPECT_GT(all.equal_roots, 500U);
  EXPECT_GT(all.clocks_adopted, 1000U);
  EXPECT_GT(all.regained, 100U);
  EXPECT_GT(all.splits, 100U);
  EXPECT_GT(all.in_flight, 100U);
  EXPECT_GT(all.closed, 100U);
  EXPECT_GT(all.closed_gaps, 100U);
  EXPECT_GT(all.mail_refused, 100U);
}

TEST(Convergence, OneSeedIsOneHistory) {
  for (const std::uint64_t seed : {5U, 6U, 7U}) {
    History once(seed, Flaw::kTrustsVectors);
    History again(seed, Flaw::kTrustsVectors);
    EXPECT_EQ(once.run(), again.run());
    EXPECT_EQ(once.counts().writes, again.counts().writes);
    EXPECT_EQ(once.counts().digest_pulls, again.counts().digest_pulls);
  }
}

// ---- the checks can fail ----

// The first of so many seeds whose history breaks this rule, as it says itself; empty when none
// does.
std::string first_broken(Flaw flaw, std::string_view rule, std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto broken = History(seed, flaw).run();
    if (broken.has_value() && broken->find(rule) != std::string::npos) return *broken;
  }
  return "";
}

TEST(Convergence, AdoptingAClockWithoutTheUnquietEntriesBringsBackWhatWasDeleted) {
  EXPECT_NE(first_broken(Flaw::kHidesUnquiet, "came back (I1)", kHistories), "");
}

TEST(Convergence, AdoptingAClockWithoutTheSecondPullKeepsWhatWasSuperseded) {
  EXPECT_NE(first_broken(Flaw::kForgetsGained, "came back (I1)", kHistories), "");
}

TEST(Convergence, TakingAVectorForAClockClaimsWhatNeverCame) {
  EXPECT_NE(first_broken(Flaw::kTrustsVectors, "(I2)", 100), "");
}

TEST(Convergence, ClosingWithoutHearingTheOthersClosesWhatTheyHold) {
  EXPECT_NE(first_broken(Flaw::kClosesUnheard, "which a replica holds", 100), "");
}

TEST(Convergence, TakingWhatAnEndedActorReplicatesLateTakesWhatIsClosedElsewhere) {
  EXPECT_NE(first_broken(Flaw::kTakesLateMail, "(I", 8 * kHistories), "");
}

TEST(Convergence, JoiningWithoutFillingBringsBackWhatWasDeleted) {
  EXPECT_NE(first_broken(Flaw::kJoinsUnfilled, "came back (I1)", 100), "");
}

}  // namespace
}  // namespace grapevine::gossip
