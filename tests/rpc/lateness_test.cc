// Goal: a request that lay somewhere is told from one that did not, whatever the two clocks say and
// however they drift. Method: clocks moved by hand.
#include "rpc/lateness.h"

#include <gtest/gtest.h>

namespace grapevine::rpc {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(Duration since_start) {
  return Instant{since_start};
}

// Of a few milliseconds: what was sent is told in whole ones, and the smallest difference may rise.
void expect_about(Duration lateness, Duration expected) {
  EXPECT_LE(lateness, expected + milliseconds(10));
  EXPECT_GE(lateness, expected - milliseconds(10));
}

TEST(LatenessTest, ClocksOfOtherOriginsTellHowLateAMessageIs) {
  for (const Duration origin : {Duration(hours(-3)), Duration::zero(), Duration(hours(5'000))}) {
    Lateness lateness;
    const auto sent = [&](Duration time) { return sent_ms(at(hours(4) + origin + time)); };
    expect_about(lateness.of(sent(milliseconds(0)), at(hours(4) + milliseconds(30))),
                 Duration::zero());
    EXPECT_EQ(lateness.of(sent(milliseconds(500)), at(hours(4) + milliseconds(530))),
              Duration::zero());
    expect_about(lateness.of(sent(seconds(1)), at(hours(4) + milliseconds(16'030))), seconds(15));
    // The next one was not delayed.
    expect_about(lateness.of(sent(seconds(17)), at(hours(4) + milliseconds(17'030))),
                 Duration::zero());
  }
}

TEST(LatenessTest, AFirstMessageThatWasDelayedIsForgottenAtTheNextThatWasNot) {
  Lateness lateness;
  EXPECT_EQ(lateness.of(sent_ms(at(seconds(1))), at(seconds(3))), Duration::zero());
  expect_about(lateness.of(sent_ms(at(seconds(4))), at(seconds(4))), Duration::zero());
  expect_about(lateness.of(sent_ms(at(seconds(5))), at(seconds(15))), seconds(10));
}

TEST(LatenessTest, ADriftingClockMakesNothingLate) {
  // 100 ppm, one message a minute, for ten days.
  Lateness fast_sender;
  Lateness slow_sender;
  for (int minute = 0; minute < 10 * 24 * 60; ++minute) {
    const Instant now = at(hours(1) + seconds(60 * minute));
    const Duration drift = std::chrono::microseconds(100 * 60 * minute);
    EXPECT_LE(fast_sender.of(sent_ms(now + drift), now), milliseconds(20));
    EXPECT_LE(slow_sender.of(sent_ms(now - drift), now), milliseconds(20));
  }
}

TEST(LatenessTest, WhoTellsNothingOrNonsenseIsNeverLate) {
  Lateness lateness;
  expect_about(lateness.of(0, at(seconds(1))), Duration::zero());
  expect_about(lateness.of(~std::uint64_t{0}, at(seconds(1))), Duration::zero());
  expect_about(lateness.of(5'000, at(seconds(20))), Duration::zero());
  expect_about(lateness.of(0, at(seconds(90))), Duration::zero());
  expect_about(lateness.of(6'000, at(seconds(31))), seconds(10));
}

TEST(LatenessTest, ARequestHasTheTimeThatIsLeftOrIsRefused) {
  Lateness lateness;
  lateness.of(sent_ms(at(seconds(1))), at(seconds(1)));
  expect_about(*lateness.left_of(seconds(3), sent_ms(at(seconds(2))), at(seconds(4))), seconds(1));
  const auto over = lateness.left_of(seconds(3), sent_ms(at(seconds(2))), at(seconds(6)));
  EXPECT_TRUE(absl::IsUnavailable(over.status())) << over.status();
}

}  // namespace
}  // namespace grapevine::rpc
