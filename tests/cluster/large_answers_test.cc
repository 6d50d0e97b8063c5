// Goal: reads of more than fits into one answer are made, and one that never fits says what to do.
// Method: a real node and a real client, values of megabytes.
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grapevine/client.h"
#include "storage/base/limits.h"
#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(LargeAnswersTest, ManyReadsAtOnceBringMoreThanOneAnswerHolds) {
  Cluster cluster(1);
  cluster.start(0);
  const auto client = cluster.client_of(0, seconds(60));
  constexpr std::size_t kKeys = 100;
  const std::string value(std::size_t{1} << 20, 'v');
  static_assert(kKeys << 20 > kBatchBytesMax);
  for (std::size_t i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(client->put(fmt::format("key {}", i), value).ok());
  }
  std::vector<std::promise<absl::StatusOr<Found>>> found(kKeys);
  for (std::size_t i = 0; i < kKeys; ++i) {
    client->get(fmt::format("key {}", i), {},
                [&found, i](absl::StatusOr<Found> one) { found[i].set_value(std::move(one)); });
  }
  for (auto& one : found) {
    const auto result = one.get_future().get();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->siblings.size(), 1U);
    EXPECT_EQ(result->siblings[0].value, value);
  }
}

TEST(LargeAnswersTest, SiblingsThatFitIntoNoAnswerAreResolvedByAWriteThatSeesNone) {
  Cluster cluster(1);
  cluster.start(0);
  const auto client = cluster.client_of(0, seconds(60));
  const std::string value(kValueBytesMax, 'v');
  for (std::size_t bytes = 0; bytes <= kBatchBytesMax; bytes += value.size()) {
    ASSERT_TRUE(client->put("key", value, {.context = ""}).ok());
  }
  const auto found = client->get("key");
  EXPECT_TRUE(absl::IsResourceExhausted(found.status())) << found.status();
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("put the value that it is to have, both without a context"));
  ASSERT_TRUE(client->put("key", "one").ok());
  const auto resolved = client->get("key");
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->siblings.size(), 1U);
}

}  // namespace
}  // namespace grapevine::cluster_test
