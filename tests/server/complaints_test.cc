// Goal: what happens again and again is said once in a while. Method: time by hand.
#include "server/complaints.h"

#include <gtest/gtest.h>

namespace grapevine::server {
namespace {

constexpr Instant kBegan{std::chrono::hours(1)};

TEST(Complaints, TheSameIsSaidAgainOnlyAfterAPause) {
  Complaints complaints;
  EXPECT_TRUE(complaints.worth_saying("a", kBegan));
  EXPECT_FALSE(complaints.worth_saying("a", kBegan + Complaints::kPause / 2));
  EXPECT_TRUE(complaints.worth_saying("b", kBegan + Complaints::kPause / 2));
  EXPECT_TRUE(complaints.worth_saying("a", kBegan + Complaints::kPause));
  EXPECT_FALSE(complaints.worth_saying("a", kBegan + Complaints::kPause));
}

TEST(Complaints, ManyDifferentOnesAreAllSaid) {
  Complaints complaints;
  for (std::size_t i = 0; i < 10 * Complaints::kTextsMax; ++i) {
    EXPECT_TRUE(complaints.worth_saying(std::to_string(i), kBegan));
  }
}

}  // namespace
}  // namespace grapevine::server
