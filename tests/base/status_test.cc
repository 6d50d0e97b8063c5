// Goal: the macros return early with the error that they met, evaluate once, and move values out.
// Method: small functions that use them.
#include "storage/base/status.h"

#include <memory>

#include <gtest/gtest.h>

namespace grapevine {
namespace {

absl::Status first_error(const absl::Status& one, const absl::Status& two, int* evaluated) {
  const auto passed = [&](const absl::Status& status) {
    ++*evaluated;
    return status;
  };
  GRAPEVINE_RETURN_IF_ERROR(passed(one));
  GRAPEVINE_RETURN_IF_ERROR(passed(two));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<int>> sum(absl::StatusOr<std::unique_ptr<int>> a,
                                         absl::StatusOr<std::unique_ptr<int>> b) {
  GRAPEVINE_ASSIGN_OR_RETURN(const auto first, std::move(a));
  std::unique_ptr<int> second;
  GRAPEVINE_ASSIGN_OR_RETURN(second, std::move(b));
  return std::make_unique<int>(*first + *second);
}

TEST(ReturnIfError, ReturnsTheFirstErrorAndEvaluatesNothingAfterIt) {
  int evaluated = 0;
  EXPECT_TRUE(first_error(absl::OkStatus(), absl::OkStatus(), &evaluated).ok());
  EXPECT_EQ(evaluated, 2);
  evaluated = 0;
  const absl::Status met =
      first_error(absl::DataLossError("bad page"), absl::UnavailableError("late"), &evaluated);
  EXPECT_EQ(met, absl::DataLossError("bad page"));
  EXPECT_EQ(evaluated, 1);
}

TEST(AssignOrReturn, MovesTheValueOutOrReturnsTheError) {
  const auto both = sum(std::make_unique<int>(2), std::make_unique<int>(3));
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(**both, 5);
  EXPECT_EQ(sum(std::make_unique<int>(2), absl::NotFoundError("no b")).status(),
            absl::NotFoundError("no b"));
  EXPECT_EQ(sum(absl::NotFoundError("no a"), absl::UnavailableError("no b")).status(),
            absl::NotFoundError("no a"));
}

TEST(Status, AnUnknownOutcomeIsToldFromAWriteThatDidNotHappen) {
  EXPECT_TRUE(is_outcome_unknown(outcome_unknown_error("1 of 2 replicas answered")));
  EXPECT_FALSE(is_outcome_unknown(absl::UnavailableError("no replica answered")));
  EXPECT_FALSE(is_outcome_unknown(absl::OkStatus()));
}

TEST(Status, TextIsTheMessageWithoutTheCode) {
  EXPECT_EQ(text_of(absl::InvalidArgumentError("key of 0 bytes")), "key of 0 bytes");
  EXPECT_EQ(text_of(absl::OkStatus()), "");
}

}  // namespace
}  // namespace grapevine
