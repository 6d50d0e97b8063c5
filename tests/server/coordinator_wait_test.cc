// Goal: an operation whose key is cold waits, alone and in order; writes that a stalled store
// refuses are tried again until their deadline, in order, within bounds; neither is ever a lie.
// Method: a store whose earlier life left cold keys, a disk that flushes when told; a desk.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "storage/base/limits.h"
#include "tests/server/coordinator_desk.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr std::size_t kTinyMemtable = std::size_t{64} << 10;

class ColdKeys : public CoordinatorDesk {
 protected:
  ColdKeys() : CoordinatorDesk({.written = {{"cold", "old"}, {"cold2", "old"}}, .lost = {}}) {
    ring_.owners_of_all = {store_.node()};
  }
};

TEST_F(ColdKeys, AReadWaitsForItsKeyToBeWarmed) {
  const RequestId id = begin(get("cold"));
  EXPECT_FALSE(answered(id));
  EXPECT_EQ(coordinator_.counters().cold, 1U);
  warm();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"old"});
}

TEST_F(ColdKeys, WhatIsHotIsAnsweredMeanwhile) {
  store_.put("hot", "v");
  const RequestId cold = begin(get("cold"));
  const RequestId hot = begin(get("hot"));
  EXPECT_TRUE(answered(hot));
  EXPECT_FALSE(answered(cold));
  warm();
  EXPECT_TRUE(answered(cold));
}

TEST_F(ColdKeys, OneRequestsReadsAreWarmedTogether) {
  const RequestId id = begin({get("cold"), get("cold2"), get("cold")});
  EXPECT_EQ(store_->statistics().keys_warmed, 2U);
  warm();
  ASSERT_TRUE(answered(id));
  for (const OperationAnswer& one : answers(id)) EXPECT_EQ(values_of(one), Strings{"old"});
}

TEST_F(ColdKeys, AReadAsksOtherOwnersWhenItsOwnEntryIsThere) {
  ring_.owners_of_all = {store_.node(), kB, kC};
  const RequestId id = begin(get("cold"));
  EXPECT_TRUE(desk_.empty());
  warm();
  EXPECT_FALSE(answered(id));
  show(kB, heads_of(store_.entry("cold")));
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answer(id)), Strings{"old"});
}

TEST_F(ColdKeys, AWriteWaitsAndTheOthersOfItsWaveDoNot) {
  const RequestId id = begin({put("cold", "new"), put("hot", "new")});
  EXPECT_EQ(store_.values("hot"), Strings{"new"});
  EXPECT_EQ(store_->tops(store_->actor()), std::vector<std::uint64_t>{3});
  EXPECT_FALSE(answered(id));
  warm();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answers(id)[0]), StatusCode::kOk);
  EXPECT_EQ(code_of(answers(id)[1]), StatusCode::kOk);
  EXPECT_EQ(store_.values("cold"), Strings{"new"});
}

TEST_F(ColdKeys, WritesOfOneKeyStayInOrder) {
  const RequestId id = begin({put("cold", "1"), put("cold", "2"), put("cold", "3")});
  EXPECT_EQ(coordinator_.counters().cold, 3U);
  warm();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(store_.values("cold"), Strings{"3"});
  EXPECT_LT(dot_of(answers(id)[0]).counter, dot_of(answers(id)[1]).counter);
  EXPECT_LT(dot_of(answers(id)[1]).counter, dot_of(answers(id)[2]).counter);
}

TEST_F(ColdKeys, WhatFollowsInTheRequestSeesTheParkedWrite) {
  const RequestId id = begin({put("cold", "1"), get("cold"), put("cold", "2"), get("cold")});
  EXPECT_FALSE(answered(id));
  for (int i = 0; i < 4; ++i) warm();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"1"});
  EXPECT_EQ(values_of(answers(id)[3]), Strings{"2"});
}

TEST_F(ColdKeys, AParkedWriteThatTimesOutWasNotWrittenAndNeverIs) {
  const RequestId id = begin(put("cold", "new"));
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("nothing was written"));
  warm();
  EXPECT_EQ(store_.values("cold"), Strings{"old"});
  EXPECT_EQ(coordinator_.next_deadline(), std::nullopt);
}

TEST_F(ColdKeys, AParkedReadThatTimesOutIsUnavailable) {
  const RequestId id = begin(get("cold"));
  pass(kTimeout);
  EXPECT_EQ(code_of(answer(id)), StatusCode::kUnavailable);
  warm();
}

class StalledStore : public CoordinatorDesk {
 protected:
  StalledStore()
      : CoordinatorDesk(
            {.written = {{"cold", "old"}}, .memtable_bytes = kTinyMemtable, .lost = {}}) {
    ring_.owners_of_all = {store_.node()};
    store_.stall();
  }
  void retry() {
    pass(Duration::zero());  // says when
    pass(Coordinator::kStallPause);
  }
};

TEST_F(StalledStore, AWriteWaitsUntilTheStoreTakesIt) {
  const ActorId actor = store_->actor();
  const RequestId id = begin(put("k", "v"));
  retry();
  EXPECT_FALSE(answered(id));
  EXPECT_TRUE(store_.values("k").empty());
  store_.flow_again();
  retry();
  sync();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
  EXPECT_EQ(store_.values("k"), Strings{"v"});
  EXPECT_EQ(store_->actor(), actor);
  EXPECT_FALSE(must_renew_actor_);
  EXPECT_EQ(coordinator_.counters().queued, 1U);
  EXPECT_EQ(coordinator_.counters().overloaded, 0U);
}

TEST_F(StalledStore, ReadsAreAnsweredMeanwhile) {
  begin(put("k", "v"));
  const RequestId id = begin(get("fill0"));
  if (!answered(id)) warm();
  EXPECT_EQ(values_of(answer(id)).size(), 1U);
}

TEST_F(StalledStore, NoLaterWriteOvertakesTheQueue) {
  const RequestId first = begin(put("k", "1"));
  store_.flow_again();
  const RequestId second = begin(put("k", "2"));
  EXPECT_TRUE(store_.values("k").empty());
  retry();
  sync();
  ASSERT_TRUE(answered(first) && answered(second));
  EXPECT_EQ(store_.values("k"), Strings{"2"});
}

TEST_F(StalledStore, WhatFollowsInTheRequestWaitsForIt) {
  const RequestId id = begin({put("k", "1"), get("k"), put("k", "2")});
  store_.flow_again();
  for (int i = 0; i < 3; ++i) {
    retry();
    sync();
  }
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(values_of(answers(id)[1]), Strings{"1"});
  EXPECT_EQ(store_.values("k"), Strings{"2"});
}

TEST_F(StalledStore, AColdWriteIsWarmedFirstAndThenWaits) {
  const RequestId id = begin({put("cold", "1"), put("hot", "1")});
  warm();
  EXPECT_EQ(coordinator_.counters().queued, 2U);
  store_.flow_again();
  retry();
  sync();
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(store_.values("cold"), Strings{"1"});
}

TEST_F(StalledStore, AtItsDeadlineAQueuedWriteIsRefusedAndNeverWritten) {
  const RequestId id = begin(put("k", "v"));
  pass(kTimeout);
  ASSERT_TRUE(answered(id));
  EXPECT_EQ(code_of(answer(id)), StatusCode::kResourceExhausted);
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("overloaded"));
  EXPECT_THAT(text_of_answer(answer(id)), HasSubstr("nothing was written"));
  EXPECT_EQ(coordinator_.counters().overloaded, 1U);
  store_.flow_again();
  retry();
  EXPECT_TRUE(store_.values("k").empty());
  EXPECT_EQ(coordinator_.next_deadline(), std::nullopt);
}

TEST_F(StalledStore, TicksAreWantedWhileWritesWait) {
  begin(put("k", "v"));
  ASSERT_TRUE(coordinator_.next_deadline().has_value());
  EXPECT_LE(*coordinator_.next_deadline(), now_);  // at once: it does not know what time it is
  pass(Duration::zero());
  EXPECT_EQ(*coordinator_.next_deadline(), now_ + Coordinator::kStallPause);
  pass(Coordinator::kStallPause);
  EXPECT_EQ(*coordinator_.next_deadline(), now_ + Coordinator::kStallPause);
}

TEST_F(StalledStore, BeyondTheBoundOfWritesItIsOverloadedAtOnce) {
  std::vector<RequestId> waiting;
  for (std::size_t i = 0; i < Coordinator::kQueuedWritesMax; ++i) {
    waiting.push_back(begin(put(fmt::format("k{}", i), "v")));
  }
  const RequestId refused = begin(put("one more", "v"));
  ASSERT_TRUE(answered(refused));
  EXPECT_EQ(code_of(answer(refused)), StatusCode::kResourceExhausted);
  store_.flow_again();
  for (int i = 0; i < 100'000 && !answered(waiting.back()); ++i) {
    retry();
    sync();
  }
  for (const RequestId id : waiting) {
    ASSERT_TRUE(answered(id));
    EXPECT_EQ(code_of(answer(id)), StatusCode::kOk);
  }
  EXPECT_TRUE(store_.values("one more").empty());
}

TEST_F(StalledStore, BeyondTheBoundOfBytesItIsOverloadedAtOnceAndExpiredOnesMakeRoom) {
  const std::string large(kValueBytesMax, 'v');
  const std::size_t fit = Coordinator::kQueuedBytesMax / (kValueBytesMax + 1);
  for (std::size_t i = 0; i < fit; ++i) begin(put(fmt::format("{}", i), large));
  const RequestId refused = begin(put("x", large));
  ASSERT_TRUE(answered(refused));
  EXPECT_EQ(code_of(answer(refused)), StatusCode::kResourceExhausted);
  pass(kTimeout);
  const RequestId fits = begin(put("x", large));
  EXPECT_FALSE(answered(fits));
}

}  // namespace
}  // namespace grapevine::server::test
