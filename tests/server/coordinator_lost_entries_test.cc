// Goal: a node that has lost entries of a partition does not answer for it until they are back (R9),
// but lets another owner do what it is asked. Method: as of the other tests of the coordinator; the
// store misses a key that it once wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class CoordinatorLostEntries : public CoordinatorDesk {
 protected:
  CoordinatorLostEntries()
      : CoordinatorDesk({{{"k", "v"}, {"lost", "v"}}, std::size_t{64} << 20, nullptr, "lost"}) {
    EXPECT_TRUE(store_->suspect(PartitionId{0}));
  }
};

TEST_F(CoordinatorLostEntries, AnotherOwnerIsAskedEvenForWhatIsThere) {
  const RequestId id = begin({get("k", Consistency::kOne), put("k", "w", Consistency::kOne)});
  EXPECT_FALSE(answered(id));
  ASSERT_EQ(desk_.size(), 1U);
  EXPECT_EQ(desk_[0].to, kB);
  EXPECT_EQ(body<ForwardCall>(desk_[0]).operations.size(), 1U) << "one after another";
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinatorLostEntries, WhatAnotherNodeForwardsIsRefused) {
  const RequestId id = begin({put("k", "w", Consistency::kOne)}, /*may_forward=*/false);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinatorLostEntries, WithoutAnotherOwnerNothingIsAnswered) {
  ring_.unreachable = {kB, kC};
  const RequestId id = begin(get("lost", Consistency::kOne));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
}

TEST_F(CoordinatorLostEntries, AForwardedWriteThatNobodyAnswersMayHaveHappened) {
  const RequestId id = begin(put("k", "w"));
  // The entries come back meanwhile.
  ASSERT_TRUE(ok(store_->trust_again(PartitionId{0})));
  pass(kTimeout);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnknown);
}

TEST_F(CoordinatorLostEntries, OnceTheyAreBackItServesAgain) {
  ASSERT_TRUE(ok(store_->trust_again(PartitionId{0})));
  const RequestId id = begin(get("k", Consistency::kOne));
  warm();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"v"});
}

}  // namespace
}  // namespace grapevine::server::test
