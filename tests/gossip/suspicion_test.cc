// Goal: the more members suspect, the sooner it is over, by Lifeguard's formula and never before
// its time.
#include "gossip/suspicion.h"

#include <gtest/gtest.h>

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;

constexpr Instant kBegan{1h};

TEST(Suspicion, LastsItsLongestWhileNobodyConfirms) {
  const Suspicion suspicion(NodeId{1}, {3, 2s, 10s}, kBegan);
  EXPECT_EQ(suspicion.ends(), kBegan + 10s);
}

TEST(Suspicion, LastsItsShortestWhereNobodyCouldConfirm) {
  const Suspicion suspicion(NodeId{1}, {0, 2s, 10s}, kBegan);
  EXPECT_EQ(suspicion.ends(), kBegan + 2s);
}

TEST(Suspicion, EachConfirmationBringsTheEndNearerByTheLogarithm) {
  Suspicion suspicion(NodeId{1}, {3, 2s, 10s}, kBegan);
  EXPECT_TRUE(suspicion.confirm(NodeId{2}));  // log 2 / log 4 = 1/2
  EXPECT_EQ(suspicion.ends(), kBegan + 6s);
  EXPECT_TRUE(suspicion.confirm(NodeId{3}));  // log 3 / log 4 = 0.79
  EXPECT_LT(suspicion.ends(), kBegan + 4s);
  EXPECT_TRUE(suspicion.confirm(NodeId{4}));
  EXPECT_EQ(suspicion.ends(), kBegan + 2s);
}

TEST(Suspicion, TimeThatNobodyCouldUseDoesNotCount) {
  Suspicion suspicion(NodeId{1}, {1, 2s, 10s}, kBegan);
  suspicion.postpone(5s);
  EXPECT_EQ(suspicion.ends(), kBegan + 15s);
  suspicion.confirm(NodeId{2});
  EXPECT_EQ(suspicion.ends(), kBegan + 7s);
}

TEST(Suspicion, ConfirmationsBeyondThoseWantedAndByTheSameChangeNothing) {
  Suspicion suspicion(NodeId{1}, {1, 2s, 10s}, kBegan);
  EXPECT_FALSE(suspicion.confirm(NodeId{1}));
  EXPECT_TRUE(suspicion.confirm(NodeId{2}));
  EXPECT_FALSE(suspicion.confirm(NodeId{2}));
  EXPECT_FALSE(suspicion.confirm(NodeId{3}));
  EXPECT_EQ(suspicion.ends(), kBegan + 2s);
}

TEST(Suspicion, EndsSoonerWhereItIsAsGoodAsProvenAndNothingMakesItLongerAgain) {
  Suspicion suspicion(NodeId{1}, {1, 2s, 10s}, kBegan);
  suspicion.hasten(kBegan + 20s);
  EXPECT_EQ(suspicion.ends(), kBegan + 10s);
  suspicion.hasten(kBegan + 1s);
  EXPECT_EQ(suspicion.ends(), kBegan + 1s);
  suspicion.confirm(NodeId{2});
  EXPECT_EQ(suspicion.ends(), kBegan + 1s);
}

}  // namespace
}  // namespace grapevine::gossip
