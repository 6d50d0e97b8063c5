// Goal: each rumour is delivered once; what is held is bounded by count, bytes and age; an origin
// is not faster than its rate; states compare by one hash.
#include "gossip/rumours.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr NodeId kSelf{1};
constexpr NodeId kOther{2};
constexpr Instant kNow{1h};

Rumour rumour(std::uint64_t sequence, std::uint32_t age_seconds = 0, std::string payload = "p") {
  return {RumourId{kOther, sequence}, age_seconds, "name", std::move(payload)};
}

TEST(Rumours, AreHeardOnce) {
  Rumours rumours(kSelf, 0);
  EXPECT_TRUE(rumours.hear(rumour(5), kNow));
  EXPECT_FALSE(rumours.hear(rumour(5), kNow));
  EXPECT_TRUE(rumours.hear(rumour(3), kNow)) << "in whatever order they come";
}

TEST(Rumours, AreNotHeardAgainAfterTheyWereForgotten) {
  Rumours rumours(kSelf, 0);
  rumours.hear(rumour(5), kNow);
  EXPECT_EQ(rumours.next_deadline(), kNow + Rumours::kAgeMax);
  rumours.tick(kNow + Rumours::kAgeMax);
  EXPECT_EQ(rumours.size(), 0U);
  EXPECT_FALSE(rumours.hear(rumour(5), kNow + Rumours::kAgeMax));
  EXPECT_FALSE(rumours.hear(rumour(4), kNow + Rumours::kAgeMax)) << "older still";
  EXPECT_TRUE(rumours.hear(rumour(6), kNow + Rumours::kAgeMax));
}

TEST(Rumours, GrowOldOnTheirWay) {
  Rumours rumours(kSelf, 0);
  EXPECT_FALSE(rumours.hear(rumour(1, 3600), kNow));
  EXPECT_TRUE(rumours.hear(rumour(2, 3500), kNow));
  EXPECT_EQ(rumours.all(kNow + 50s).front().age_seconds, 3550U);
  rumours.tick(kNow + 100s);
  EXPECT_EQ(rumours.size(), 0U);
}

TEST(Rumours, AreBoundedByCountAndBytes) {
  Rumours many(kSelf, 0);
  for (std::uint64_t i = 1; i <= 1000; ++i) many.hear(rumour(i), kNow + Duration(i));
  EXPECT_EQ(many.size(), Rumours::kCountMax);
  EXPECT_EQ(many.all(kNow).front().id.sequence, 1001 - Rumours::kCountMax);
  Rumours large(kSelf, 0);
  for (std::uint64_t i = 1; i <= 200; ++i) large.hear(rumour(i, 0, std::string(1024, 'x')), kNow);
  EXPECT_LT(large.size(), Rumours::kBytesMax / 1024);
  EXPECT_GT(large.size(), Rumours::kBytesMax / 1024 / 2);
}

TEST(Rumours, OfAnOriginAreLimitedInSizeAndRate) {
  Rumours rumours(kSelf, 100);
  EXPECT_TRUE(absl::IsInvalidArgument(
      rumours.tell("n", std::string(Rumour::kPayloadBytesMax + 1, 'x'), kNow).status()));
  for (std::uint32_t i = 0; i < Rumours::kBurst; ++i) {
    EXPECT_EQ(rumours.tell("n", "p", kNow)->id, (RumourId{kSelf, 101 + i}));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(rumours.tell("n", "p", kNow).status()));
  EXPECT_TRUE(rumours.tell("n", "p", kNow + Rumours::kTellInterval).ok());
  EXPECT_FALSE(rumours.tell("n", "p", kNow + Rumours::kTellInterval).ok());
}

TEST(Rumours, OfItsOwnEarlierLivesAreDeliveredAsAnyAndGoneBeyond) {
  Rumours rumours(kSelf, 0);
  const Rumour earlier{RumourId{kSelf, 70}, 0, "n", "p"};
  EXPECT_TRUE(rumours.hear(earlier, kNow));
  EXPECT_FALSE(rumours.hear(earlier, kNow));
  const auto told = rumours.tell("n", "p", kNow);
  EXPECT_EQ(told->id.sequence, 71U);
  EXPECT_FALSE(rumours.hear(*told, kNow)) << "whoever tells is not told";
  EXPECT_EQ(rumours.size(), 2U);
}

TEST(Rumours, ThatTheOtherLacksAreNamed) {
  Rumours here(kSelf, 0);
  Rumours there(NodeId{3}, 0);
  here.hear(rumour(1), kNow);
  here.hear(rumour(2), kNow);
  there.hear(rumour(2), kNow);
  EXPECT_NE(here.hash(), there.hash());
  const auto lacking = here.lacking(there.all(kNow), kNow);
  ASSERT_THAT(lacking, SizeIs(1));
  EXPECT_EQ(lacking.front(), rumour(1));
  there.hear(lacking.front(), kNow);
  EXPECT_EQ(here.hash(), there.hash());
  EXPECT_THAT(here.lacking(there.all(kNow), kNow), IsEmpty());
}

}  // namespace
}  // namespace grapevine::gossip
