// Goal: one seed gives one sequence, on every machine, and draws stay in their bounds and fill
// them. Method: figures that the C++ standard fixes for mt19937_64; properties over seeds.
#include "storage/base/random.h"

#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace grapevine {
namespace {

TEST(Random, GivesTheSequenceThatTheStandardFixes) {
  Random random(5489);
  for (int i = 0; i < 9999; ++i) random.next();
  EXPECT_EQ(random.next(), 9981545732273789042U);  // [rand.predef]: the 10000th value
}

RC_GTEST_PROP(RandomLaw, OneSeedGivesOneSequence, (std::uint64_t seed, std::uint32_t bound)) {
  RC_PRE(bound > 0U);
  Random one(seed);
  Random two(seed);
  for (int i = 0; i < 20; ++i) {
    RC_ASSERT(one.next() == two.next());
    RC_ASSERT(one.below(bound) == two.below(bound));
    RC_ASSERT(one.unit() == two.unit());
  }
}

RC_GTEST_PROP(RandomLaw, DrawsStayBelowTheirBound, (std::uint64_t seed, std::uint64_t bound)) {
  RC_PRE(bound > 0U);
  Random random(seed);
  for (int i = 0; i < 50; ++i) {
    RC_ASSERT(random.below(bound) < bound);
    const double unit = random.unit();
    RC_ASSERT(unit >= 0.0);
    RC_ASSERT(unit < 1.0);
  }
}

TEST(Random, EveryValueBelowTheBoundIsDrawnAboutAsOften) {
  constexpr std::size_t kBound = 7;
  constexpr int kDraws = 70'000;
  Random random(1);
  std::vector<int> drawn(kBound, 0);
  for (int i = 0; i < kDraws; ++i) ++drawn[random.below(kBound)];
  for (const int times : drawn) EXPECT_NEAR(times, kDraws / kBound, 500);  // 5 standard deviations
}

TEST(Random, ABoundOfOneIsAlwaysZeroAndHugeBoundsWork) {
  Random random(2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0U);
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  for (int i = 0; i < 100; ++i) EXPECT_LT(random.below(kHuge), kHuge);
}

TEST(Random, ImpossibleNeverHappensAndCertainAlwaysDoes) {
  Random random(3);
  int halves = 0;
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_FALSE(random.chance(0.0));
    EXPECT_TRUE(random.chance(1.0));
    halves += random.chance(0.5) ? 1 : 0;
  }
  EXPECT_NEAR(halves, 5'000, 250);  // 5 standard deviations
}

}  // namespace
}  // namespace grapevine
