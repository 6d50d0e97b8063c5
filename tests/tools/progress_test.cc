// Goal: the progress line tells share, speed and time left, and invents none of them.
// Method: lines for given counts and times.
#include "tools/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grapevine::tools {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(ProgressLine, ShowsBarSpeedAndTimeLeft) {
  EXPECT_EQ(progress_line("import", "keys", 1000, 500, 20'000, 2s),
            "import  [############............]   50%   20,000 keys   10,000 keys/s   3.0 s left");
}

TEST(ProgressLine, OfUnknownLengthHasNoBarAndNoTimeLeft) {
  EXPECT_EQ(progress_line("export", "keys", std::nullopt, 0, 20'000, 2s),
            "export   20,000 keys   10,000 keys/s");
}

TEST(ProgressLine, DividesByNoZero) {
  const std::string line = progress_line("import", "keys", 0, 0, 0, 0s);
  EXPECT_EQ(line, "import   0 keys");
}

TEST(ProgressLine, NeverPassesAHundredPercent) {
  const std::string line = progress_line("import", "keys", 10, 12, 12, 1s);
  EXPECT_THAT(line, HasSubstr("100%"));
  EXPECT_THAT(line, Not(HasSubstr("left")));
}

}  // namespace
}  // namespace grapevine::tools
