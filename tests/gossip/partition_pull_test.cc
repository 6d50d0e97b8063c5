// Goal: of one partition, what is pulled, in which order, and when the peer's clock may be adopted:
// never before all that it covers has come, and never on the word of a peer that answers what was
// not asked. Method: the requests are answered by hand, so that anything can happen between any two
// of them.
#include "gossip/partition_pull.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {
namespace {

constexpr PartitionId kPartition{0};

class Pull : public ::testing::Test {
 protected:
  void settle_and_forget() {
    Random random(1);
    a_.settle();
    b_.settle();
    b_.evict(random, 1);
  }
  PartitionPull begin(PullOptions options = {}) {
    options.sketches = false;
    return PartitionPull(a_, state_of(b_, kPartition), options);
  }
  // The next request, which is of this kind.
  template <typename Request>
  std::pair<PartitionPull::RequestNumber, Request> next(PartitionPull& pull) {
    auto requests = pull.take_requests();
    EXPECT_EQ(requests.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<Request>(requests.at(0).body));
    return {requests[0].number, std::get<Request>(requests[0].body)};
  }
  // Has b freeze its view; what comes later it does not know.
  void open(PartitionPull& pull) {
    const auto [number, request] = next<OpenViewRequest>(pull);
    view_ = b_.freeze(kPartition);
    pull.on_reply(number, OpenViewReply{state_of(*view_, kPartition)});
  }
  // From the delta that b's log cannot answer to the open view.
  void open_after_delta(PartitionPull& pull) {
    const auto [number, request] = next<DeltaRequest>(pull);
    pull.on_reply(number, *answer(b_, request, {}));
    open(pull);
  }
  template <typename Request>
  void answer_next(PartitionPull& pull, const ResponderLimits& limits = {}) {
    const auto [number, request] = next<Request>(pull);
    pull.on_reply(number, *answer(*view_, request, limits));
  }
  const model::Clock& clock_of_a() const { return a_.partition(kPartition).clock; }

  FakeReplica a_{NodeId{1}};
  FakeReplica b_{NodeId{2}};
  FakeReplica c_{NodeId{3}};
  std::unique_ptr<PartitionView> view_;
};

// ---- deciding ----

TEST_F(Pull, NothingMissingIsDoneAtOnce) {
  ASSERT_TRUE(a_.merge(kPartition, {b_.put("k", "v")}).ok());
  a_.put("l", "only here");
  PartitionPull pull = begin();
  EXPECT_TRUE(pull.done());
  EXPECT_EQ(pull.outcome().path, PullPath::kNone);
  EXPECT_TRUE(pull.take_requests().empty());
}

TEST_F(Pull, UnderEqualClocksAnUnquietDifferenceIsPulledAndIsNoDamage) {
  // a has merged what superseded k, without its event: an exchange that was cut off.
  const KeyedEntry written = c_.put("k", "v");
  ASSERT_TRUE(a_.merge(kPartition, {written}).ok());
  ASSERT_TRUE(b_.merge(kPartition, {written}).ok());
  KeyedEntry removal = c_.remove("k");
  removal.events.clear();
  ASSERT_TRUE(b_.merge(kPartition, {removal}).ok());
  ASSERT_EQ(a_.partition(kPartition).clock, b_.partition(kPartition).clock);
  PartitionPull pull = begin();
  EXPECT_FALSE(pull.outcome().damage_suspected);
  open(pull);
  answer_next<PullRequest>(pull);
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(a_.values("k").empty());
}

// ---- delta ----

TEST_F(Pull, ADeltaThatWasCutIsAskedForAgainUntilNothingIsMissing) {
  for (int i = 0; i < 9; ++i) b_.put(fmt::format("key {}", i), "v");
  b_.settle();
  ResponderLimits limits;
  limits.reply_keys_max = 4;
  PartitionPull pull = begin();
  std::size_t asked = 0;
  for (; !pull.done(); ++asked) {
    const auto [number, request] = next<DeltaRequest>(pull);
    pull.on_reply(number, *answer(b_, request, limits));
  }
  EXPECT_EQ(asked, 3U);
  a_.strip_all();
  EXPECT_EQ(a_.partition(kPartition).stored, b_.partition(kPartition).stored);
}

TEST_F(Pull, APeerThatAlwaysPromisesMoreIsLeft) {
  KeyedEntry same = b_.put("k", "v");
  b_.put("l", "never sent");
  PartitionPull pull = begin();
  std::size_t asked = 0;
  for (; !pull.done() && asked < 10; ++asked) {
    const auto [number, request] = next<DeltaRequest>(pull);
    DeltaReply reply;
    reply.entries = {same};
    reply.more = true;
    pull.on_reply(number, std::move(reply));
  }
  EXPECT_TRUE(pull.done());
  EXPECT_LE(asked, 2U);
}

TEST_F(Pull, WhatCannotBeMergedFailsThePull) {
  b_.put("k", "v");
  b_.settle();
  a_.merge_status = absl::ResourceExhaustedError("full");
  PartitionPull pull = begin();
  const auto [number, request] = next<DeltaRequest>(pull);
  pull.on_reply(number, *answer(b_, request, {}));
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(absl::IsResourceExhausted(pull.outcome().status));
}

// ---- digest ----

TEST_F(Pull, KeysThatTheViewHasDeletedGo) {
  ASSERT_TRUE(a_.merge(kPartition, {b_.put("k", "v")}).ok());
  ASSERT_TRUE(a_.merge(kPartition, {b_.put("l", "v")}).ok());
  b_.remove("k");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  answer_next<PullRequest>(pull);
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(pull.outcome().adopted);
  EXPECT_TRUE(a_.values("k").empty());
  EXPECT_EQ(a_.values("l").size(), 1U);
  EXPECT_EQ(clock_of_a(), b_.partition(kPartition).clock);
}

TEST_F(Pull, AWriteDuringThePullSurvivesIt) {
  ASSERT_TRUE(a_.merge(kPartition, {b_.put("k", "old")}).ok());
  b_.remove("k");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  a_.put("k", "new");
  a_.put("l", "new");
  answer_next<PullRequest>(pull);
  ASSERT_TRUE(pull.done());
  EXPECT_TRUE(pull.outcome().adopted);
  EXPECT_EQ(a_.values("k"), std::vector<std::string>{"new"});
  EXPECT_EQ(a_.values("l"), std::vector<std::string>{"new"});
}

// The trap: c's old write reaches a late, after k was found equal; the view knows that it is
// superseded.
TEST_F(Pull, WhatCameMeanwhileAndTheViewKnewIsPulledOnceMore) {
  const KeyedEntry late = c_.put("k", "superseded");
  ASSERT_TRUE(b_.merge(kPartition, {late}).ok());
  b_.remove("k");
  b_.put("other", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  const auto [number, request] = next<PullRequest>(pull);
  ASSERT_TRUE(a_.merge(kPartition, {late}).ok());
  ASSERT_EQ(a_.values("k").size(), 1U);
  pull.on_reply(number, *answer(*view_, request, {}));
  ASSERT_FALSE(pull.done());
  answer_next<FetchRequest>(pull);
  ASSERT_TRUE(pull.done());
  EXPECT_TRUE(pull.outcome().adopted);
  EXPECT_TRUE(a_.values("k").empty());
}

TEST_F(Pull, ASecondPullThatWasCutGoesOnUntilEveryKeyHasCome) {
  std::vector<KeyedEntry> late;
  for (int i = 0; i < 4; ++i) {
    late.push_back(c_.put(fmt::format("late {}", i), "superseded"));
    ASSERT_TRUE(b_.merge(kPartition, {late.back()}).ok());
    b_.remove(late.back().key);
  }
  b_.put("other", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  ASSERT_TRUE(a_.merge(kPartition, late).ok());
  answer_next<PullRequest>(pull);
  ResponderLimits one_by_one;
  one_by_one.reply_bytes_max = 1;
  std::size_t fetches = 0;
  for (; !pull.done(); ++fetches) answer_next<FetchRequest>(pull, one_by_one);
  EXPECT_EQ(fetches, 4U);
  EXPECT_TRUE(pull.outcome().adopted);
  for (const KeyedEntry& entry : late) EXPECT_TRUE(a_.values(entry.key).empty()) << entry.key;
}

TEST_F(Pull, WhatCameDuringTheSecondPullIsPulledToo) {
  std::vector<KeyedEntry> late;
  for (int i = 0; i < 3; ++i) {
    late.push_back(c_.put(fmt::format("late {}", i), "superseded"));
    ASSERT_TRUE(b_.merge(kPartition, {late.back()}).ok());
    b_.remove(late.back().key);
  }
  b_.put("other", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  ASSERT_TRUE(a_.merge(kPartition, {late[0]}).ok());
  answer_next<PullRequest>(pull);
  ASSERT_TRUE(a_.merge(kPartition, {late[1], late[2]}).ok());
  while (!pull.done()) answer_next<FetchRequest>(pull);
  EXPECT_TRUE(pull.outcome().adopted);
  for (const KeyedEntry& entry : late) EXPECT_TRUE(a_.values(entry.key).empty()) << entry.key;
}

TEST_F(Pull, WhoseKeyIsForgottenMeanwhileMeansThatNoClockIsAdopted) {
  const KeyedEntry late = c_.put("k", "superseded");
  ASSERT_TRUE(b_.merge(kPartition, {late}).ok());
  b_.remove("k");
  b_.put("other", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  ASSERT_TRUE(a_.merge(kPartition, {late}).ok());
  Random random(1);
  a_.evict(random, 1);
  answer_next<PullRequest>(pull);
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(pull.outcome().status.ok());
  EXPECT_FALSE(pull.outcome().adopted);
  EXPECT_EQ(a_.values("other").size(), 1U);
}

TEST_F(Pull, ALeafThatCannotBeListedWholeMeansThatNoClockIsAdopted) {
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(a_.merge(kPartition, {b_.put(fmt::format("{{tag}}{}", i), "v")}).ok());
  }
  b_.remove("{tag}8");
  settle_and_forget();
  PullOptions options;
  options.items_per_pull_max = 4;
  PartitionPull pull = begin(options);
  open_after_delta(pull);
  while (!pull.done()) answer_next<PullRequest>(pull);
  EXPECT_TRUE(pull.outcome().status.ok());
  EXPECT_FALSE(pull.outcome().adopted);
  EXPECT_EQ(a_.values("{tag}8").size(), 1U);  // not among the first four
  EXPECT_FALSE(clock_of_a().covers(b_.partition(kPartition).clock));
}

TEST_F(Pull, NoMoreRequestsThanAllowedAreUnderWay) {
  for (int i = 0; i < 3000; ++i) {
    const KeyedEntry written = b_.put(fmt::format("key {}", i), "v");
    ASSERT_TRUE(a_.merge(kPartition, {written}).ok());
  }
  a_.deepen_tree();
  b_.deepen_tree();
  for (int i = 0; i < 200; ++i) b_.put(fmt::format("key {}", i), "other");
  settle_and_forget();
  PullOptions options;
  options.requests_in_flight_max = 3;
  options.ranges_per_split = 2;
  PartitionPull pull = begin(options);
  open_after_delta(pull);
  std::vector<PartitionPull::Request> under_way;
  std::size_t most = 0;
  for (;;) {
    for (auto& request : pull.take_requests()) under_way.push_back(std::move(request));
    most = std::max(most, under_way.size());
    if (under_way.empty()) break;
    const PartitionPull::Request asked = std::move(under_way.front());
    under_way.erase(under_way.begin());
    if (const auto* split = std::get_if<SplitRequest>(&asked.body)) {
      pull.on_reply(asked.number, *answer(*view_, *split, {}));
    } else {
      pull.on_reply(asked.number, *answer(*view_, std::get<PullRequest>(asked.body), {}));
    }
  }
  EXPECT_EQ(most, 3U);
  ASSERT_TRUE(pull.done());
  EXPECT_TRUE(pull.outcome().adopted);
  EXPECT_EQ(pull.outcome().keys_pulled, 200U);
  EXPECT_EQ(a_.values("key 7"), std::vector<std::string>{"other"});
}

// ---- a peer that fails or lies ----

TEST_F(Pull, AFailedRequestEndsItAndLaterAnswersAreIgnored) {
  b_.put("k", "v");
  b_.settle();
  PartitionPull pull = begin();
  const auto [number, request] = next<DeltaRequest>(pull);
  pull.on_failure(number, absl::UnavailableError("gone"));
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(absl::IsUnavailable(pull.outcome().status));
  pull.on_reply(number, *answer(b_, request, {}));
  EXPECT_TRUE(a_.values("k").empty());
}

TEST_F(Pull, AnAnswerOfAnotherKindFailsIt) {
  b_.put("k", "v");
  PartitionPull pull = begin();
  const auto [number, request] = next<DeltaRequest>(pull);
  pull.on_reply(number, FetchReply{});
  EXPECT_TRUE(pull.done());
  EXPECT_FALSE(pull.outcome().status.ok());
}

TEST_F(Pull, AViewOfAnotherPartitionIsRefused) {
  b_.put("k", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  const auto [delta, request] = next<DeltaRequest>(pull);
  pull.on_reply(delta, *answer(b_, request, {}));
  PartitionState other = state_of(b_, kPartition);
  other.partition = PartitionId{1'000'000};
  pull.on_reply(next<OpenViewRequest>(pull).first, OpenViewReply{other});
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(absl::IsInvalidArgument(pull.outcome().status));
}

TEST_F(Pull, OtherRangesOrPartsThanWereAskedForAreRefused) {
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(a_.merge(kPartition, {b_.put(fmt::format("key {}", i), "v")}).ok());
  }
  b_.put("k", "v");
  settle_and_forget();
  for (const std::size_t ranges : {0U, 1U, 2U}) {
    PartitionPull pull = begin();
    open_after_delta(pull);
    const auto [number, request] = next<SplitRequest>(pull);
    SplitReply reply;
    reply.parts.resize(ranges, std::vector<model::DigestShare>(15));
    pull.on_reply(number, reply);
    EXPECT_TRUE(absl::IsInvalidArgument(pull.outcome().status)) << ranges;
    EXPECT_FALSE(pull.outcome().adopted);
  }
}

TEST_F(Pull, APeerThatGoesInCirclesIsLeft) {
  b_.put("k", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  std::size_t asked = 0;
  for (; !pull.done() && asked < 10; ++asked) {
    PullReply reply;
    reply.resume_after = "k";
    pull.on_reply(next<PullRequest>(pull).first, reply);
  }
  EXPECT_EQ(asked, 2U);
  EXPECT_TRUE(absl::IsInvalidArgument(pull.outcome().status));
  EXPECT_FALSE(pull.outcome().adopted);
}

TEST_F(Pull, OtherKeysThanWereFetchedAreRefused) {
  const KeyedEntry late = c_.put("k", "superseded");
  ASSERT_TRUE(b_.merge(kPartition, {late}).ok());
  b_.remove("k");
  b_.put("other", "v");
  settle_and_forget();
  PartitionPull pull = begin();
  open_after_delta(pull);
  ASSERT_TRUE(a_.merge(kPartition, {late}).ok());
  answer_next<PullRequest>(pull);
  const auto [number, request] = next<FetchRequest>(pull);
  FetchReply reply = *answer(*view_, FetchRequest{{"other"}}, {});
  pull.on_reply(number, reply);
  EXPECT_TRUE(pull.done());
  EXPECT_TRUE(absl::IsInvalidArgument(pull.outcome().status));
  EXPECT_FALSE(pull.outcome().adopted);
}

}  // namespace
}  // namespace grapevine::gossip
