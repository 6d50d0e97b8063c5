// Goal: a value with a time to live is read until then and not later, whoever still stores it. Method:
// as of the other tests of the coordinator; requests carry the time of day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/limits.h"
#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

class CoordinatorExpiry : public CoordinatorDesk {
 protected:
  Operation put_for(std::string_view key, std::string_view value, std::uint64_t ttl_ms) {
    Operation operation = put(key, value, Consistency::kOne);
    operation.ttl_ms = ttl_ms;
    return operation;
  }
  OperationAnswer at(std::int64_t unix_ms, Operation operation) {
    const auto id =
        coordinator_.execute({std::move(operation)}, true, now_ + kTimeout, WallTime{unix_ms});
    EXPECT_TRUE(ok(id.status()));
    collect();
    store_.sync();
    collect();
    return answer(*id);
  }
};

TEST_F(CoordinatorExpiry, AValueIsReadUntilItsTimeAndNotLater) {
  EXPECT_EQ(code_of(at(1000, put_for("k", "v", 500))), absl::StatusCode::kOk);
  const OperationAnswer before = at(1499, get("k", Consistency::kOne));
  EXPECT_EQ(values_of(before), Strings{"v"});
  EXPECT_EQ(std::get<ReadAnswer>(before).siblings.front().expires, WallTime{1500});
  EXPECT_TRUE(values_of(at(1500, get("k", Consistency::kOne))).empty());
}

TEST_F(CoordinatorExpiry, ASiblingThatLivesForEverStays) {
  at(1000, put_for("k", "expires", 500));
  Operation beside = put_seen("k", "stays", "");
  beside.consistency = Consistency::kOne;
  at(1001, beside);
  EXPECT_EQ(values_of(at(2000, get("k", Consistency::kOne))), Strings{"stays"});
}

TEST_F(CoordinatorExpiry, MoreThanAHundredYearsIsRefused) {
  EXPECT_EQ(code_of(at(1000, put_for("k", "v", kTtlMsMax + 1))),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code_of(at(1000, put_for("k", "v", kTtlMsMax))), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace grapevine::server::test
