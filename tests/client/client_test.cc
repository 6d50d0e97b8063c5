// Goal: the client keeps what its header promises, whatever the nodes do. Method: fake nodes in
// this process (fake_node.h) that hold answers back, refuse, hang or die when a test says so.
// Nothing here sleeps: a test waits for calls to arrive or for callbacks.
#include "grapevine/client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <set>

#include "storage/base/limits.h"
#include "storage/base/status.h"
#include "tests/client/fake_node.h"

namespace grapevine::client {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Client> connect_to(std::vector<std::string> endpoints, ClientOptions options = {}) {
  options.endpoints = std::move(endpoints);
  auto client = Client::connect(options);
  EXPECT_TRUE(client.ok()) << text_of(client.status());
  return client.ok() ? *std::move(client) : nullptr;
}

std::vector<std::string> values_of(const Found& found) {
  std::vector<std::string> values;
  for (const auto& sibling : found.siblings) values.push_back(sibling.value);
  return values;
}

template <typename T>
std::string text_of_error(const absl::StatusOr<T>& result) {
  return std::string(text_of(result.status()));
}

// Collects the results of asynchronous calls.
template <typename T>
class Results {
 public:
  explicit Results(std::ptrdiff_t count) : latch_(count) {}
  Client::Callback<T> callback() {
    return [this](absl::StatusOr<T> result) {
      {
        const std::lock_guard lock(mutex_);
        results_.push_back(std::move(result));
      }
      latch_.count_down();
    };
  }
  const std::vector<absl::StatusOr<T>>& wait() {
    latch_.wait();
    return results_;
  }

 private:
  std::mutex mutex_;
  std::vector<absl::StatusOr<T>> results_;
  std::latch latch_;
};

TEST(Client, GetsWhatItPutAndNothingAfterARemove) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  const auto written = client->put("greeting", "hello");
  ASSERT_TRUE(written.ok()) << text_of_error(written);
  EXPECT_EQ(written->dot, (WriteName{.actor = 1, .counter = 1}));
  auto found = client->get("greeting");
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(values_of(*found), ElementsAre("hello"));
  EXPECT_EQ(found->siblings[0].written_unix_ms, 1'700'000'000'000);
  ASSERT_TRUE(client->remove("greeting").ok());
  found = client->get("greeting");
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->found());
}

TEST(Client, CarriesAnyBytesBothWays) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  const std::string key("\0\xff key\n", 7);
  const std::string value("\0\x80\xff\0", 4);
  ASSERT_TRUE(client->put(key, value).ok());
  const auto found = client->get(key);
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(values_of(*found), ElementsAre(value));
}

TEST(Client, ContextSaysWhatAWriteSupersedes) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  ASSERT_TRUE(client->put("k", "a", {.context = ""}).ok());
  ASSERT_TRUE(client->put("k", "b", {.context = ""}).ok());
  const auto found = client->get("k");
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(values_of(*found), ElementsAre("a", "b"));
  ASSERT_TRUE(client->put("k", "c", {.context = found->context}).ok());
  const auto resolved = client->get("k");
  ASSERT_TRUE(resolved.ok());
  EXPECT_THAT(values_of(*resolved), ElementsAre("c"));
}

TEST(Client, WhatIsOutstandingTravelsTogether) {
  FakeNode node;
  auto client = connect_to({node.endpoint()}, {.batches_in_flight_max = 1});
  node.hold();
  Results<Written> results(1'000);
  for (int i = 0; i < 1'000; ++i) client->put(fmt::format("k{}", i), "v", {}, results.callback());
  node.wait_for_calls(1);
  node.release();
  for (const auto& result : results.wait()) EXPECT_TRUE(result.ok());
  EXPECT_EQ(node.seen().size(), 1'000U);
  EXPECT_LE(node.calls(), 20U);
}

TEST(Client, ABatchHasNoMoreOperationsThanItsLimit) {
  FakeNode node;
  auto client = connect_to({node.endpoint()}, {.batch_operations_max = 10});
  std::vector<Operation> operations;
  for (int i = 0; i < 95; ++i)
    operations.push_back(Put{.key = fmt::format("k{}", i), .value = "v"});
  for (const auto& result : client->execute(std::move(operations))) EXPECT_TRUE(result.ok());
  EXPECT_GE(node.calls(), 10U);
}

TEST(Client, LargeValuesAreSpreadOverBatches) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  std::vector<Operation> operations;
  for (int i = 0; i < 4; ++i) {
    operations.push_back(
        Put{.key = fmt::format("k{}", i), .value = std::string(kValueBytesMax / 2, 'v')});
  }
  operations.push_back(Put{.key = "large", .value = std::string(kValueBytesMax, 'w')});
  for (const auto& result : client->execute(std::move(operations))) {
    EXPECT_TRUE(result.ok()) << text_of(result.status());
  }
  EXPECT_EQ(node.calls(), 5U);
  const auto found = client->get("large");
  ASSERT_TRUE(found.ok()) << text_of_error(found);
  EXPECT_EQ(found->siblings[0].value.size(), kValueBytesMax);
}

TEST(Client, ExecuteAnswersEachOperationByItself) {
  FakeNode node;
  node.judge_by([](const FakeNode::Seen& seen) {
    return seen.key == "refused" ? absl::FailedPreconditionError("no") : absl::OkStatus();
  });
  auto client = connect_to({node.endpoint()});
  const auto results =
      client->execute({Put{.key = "a", .value = "1"}, Get{.key = "a"},
                       Put{.key = "refused", .value = ""}, Get{.key = ""}, Remove{.key = "a"}});
  ASSERT_EQ(results.size(), 5U);
  EXPECT_TRUE(results[0].ok());
  ASSERT_TRUE(results[1].ok());
  EXPECT_THAT(values_of(std::get<Found>(*results[1])), ElementsAre("1"));
  EXPECT_EQ(results[2].status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(results[3].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(results[4].ok());
  EXPECT_TRUE(client->execute({}).empty());
}

TEST(Client, OperationsOnOneKeyAreDoneInOrderAcrossBatches) {
  FakeNode node;
  auto client = connect_to({node.endpoint()}, {.batch_operations_max = 7});
  constexpr int kCount = 500;
  Results<Written> results(kCount);
  for (int i = 0; i < kCount; ++i) {
    client->put(fmt::format("k{}", i % 3), std::to_string(i), {}, results.callback());
  }
  for (const auto& result : results.wait()) EXPECT_TRUE(result.ok());
  std::map<std::string, int> last;
  for (const auto& seen : node.seen()) {
    const int value = std::stoi(seen.value);
    const auto [place, fresh] = last.try_emplace(seen.key, value);
    EXPECT_TRUE(fresh || place->second < value);
    place->second = value;
  }
}

TEST(Client, ALaterOperationOnAKeyDoesNotOvertakeOneThatIsTriedAgain) {
  FakeNode node;
  std::atomic<int> refusals{3};
  node.judge_by([&](const FakeNode::Seen&) {
    return refusals-- > 0 ? absl::UnavailableError("owners are away") : absl::OkStatus();
  });
  auto client = connect_to({node.endpoint()}, {.batch_operations_max = 1});
  Results<Written> results(2);
  client->put("k", "first", {}, results.callback());
  client->put("k", "second", {}, results.callback());
  for (const auto& result : results.wait()) EXPECT_TRUE(result.ok()) << text_of_error(result);
  std::vector<std::string> values;
  for (const auto& seen : node.seen()) values.push_back(seen.value);
  EXPECT_THAT(values, ElementsAre("first", "first", "first", "first", "second"));
}

TEST(Client, AnOperationBehindWhichALaterOneWasDoneIsNotTriedAgain) {
  FakeNode node;
  node.judge_by([](const FakeNode::Seen& seen) {
    return seen.value == "first" ? absl::UnavailableError("owners are away") : absl::OkStatus();
  });
  auto client = connect_to({node.endpoint()});
  const auto results =
      client->execute({Put{.key = "k", .value = "first"}, Put{.key = "k", .value = "second"}});
  EXPECT_EQ(results[0].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(results[1].ok());
  EXPECT_EQ(node.seen().size(), 2U);
}

TEST(Client, UnavailableIsTriedOnAnotherNode) {
  FakeNode poor;
  FakeNode rich;
  poor.judge_by([](const FakeNode::Seen&) { return absl::UnavailableError("owners are away"); });
  auto client = connect_to({poor.endpoint(), rich.endpoint()});
  for (int i = 0; i < 20; ++i) {
    const auto written = client->put(fmt::format("k{}", i), "v");
    EXPECT_TRUE(written.ok()) << text_of_error(written);
  }
  EXPECT_EQ(rich.seen().size(), 20U);
}

TEST(Client, MovesToAnotherNodeWhenOneDies) {
  auto first = std::make_unique<FakeNode>();
  FakeNode second;
  auto client = connect_to({first->endpoint(), second.endpoint()});
  ASSERT_TRUE(client->put("k", "1").ok());
  first->kill();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client->put("k", "2").ok());
  EXPECT_GE(second.seen().size(), 99U);
}

TEST(Client, StartsWhileAnEndpointIsDown) {
  FakeNode node;
  auto client = connect_to({"127.0.0.1:1", node.endpoint()});
  EXPECT_TRUE(client->put("k", "v").ok());
}

TEST(Client, AWriteThatLostItsConnectionIsTriedAgainUnderTheSameId) {
  FakeNode first;
  FakeNode second;
  second.log_in_with(absl::UnavailableError("starting"));  // so that the first is asked
  auto client = connect_to({first.endpoint(), second.endpoint()});
  first.hold();
  Results<Written> results(1);
  client->put("k", "v", {}, results.callback());
  first.wait_for_calls(1);
  second.log_in_with(absl::OkStatus());
  first.kill();
  EXPECT_TRUE(results.wait()[0].ok());
  ASSERT_EQ(first.seen().size(), 1U);
  ASSERT_EQ(second.seen().size(), 1U);
  EXPECT_EQ(first.seen()[0].write_id, second.seen()[0].write_id);
}

TEST(Client, EveryWriteHasAnIdOfItsOwn) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client->put("k", "v").ok());
  std::set<std::uint64_t> ids;
  for (const auto& seen : node.seen()) ids.insert(seen.write_id);
  EXPECT_EQ(ids.size(), 50U);
}

TEST(Client, AWriteThatNobodyConfirmsEndsAsOutcomeUnknown) {
  FakeNode node;
  node.hold();
  auto client = connect_to({node.endpoint()});
  const auto written = client->put("k", "v", {.timeout = milliseconds(50)});
  EXPECT_TRUE(is_outcome_unknown(written.status()));
  EXPECT_THAT(text_of_error(written),
              AllOf(HasSubstr("put 'k'"), HasSubstr("outcome unknown"), HasSubstr("50 ms")));
}

TEST(Client, AWriteWhoseNodeDiedEndsAsOutcomeUnknownNotAsUnavailable) {
  auto node = std::make_unique<FakeNode>();
  node->hold();
  auto client = connect_to({node->endpoint()});
  Results<Written> results(1);
  client->put("k", "v", {.timeout = milliseconds(300)}, results.callback());
  node->wait_for_calls(1);
  node->kill();
  EXPECT_TRUE(is_outcome_unknown(results.wait()[0].status())) << text_of_error(results.wait()[0]);
}

TEST(Client, AWriteAfterWhichSomethingBrokeEndsAsOutcomeUnknown) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  node.lose_answers();
  const auto written = client->put("k", "v");
  EXPECT_TRUE(is_outcome_unknown(written.status())) << text_of_error(written);
  EXPECT_THAT(text_of_error(written), HasSubstr("the answer is lost"));
}

TEST(Client, AWriteThatWasNeverSentEndsAsUnavailable) {
  auto node = std::make_unique<FakeNode>();
  auto client = connect_to({node->endpoint()});
  ASSERT_TRUE(client->put("k", "v").ok());
  const std::string endpoint = node->endpoint();
  node->kill();
  absl::StatusOr<Written> written;
  // The first may still be sent into the dying connection.
  do {
    written = client->put("k", "v", {.timeout = milliseconds(100)});
  } while (is_outcome_unknown(written.status()));
  EXPECT_EQ(written.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_error(written),
              AllOf(HasSubstr("no node could be reached"), HasSubstr(endpoint)));
}

TEST(Client, AReadThatNobodyAnswersEndsAsUnavailableAtItsDeadline) {
  FakeNode node;
  node.hold();
  auto client = connect_to({node.endpoint()});
  const auto found = client->get("k", {.timeout = milliseconds(50)});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_error(found),
              AllOf(HasSubstr("get 'k'"), HasSubstr(node.endpoint()), HasSubstr("50 ms")));
}

TEST(Client, ANodesOwnOutcomeUnknownStaysUnknownWhenTheNextAttemptFails) {
  FakeNode node;
  std::atomic<int> calls{0};
  node.judge_by([&](const FakeNode::Seen&) {
    return calls++ == 0 ? outcome_unknown_error("not confirmed")
                        : absl::FailedPreconditionError("stopping");
  });
  auto client = connect_to({node.endpoint()});
  const auto written = client->put("k", "v");
  EXPECT_TRUE(is_outcome_unknown(written.status()));
  EXPECT_THAT(text_of_error(written), HasSubstr("stopping"));
}

TEST(Client, ANodeThatNeverAnswersLosesItsPlace) {
  FakeNode hung;
  FakeNode well;
  well.log_in_with(absl::UnavailableError("starting"));  // so that the hung one is asked
  auto client = connect_to({hung.endpoint(), well.endpoint()});
  hung.hold();
  EXPECT_FALSE(client->get("k", {.timeout = milliseconds(50)}).ok());
  well.log_in_with(absl::OkStatus());
  const auto found = client->get("k");
  EXPECT_TRUE(found.ok()) << text_of_error(found);
  EXPECT_EQ(well.seen().size(), 1U);
}

TEST(Client, AConnectionThatDoesNotAnswerIsGivenUpAndMadeAnew) {
  FakeNode node;
  auto client = connect_to({node.endpoint()}, {.batches_in_flight_max = 1});
  node.hold();
  EXPECT_FALSE(client->get("k", {.timeout = milliseconds(50)}).ok());
  // The only request that the connection may have under way is never answered: the next needs a new
  // connection.
  Results<Found> results(1);
  client->get("k", {}, results.callback());
  node.wait_for_calls(2);
  node.release();
  EXPECT_TRUE(results.wait()[0].ok());
}

TEST(Client, LimitsAreToldAtTheDoor) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  EXPECT_THAT(text_of_error(client->get("")),
              AllOf(HasSubstr("key ''"), HasSubstr("1 to 32768 bytes")));
  const auto long_key = client->put(std::string(40'000, 'k'), "v");
  EXPECT_EQ(long_key.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(text_of_error(long_key), AllOf(HasSubstr("40000"), HasSubstr("32768")));
  const auto large = client->put("k", std::string(kValueBytesMax + 1, 'v'));
  EXPECT_THAT(text_of_error(large), AllOf(HasSubstr("16777217"), HasSubstr("16777216")));
  EXPECT_EQ(client->get("k", {.timeout = milliseconds(0)}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client->scan({.limit = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client->scan({.limit = 10'001}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(node.calls(), 0U);
}

TEST(Client, BeyondTheQueueCallsFailAtOnceAndPlacesComeBack) {
  FakeNode node;
  node.hold();
  auto client = connect_to({node.endpoint()}, {.operations_queued_max = 10});
  Results<Written> accepted(10);
  for (int i = 0; i < 10; ++i) client->put("k", "v", {}, accepted.callback());
  const auto refused = client->put("k", "v");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(text_of_error(refused), HasSubstr("operations_queued_max"));
  node.release();
  for (const auto& result : accepted.wait()) EXPECT_TRUE(result.ok());
  EXPECT_TRUE(client->put("k", "v").ok());
}

TEST(Client, ABlockingCallInsideACallbackFailsInsteadOfWaitingForItself) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  std::promise<absl::Status> inner;
  client->get("k", {},
              [&](const absl::StatusOr<Found>&) { inner.set_value(client->get("k").status()); });
  const absl::Status status = inner.get_future().get();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(text_of(status)), HasSubstr("asynchronous"));
}

TEST(Client, DestructorEndsWhatIsOutstanding) {
  FakeNode node;
  node.hold();
  auto client =
      connect_to({node.endpoint()}, {.batch_operations_max = 1, .batches_in_flight_max = 1});
  Results<Written> sent(1);
  Results<Written> waiting(1);
  Results<Found> read(1);
  Results<ScanPage> scan(1);
  client->put("sent", "v", {}, sent.callback());
  node.wait_for_calls(1);
  client->put("waiting", "v", {}, waiting.callback());
  client->get("read", {}, read.callback());
  client->scan({}, scan.callback());
  client.reset();
  EXPECT_TRUE(is_outcome_unknown(sent.wait()[0].status()));
  EXPECT_EQ(waiting.wait()[0].status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(read.wait()[0].status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(scan.wait()[0].status().code(), absl::StatusCode::kCancelled);
}

TEST(Client, CallsMadeByCallbacksDuringDestructionEndToo) {
  FakeNode node;
  node.hold();
  auto client = connect_to({node.endpoint()});
  Client* raw = client.get();
  Results<Found> inner(1);
  Results<Found> outer(1);
  raw->get("k", {}, [&, tell = outer.callback()](absl::StatusOr<Found> result) {
    raw->get("k", {}, inner.callback());
    tell(std::move(result));
  });
  client.reset();
  EXPECT_EQ(outer.wait()[0].status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(inner.wait()[0].status().code(), absl::StatusCode::kCancelled);
}

TEST(Client, ConnectSaysWhichEndpointsDoNotAnswer) {
  const auto client = Client::connect({.endpoints = {"127.0.0.1:1", "127.0.0.1:2"}});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_error(client),
              AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("127.0.0.1:2"), HasSubstr("refused")));
}

TEST(Client, ConnectPassesARefusalOn) {
  FakeNode node;
  node.log_in_with(absl::FailedPreconditionError("not ready: still starting"));
  const auto client = Client::connect({.endpoints = {node.endpoint()}});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(text_of_error(client),
              AllOf(HasSubstr(node.endpoint()), HasSubstr("still starting")));
}

TEST(Client, ConnectRefusesMalformedOptions) {
  EXPECT_EQ(Client::connect({.endpoints = {}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::connect({.endpoints = {"nowhere"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::connect({.timeout = milliseconds(-1)}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::connect({.batch_operations_max = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Client, WithoutTheRightToWriteReadsGoOnAndWritesAreRefused) {
  FakeNode node;
  node.read_only();
  auto client = connect_to({node.endpoint()});
  const auto results = client->execute({Get{.key = "k"}, Put{.key = "k", .value = "v"}});
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Client, ScansPageByPage) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  std::vector<Operation> operations;
  for (int i = 10; i < 35; ++i)
    operations.push_back(Put{.key = fmt::format("k{}", i), .value = "v"});
  operations.push_back(Put{.key = "other", .value = "v"});
  for (const auto& result : client->execute(std::move(operations))) ASSERT_TRUE(result.ok());
  std::vector<std::string> keys;
  ScanOptions options{.prefix = "k", .limit = 10, .values = true};
  do {
    const auto page = client->scan(options);
    ASSERT_TRUE(page.ok()) << text_of_error(page);
    for (const auto& item : page->keys) {
      keys.push_back(item.key);
      EXPECT_EQ(item.siblings[0].value, "v");
    }
    options.cursor = page->cursor;
  } while (!options.cursor.empty());
  EXPECT_EQ(keys.size(), 25U);
}

TEST(Client, AScanIsTriedOnAnotherNodeAndEndsAtItsDeadline) {
  FakeNode poor;
  FakeNode rich;
  poor.judge_by([](const FakeNode::Seen&) { return absl::UnavailableError("owners are away"); });
  auto client = connect_to({poor.endpoint(), rich.endpoint()});
  EXPECT_TRUE(client->scan({}).ok());
  rich.judge_by([](const FakeNode::Seen&) { return absl::UnavailableError("owners are away"); });
  const auto page = client->scan({.timeout = milliseconds(60)});
  EXPECT_EQ(page.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_error(page), HasSubstr("owners are away"));
}

TEST(Client, ManyThreadsShareOneClient) {
  FakeNode node;
  auto client = connect_to({node.endpoint()});
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 200; ++i) {
        const std::string key = fmt::format("{}-{}", thread, i);
        if (!client->put(key, key).ok()) ++failures;
        const auto found = client->get(key);
        if (!found.ok() || values_of(*found) != std::vector{key}) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace grapevine::client
