// Goal: instants move by durations and compare by time.
// Method: examples.
#include "storage/base/time.h"

#include <gtest/gtest.h>

namespace grapevine {
namespace {

using std::chrono::milliseconds;

TEST(Instant, MovesByADurationAndBack) {
  const Instant start{milliseconds(5)};
  const Instant later = start + milliseconds(20);
  EXPECT_EQ(later - start, milliseconds(20));
  EXPECT_EQ(start - later, milliseconds(-20));
  EXPECT_EQ(later - milliseconds(20), start);
  EXPECT_EQ((Instant{} + milliseconds(5)), start);
}

TEST(Instant, TheLaterOneIsTheGreater) {
  EXPECT_LT(Instant{milliseconds(999)}, Instant{std::chrono::seconds(1)});
  EXPECT_GT(Instant{Duration(1)}, Instant{});
  EXPECT_LT(WallTime{-1}, WallTime{0});
}

}  // namespace
}  // namespace grapevine
