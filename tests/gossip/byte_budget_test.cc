// Goal: pulls keep to the bytes a second that they were given, and no limit means none.
#include "gossip/byte_budget.h"

#include <gtest/gtest.h>

namespace grapevine::gossip {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ByteBudget, WithoutALimitNothingWaits) {
  ByteBudget budget(0, Instant{});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(budget.ask(Instant{}), Duration::zero());
    budget.settle(1 << 30);
  }
}

TEST(ByteBudget, AnAnswerIsPaidForBeforeTheNextRequest) {
  const std::uint64_t rate = 1'000'000;
  Instant now{};
  ByteBudget budget(rate, now);
  EXPECT_GT(budget.ask(now), Duration::zero()) << "it begins with nothing";
  now = now + milliseconds(1);
  EXPECT_EQ(budget.ask(now), Duration::zero());
  budget.settle(3 * rate);
  const Duration wait = budget.ask(now);
  EXPECT_GT(wait, milliseconds(2900));
  EXPECT_LT(wait, milliseconds(3100));
  EXPECT_EQ(budget.ask(now + wait), Duration::zero());
}

TEST(ByteBudget, RequestsUnderWayCountBeforeTheyAreAnswered) {
  Instant now{};
  ByteBudget budget(ByteBudget::kBytesExpected, now);
  now = now + seconds(1);
  EXPECT_EQ(budget.ask(now), Duration::zero());
  EXPECT_GT(budget.ask(now), Duration::zero());
}

TEST(ByteBudget, SavesUpOneSecondAtMost) {
  const std::uint64_t rate = 4 * ByteBudget::kBytesExpected;
  ByteBudget budget(rate, Instant{});
  const Instant later{seconds(1000)};
  int asked = 0;
  while (budget.ask(later) == Duration::zero()) ++asked;
  EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace grapevine::gossip
