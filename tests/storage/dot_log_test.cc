// Goal: the dot log names what it knows, says so when it does not, and keeps its bound.
#include "storage/dot_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

using model::Dot;
using model::DotRange;

constexpr std::size_t kNoLimit = 1'000;

Instant at_ms(int ms) {
  return {std::chrono::milliseconds(ms)};
}

std::vector<std::string> keys(const NamedDots& answer) {
  std::vector<std::string> keys;
  for (const auto& named : answer.named) keys.push_back(named.key);
  return keys;
}

class DotLogTest : public ::testing::Test {
 protected:
  DotLogTest() {
    for (std::uint64_t counter = 1; counter <= 5; ++counter) {
      log_.add(Dot{actor(1), counter}, fmt::format("a{}", counter), at_ms(10));
    }
    log_.add(Dot{actor(2), 7}, "b7", at_ms(20));
  }

  DotLog log_{1 << 20};
};

TEST_F(DotLogTest, NamesEveryDotOfTheRangesInOrder) {
  const auto answer = log_.name({{actor(1), 2, 4}, {actor(2), 7, 7}}, at_ms(100), kNoLimit);
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.in_flight, 0U);
  EXPECT_EQ(keys(answer), (std::vector<std::string>{"a2", "a3", "a4", "b7"}));
  EXPECT_EQ(answer.named[0].dot, (Dot{actor(1), 2}));
}

TEST_F(DotLogTest, SaysHowFarItReachesAndHowOldDotsAre) {
  EXPECT_TRUE(log_.reaches({{actor(1), 2, 4}, {actor(2), 7, 7}}));
  EXPECT_TRUE(log_.reaches({}));
  EXPECT_FALSE(log_.reaches({{actor(1), 5, 6}}));
  EXPECT_FALSE(log_.reaches({{actor(1), 1, model::kClosed}}));
  EXPECT_FALSE(log_.reaches({{actor(1), 2, 4}, {actor(1), 0, 1}}));
  const auto ages = log_.ages({{actor(1), 2, 4}, {actor(2), 7, 7}}, at_ms(15));
  EXPECT_TRUE(ages.complete);
  EXPECT_EQ(ages.in_flight, 1U);
  EXPECT_EQ(ages.oldest, at_ms(10));
  const auto unknown = log_.ages({{actor(2), 6, 7}}, at_ms(100));
  EXPECT_FALSE(unknown.complete);
  EXPECT_EQ(unknown.oldest, at_ms(20));
  EXPECT_FALSE(log_.ages({}, at_ms(15)).oldest.has_value());
}

TEST_F(DotLogTest, OneUnknownDotMakesTheAnswerIncomplete) {
  EXPECT_FALSE(log_.name({{actor(1), 5, 6}}, at_ms(100), kNoLimit).complete);
  EXPECT_FALSE(log_.name({{actor(2), 6, 7}}, at_ms(100), kNoLimit).complete);
  EXPECT_FALSE(log_.name({{actor(3), 1, 1}}, at_ms(100), kNoLimit).complete);
}

TEST_F(DotLogTest, AHostileRangeEndsAtTheFirstUnknownDot) {
  const auto answer = log_.name({{actor(1), 1, ~std::uint64_t{0}}}, at_ms(100), kNoLimit);
  EXPECT_FALSE(answer.complete);
  EXPECT_EQ(answer.named.size(), 5U);
}

TEST_F(DotLogTest, YoungDotsAreCountedAndLeftOut) {
  const auto answer = log_.name({{actor(1), 5, 5}, {actor(2), 7, 7}}, at_ms(15), kNoLimit);
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.in_flight, 1U);
  EXPECT_EQ(keys(answer), std::vector<std::string>{"a5"});
}

TEST_F(DotLogTest, StopsAtTheLimit) {
  EXPECT_EQ(log_.name({{actor(1), 1, 5}}, at_ms(100), 3).named.size(), 3U);
}

TEST_F(DotLogTest, AddingADotTwiceKeepsTheFirstAndItsTime) {
  log_.add(Dot{actor(2), 7}, "other", at_ms(90));
  EXPECT_EQ(log_.size(), 6U);
  EXPECT_EQ(keys(log_.name({{actor(2), 7, 7}}, at_ms(30), kNoLimit)),
            std::vector<std::string>{"b7"});
}

TEST_F(DotLogTest, ForgetsEverythingWhenCleared) {
  log_.clear();
  EXPECT_EQ(log_.size(), 0U);
  EXPECT_EQ(log_.bytes(), 0U);
  EXPECT_FALSE(log_.name({{actor(1), 1, 1}}, at_ms(100), kNoLimit).complete);
  log_.add(Dot{actor(1), 1}, "again", at_ms(100));
  EXPECT_TRUE(log_.name({{actor(1), 1, 1}}, at_ms(100), kNoLimit).complete);
}

TEST(DotLog, TheOldestGoFirstWhenItIsFull) {
  DotLog log(10'000);
  for (std::uint64_t counter = 1; counter <= 1'000; ++counter) {
    log.add(Dot{actor(1), counter}, std::string(50, 'k'), at_ms(0));
    EXPECT_LE(log.bytes(), 10'000U);
  }
  const std::uint64_t oldest_left = 1'000 - log.size() + 1;
  EXPECT_GT(log.size(), 30U);
  EXPECT_FALSE(log.name({{actor(1), oldest_left - 1, 1'000}}, at_ms(1), kNoLimit).complete);
  EXPECT_TRUE(log.name({{actor(1), oldest_left, 1'000}}, at_ms(1), kNoLimit).complete);
}

TEST(DotLog, OneThatHoldsNothingStaysEmpty) {
  DotLog log(0);
  log.add(Dot{actor(1), 1}, "k", at_ms(0));
  EXPECT_EQ(log.size(), 0U);
  EXPECT_EQ(log.bytes(), 0U);
}

}  // namespace
}  // namespace grapevine::storage
