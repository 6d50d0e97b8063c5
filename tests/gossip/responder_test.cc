// Goal: whatever a peer sends, the answer is a reply within the limits or InvalidArgument; what
// cannot be read is never taken for absent; what was cut can be asked for until all of it has come.
#include "gossip/responder.h"
#include "gossip/partition_states.h"

#include <limits>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "gossip/range_descent.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr PartitionId kPartition{0};

::testing::AssertionResult is_refused(const absl::Status& status) {
  if (absl::IsInvalidArgument(status)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << status.ToString();
}

class Responder : public ::testing::Test {
 protected:
  void put(std::size_t keys) {
    for (std::size_t i = 0; i < keys; ++i) replica_.put(fmt::format("key {}", i), "value");
    replica_.settle();
  }
  model::DotRange written(std::uint64_t first, std::uint64_t last) const {
    return {replica_.actor(), first, last};
  }
  absl::StatusOr<DeltaReply> delta(std::vector<model::DotRange> dots) {
    return answer(replica_, DeltaRequest{kPartition, std::move(dots)}, limits_);
  }
  absl::StatusOr<PullReply> pull(const PullRequest& request) {
    return answer(replica_.live(kPartition), request, limits_);
  }
  std::vector<Item> items() {
    auto items = *replica_.live(kPartition).items({}, 100'000, std::nullopt);
    sort_by_hash(items);
    return items;
  }

  FakeReplica replica_{NodeId{1}};
  ResponderLimits limits_;
};

// ---- summary and states ----

TEST_F(Responder, EqualReplicasAreToldSoWithoutFingerprints) {
  FakeReplica other(NodeId{2});
  ASSERT_TRUE(other.merge(kPartition, {replica_.put("k", "v")}).ok());
  const SummaryReply reply = answer(replica_, {kPartition}, summarize(other, {kPartition}));
  EXPECT_TRUE(reply.equal);
  EXPECT_THAT(reply.fingerprints, IsEmpty());
}

TEST_F(Responder, OtherDataOtherClocksAndOtherPartitionsAreAllUnequal) {
  FakeReplica other(NodeId{2});
  EXPECT_TRUE(answer(replica_, {kPartition}, summarize(other, {kPartition})).equal);
  EXPECT_FALSE(answer(replica_, {kPartition}, summarize(other, {})).equal);
  replica_.remove("k");
  EXPECT_FALSE(answer(replica_, {kPartition}, summarize(other, {kPartition})).equal);
  replica_.put("k", "v");
  const SummaryReply reply = answer(replica_, {kPartition}, summarize(other, {kPartition}));
  ASSERT_THAT(reply.fingerprints, SizeIs(1));
  EXPECT_EQ(reply.fingerprints[0].partition, kPartition);
  EXPECT_EQ(reply.fingerprints[0].print, fingerprint_of(state_of(replica_, kPartition)).print);
  EXPECT_NE(reply.fingerprints[0].print, fingerprint_of(state_of(other, kPartition)).print);
}

// ---- delta ----

TEST_F(Responder, TheEntriesOfDotsComeOncePerKeyWithAllTheirEvents) {
  replica_.put("a", "1");
  replica_.put("b", "2");
  replica_.put("a", "3");
  replica_.settle();
  const auto reply = delta({written(1, 3)});
  ASSERT_TRUE(reply.ok());
  ASSERT_THAT(reply->entries, SizeIs(2));
  EXPECT_EQ(reply->entries[0].key, "a");
  EXPECT_THAT(reply->entries[0].events, SizeIs(2));
  EXPECT_EQ(reply->entries[0].entry.versions.front().value, "3");
  EXPECT_FALSE(reply->more);
}

TEST_F(Responder, YoungDotsAreCountedAndLeftOut) {
  put(2);
  replica_.put("young", "v");
  const auto reply = delta({written(1, 3)});
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->entries, SizeIs(2));
  EXPECT_EQ(reply->in_flight, 1U);
}

// Behind a slow link the direct copy may take long.
TEST_F(Responder, ADotThatACallCarriesIsLeftOutHoweverOld) {
  put(3);
  limits_.on_its_way = [this](PartitionId partition, model::Dot dot) {
    return partition == kPartition && dot == model::Dot{replica_.actor(), 2};
  };
  const auto reply = delta({written(1, 3)});
  ASSERT_TRUE(reply.ok());
  ASSERT_THAT(reply->entries, SizeIs(2));
  EXPECT_EQ(reply->entries[0].key, "key 0");
  EXPECT_EQ(reply->entries[1].key, "key 2");
  EXPECT_EQ(reply->in_flight, 1U);
  Judgement judged;
  judged.verdict = CompareVerdict::kEntries;
  for (int i = 0; i < 3; ++i) {
    judged.slots.push_back(model::slot_of(model::token_of(fmt::format("key {}", i))));
  }
  std::sort(judged.slots.begin(), judged.slots.end());
  const auto compared = answer(replica_, {kPartition}, judged, limits_);
  ASSERT_TRUE(compared.ok());
  EXPECT_THAT(compared->entries, SizeIs(2));
  EXPECT_EQ(compared->in_flight, 1U);
}

TEST_F(Responder, ADotThatTheLogHasForgottenMeansThatItDoesNotReach) {
  put(3);
  Random random(1);
  replica_.evict(random, 1);
  const auto reply = delta({written(1, 3)});
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(reply->log_reaches);
  EXPECT_THAT(reply->entries, IsEmpty());
}

TEST_F(Responder, ADeltaIsCutAtItsLimitsAndSaysSo) {
  put(20);
  limits_.reply_bytes_max = 300;
  const auto by_bytes = delta({written(1, 20)});
  ASSERT_TRUE(by_bytes.ok());
  EXPECT_TRUE(by_bytes->more);
  EXPECT_LT(by_bytes->entries.size(), 5U);
  limits_ = {};
  limits_.reply_keys_max = 7;
  const auto by_keys = delta({written(1, 20)});
  ASSERT_TRUE(by_keys.ok());
  EXPECT_TRUE(by_keys->more);
  EXPECT_THAT(by_keys->entries, SizeIs(7));
}

TEST_F(Responder, AnEntryOverTheLimitTravelsAlone) {
  put(3);
  limits_.reply_bytes_max = 1;
  const auto reply = delta({written(1, 3)});
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->entries, SizeIs(1));
  EXPECT_TRUE(reply->more);
}

TEST_F(Responder, DotsOutOfOrderOverlappingOrImpossibleAreRefused) {
  put(9);
  EXPECT_TRUE(is_refused(delta({written(5, 6), written(1, 2)}).status()));
  EXPECT_TRUE(is_refused(delta({written(1, 5), written(5, 6)}).status()));
  EXPECT_TRUE(is_refused(delta({written(6, 5)}).status()));
  EXPECT_TRUE(is_refused(delta({written(0, 5)}).status()));
  EXPECT_TRUE(delta({written(1, 2), written(4, 5)}).ok());
}

TEST_F(Responder, MoreDotRangesThanAllowedAreRefused) {
  put(9);
  limits_.dot_ranges_max = 2;
  EXPECT_TRUE(is_refused(delta({written(1, 1), written(3, 3), written(5, 5)}).status()));
  EXPECT_TRUE(delta({written(1, 1), written(3, 3)}).ok());
}

TEST_F(Responder, ARangeUpToTheLastCounterEndsWithTheLog) {
  put(3);
  const auto reply = delta({written(1, std::numeric_limits<std::uint64_t>::max())});
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(reply->log_reaches);
}

// ---- split ----

TEST_F(Responder, RangesThatAreNotOfThePartitionAreRefused) {
  const FakeReplica half(NodeId{1}, 2);
  const PartitionView& view = half.live(kPartition);
  const model::TokenRange all;
  const model::TokenRange backwards{{5}, {4}};
  EXPECT_TRUE(is_refused(answer(view, SplitRequest{{all}}, limits_).status()));
  EXPECT_TRUE(is_refused(answer(view, SplitRequest{{backwards}}, limits_).status()));
  EXPECT_TRUE(is_refused(answer(view, PullRequest{all, {}, {}}, limits_).status()));
  EXPECT_TRUE(answer(view, SplitRequest{{view.range()}}, limits_).ok());
}

TEST_F(Responder, ARangeThatHasNotSixteenEqualPartsIsRefused) {
  const PartitionView& view = replica_.live(kPartition);
  EXPECT_TRUE(is_refused(answer(view, SplitRequest{{{{16}, {30}}}}, limits_).status()));
  EXPECT_TRUE(is_refused(answer(view, SplitRequest{{{{0}, {1000}}}}, limits_).status()));
  EXPECT_TRUE(answer(view, SplitRequest{{{{16}, {31}}}}, limits_).ok());
}

RC_GTEST_PROP(ResponderLaw, AnyRangeGetsPartsNoPartsOrARefusal, ()) {
  FakeReplica replica(NodeId{1});
  for (std::size_t i = 0; i < 200; ++i) replica.put(fmt::format("key {}", i), "v");
  replica.deepen_tree();
  const model::TokenRange range{{*rc::gen::arbitrary<std::uint64_t>()},
                                {*rc::gen::arbitrary<std::uint64_t>()}};
  const auto reply = answer(replica.live(kPartition), SplitRequest{{range}}, ResponderLimits{});
  if (reply.ok()) {
    RC_ASSERT(reply->parts.size() == 1U);
    RC_ASSERT(reply->parts[0].empty() || reply->parts[0].size() == 16U);
  } else {
    RC_ASSERT(absl::IsInvalidArgument(reply.status()));
  }
}

TEST_F(Responder, MoreThanTheLimitsAllowIsRefused) {
  put(9);
  limits_.ranges_max = 1;
  limits_.items_max = 8;
  limits_.keys_max = 1;
  const PartitionView& view = replica_.live(kPartition);
  EXPECT_TRUE(is_refused(answer(view, SplitRequest{{{}, {}}}, limits_).status()));
  EXPECT_TRUE(is_refused(pull({{}, items(), {}}).status()));
  EXPECT_TRUE(is_refused(answer(view, FetchRequest{{"a", "b"}}, limits_).status()));
}

// ---- pull ----

TEST_F(Responder, APullGetsWhatDiffersAndIsToldWhatIsAbsent) {
  put(4);
  auto mine = items();
  const std::uint64_t unknown = mine.front().key_hash;
  mine.front().key_hash += 1;  // a key that the view does not hold, instead of one that it does
  mine.back().digest += 1;
  const auto reply = pull({{}, mine, {}});
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->absent, ElementsAre(unknown + 1));
  EXPECT_THAT(reply->entries, SizeIs(2));
  EXPECT_FALSE(reply->resume_after.has_value());
}

TEST_F(Responder, ItemsOutOfOrderAreRefused) {
  put(4);
  auto mine = items();
  std::swap(mine.front(), mine.back());
  EXPECT_TRUE(is_refused(pull({{}, mine, {}}).status()));
}

TEST_F(Responder, AnUnquietEntryIsSentEvenWhereTheDigestsAgree) {
  KeyedEntry stray = replica_.put("k", "v");
  stray.entry.vector.raise(ActorId::of(NodeId{5}, 1), 3);
  stray.events.clear();
  FakeReplica other(NodeId{2});
  ASSERT_TRUE(other.merge(kPartition, {stray}).ok());
  const auto reply = answer(other.live(kPartition), PullRequest{{}, items(), {}}, limits_);
  ASSERT_TRUE(reply.ok());
  EXPECT_THAT(reply->entries, SizeIs(1));
}

RC_GTEST_PROP(ResponderLaw, ACutPullGivesEverythingOnceInTheEnd, ()) {
  FakeReplica replica(NodeId{1});
  const std::size_t keys = *rc::gen::inRange<std::size_t>(0, 40);
  for (std::size_t i = 0; i < keys; ++i) replica.put(fmt::format("key {}", i), "v");
  ResponderLimits limits;
  limits.reply_bytes_max = *rc::gen::inRange<std::size_t>(1, 600);
  limits.reply_keys_max = *rc::gen::inRange<std::size_t>(1, 5);
  PullRequest request;
  const bool holds_some = *rc::gen::arbitrary<bool>();
  if (holds_some) request.items.push_back({"", 1, 1, false});
  std::set<std::string> got;
  for (bool first = true;; first = false) {
    const auto reply = answer(replica.live(kPartition), request, limits);
    RC_ASSERT(reply.ok());
    RC_ASSERT(reply->entries.size() <= limits.reply_keys_max);
    RC_ASSERT(reply->absent.size() == (first && holds_some ? 1U : 0U));
    for (const KeyedEntry& entry : reply->entries) RC_ASSERT(got.insert(entry.key).second);
    if (!reply->resume_after.has_value()) break;
    RC_ASSERT(!reply->entries.empty());
    request.after_key = reply->resume_after;
  }
  RC_ASSERT(got.size() == keys);
}

TEST_F(Responder, WhatCannotBeReadIsDataLossAndNeverAbsent) {
  put(1);
  replica_.unreadable.insert("key 0");
  EXPECT_TRUE(absl::IsDataLoss(delta({written(1, 1)}).status()));
  EXPECT_TRUE(absl::IsDataLoss(pull({}).status()));
  EXPECT_TRUE(absl::IsDataLoss(
      answer(replica_.live(kPartition), FetchRequest{{"key 0"}}, limits_).status()));
}

// ---- fetch ----

TEST_F(Responder, AFetchAnswersInOrderAndIsCutAtItsLimit) {
  put(3);
  limits_.reply_bytes_max = 160;
  const auto reply =
      answer(replica_.live(kPartition), FetchRequest{{"key 2", "not there", "key 0"}}, limits_);
  ASSERT_TRUE(reply.ok());
  ASSERT_THAT(reply->entries, SizeIs(2));
  EXPECT_EQ(reply->entries[0].key, "key 2");
  EXPECT_THAT(reply->entries[1].entry.versions, IsEmpty());
  EXPECT_FALSE(reply->entries[1].entry.vector.empty());  // what the clock says of it
}

TEST_F(Responder, AKeyOfAnotherPartitionIsNotFetched) {
  FakeReplica half(NodeId{1}, 2);
  std::size_t i = 0;
  while (half.partition_of(fmt::format("key {}", i)) == kPartition) ++i;
  EXPECT_TRUE(is_refused(
      answer(half.live(kPartition), FetchRequest{{fmt::format("key {}", i)}}, limits_).status()));
}

}  // namespace
}  // namespace grapevine::gossip
