// Goal: a broken invariant stops the process and says which; one that holds costs nothing.
// Method: death tests.
#include "storage/base/check.h"

#include <gtest/gtest.h>

namespace grapevine {
namespace {

TEST(CheckDeathTest, ABrokenInvariantStopsTheProcessAndNamesItself) {
  const int dots = 2;
  EXPECT_DEATH(GRAPEVINE_CHECK(dots == 1, "one dot a write"),
               "check_test.cc:[0-9]+: invariant broken: dots == 1 .one dot a write.");
}

TEST(Check, AConditionThatHoldsIsEvaluatedOnce) {
  int evaluated = 0;
  GRAPEVINE_CHECK(++evaluated == 1, "the first time");
  EXPECT_EQ(evaluated, 1);
}

}  // namespace
}  // namespace grapevine
