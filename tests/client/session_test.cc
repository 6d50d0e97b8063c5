// Goal: with every operation goes what its session has seen of the key by then, retries and batches
// included, and what comes back is kept; a token carries all of it elsewhere. Method: fake nodes in
// this process (fake_node.h), which write down what they are told.
#include "grapevine/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "grapevine/client.h"
#include "storage/base/status.h"
#include "storage/model/session.h"
#include "tests/client/fake_node.h"

namespace grapevine::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Client> connect_to(std::vector<std::string> endpoints, ClientOptions options = {}) {
  options.endpoints = std::move(endpoints);
  auto client = Client::connect(options);
  EXPECT_TRUE(client.ok()) << text_of(client.status());
  return client.ok() ? *std::move(client) : nullptr;
}

// What the node was told with the operation: the writes of the key that were live.
std::vector<std::uint64_t> told(const FakeNode::Seen& seen) {
  EXPECT_TRUE(seen.session.has_value());
  const auto session = model::Session::decode(seen.session.value_or(""));
  EXPECT_TRUE(session.ok());
  std::vector<std::uint64_t> counters;
  for (const model::Dot dot : session->of(seen.key).live) counters.push_back(dot.counter);
  return counters;
}

TEST(Session, GoesOutWithWhatItHasSeenOfTheKey) {
  FakeNode node;
  const auto client = connect_to({node.endpoint()});
  const auto session = Session::begin();
  ASSERT_TRUE(client->put("k", "v", {.session = session}).ok());
  ASSERT_TRUE(client->put("other", "v", {.session = session}).ok());
  ASSERT_TRUE(client->get("k", {.session = session}).ok());
  ASSERT_TRUE(client->remove("k", {.session = session}).ok());
  ASSERT_TRUE(client->get("k", {.session = session}).ok());
  ASSERT_TRUE(client->get("k").ok());
  const auto seen = node.seen();
  EXPECT_EQ(seen[0].session, "");
  EXPECT_THAT(told(seen[1]), ElementsAre());
  EXPECT_THAT(told(seen[2]), ElementsAre(1));
  EXPECT_THAT(told(seen[3]), ElementsAre(1));
  EXPECT_THAT(told(seen[4]), ElementsAre());
  EXPECT_FALSE(seen[5].session.has_value());
}

TEST(Session, OneOfManyInABatchIsItsOwn) {
  FakeNode node;
  const auto client = connect_to({node.endpoint()});
  const auto mine = Session::begin();
  const auto yours = Session::begin();
  client->execute({Put{.key = "k", .value = "v", .session = mine},
                   Put{.key = "l", .value = "v", .session = yours}});
  client->execute({Get{.key = "k", .session = mine}, Get{.key = "k", .session = yours},
                   Get{.key = "l", .session = yours}, Remove{.key = "l"}});
  const auto seen = node.seen();
  EXPECT_THAT(told(seen[2]), ElementsAre(1));
  EXPECT_THAT(told(seen[3]), ElementsAre());
  EXPECT_THAT(told(seen[4]), ElementsAre(2));
  EXPECT_FALSE(seen[5].session.has_value());
}

TEST(Session, AnotherAttemptTellsTheSame) {
  FakeNode poor;
  FakeNode rich;
  std::atomic<bool> away{false};
  poor.judge_by([&](const FakeNode::Seen&) {
    return away ? absl::UnavailableError("owners are away") : absl::OkStatus();
  });
  rich.log_in_with(absl::UnavailableError("starting"));  // so that the other is asked
  const auto client = connect_to({poor.endpoint(), rich.endpoint()});
  const auto session = Session::begin();
  ASSERT_TRUE(client->put("k", "v", {.session = session}).ok());
  away = true;
  rich.log_in_with(absl::OkStatus());
  ASSERT_TRUE(client->get("k", {.session = session}).ok());
  ASSERT_FALSE(rich.seen().empty());
  EXPECT_THAT(told(rich.seen().back()), ElementsAre(1));
}

TEST(Session, AnOperationThatWaitedBehindAnotherTellsWhatThatOneDid) {
  FakeNode node;
  const auto client = connect_to({node.endpoint()}, {.batch_operations_max = 1});
  const auto session = Session::begin();
  node.hold();
  std::latch done(2);
  client->put("k", "v", {.session = session}, [&](const auto&) { done.count_down(); });
  client->get("k", {.session = session}, [&](const auto&) { done.count_down(); });
  node.wait_for_calls(1);
  node.release();
  done.wait();
  EXPECT_THAT(told(node.seen().at(1)), ElementsAre(1));
}

TEST(Session, ATokenGoesOnElsewhere) {
  FakeNode node;
  const auto session = Session::begin();
  EXPECT_EQ(session->token(), "");
  ASSERT_TRUE(connect_to({node.endpoint()})->put("k", "v", {.session = session}).ok());
  const auto other = Session::resume(session->token());
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(connect_to({node.endpoint()})->get("k", {.session = *other}).ok());
  EXPECT_THAT(told(node.seen().at(1)), ElementsAre(1));
  EXPECT_EQ(session->token(), (*other)->token());
}

TEST(Session, JoinedItHasSeenWhatBothHave) {
  FakeNode node;
  const auto client = connect_to({node.endpoint()});
  const auto mine = Session::begin();
  const auto yours = Session::begin();
  ASSERT_TRUE(client->put("k", "v", {.session = mine}).ok());
  ASSERT_TRUE(client->put("l", "v", {.session = yours}).ok());
  ASSERT_TRUE(mine->join(yours->token()).ok());
  client->execute({Get{.key = "k", .session = mine}, Get{.key = "l", .session = mine}});
  EXPECT_THAT(told(node.seen().at(2)), ElementsAre(1));
  EXPECT_THAT(told(node.seen().at(3)), ElementsAre(2));
}

TEST(Session, BytesThatAreNoTokenAreRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Session::resume("nonsense").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Session::begin()->join("nonsense")));
}

TEST(Session, ANodeThatKnowsNoneIsAnErrorAndNeverASilentLapse) {
  FakeNode node;
  node.know_no_sessions();
  const auto client = connect_to({node.endpoint()});
  const auto session = Session::begin();
  const auto found = client->get("k", {.session = session});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(text_of(found.status())), HasSubstr("knows no sessions"));
  const auto written = client->put("k", "v", {.session = session});
  EXPECT_TRUE(is_outcome_unknown(written.status()));
  EXPECT_TRUE(client->put("k", "v").ok());
}

}  // namespace
}  // namespace grapevine::client
