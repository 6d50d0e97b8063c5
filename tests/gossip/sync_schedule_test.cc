// Goal: while nobody is up seeds and known members are called again and again; later one member a
// time, and seeds only where nobody is; one call to each at a time.
#include "gossip/sync_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/member_records.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SyncScheduleTest : public ::testing::Test {
 protected:
  SyncSchedule schedule(std::vector<std::string> seeds) {
    return SyncSchedule(options_, random_, std::move(seeds), member(1).peer_address, now_);
  }

  const SwimOptions options_;
  Random random_{1};
  Instant now_{1h};
  Roster roster_{member(1), {}, options_, now_};
};

TEST_F(SyncScheduleTest, ASeedIsCalledOnceAtATimeAndAgainAfterTheJoinInterval) {
  SyncSchedule schedule = this->schedule({"seed:1", member(1).peer_address});
  const auto calls = schedule.due(roster_, now_);
  ASSERT_THAT(calls, SizeIs(1)) << "not itself";
  EXPECT_EQ(calls.front().to, std::nullopt);
  EXPECT_TRUE(calls.front().joining);
  EXPECT_THAT(schedule.due(roster_, now_ + 1h), IsEmpty());
  schedule.ended(calls.front());
  EXPECT_THAT(schedule.due(roster_, now_), IsEmpty());
  EXPECT_THAT(schedule.due(roster_, now_ + options_.join_interval), SizeIs(1));
}

TEST_F(SyncScheduleTest, WhileAloneAMemberOfAnEarlierLifeIsCalled) {
  const Roster roster(member(1), {member(2)}, options_, now_);
  SyncSchedule schedule = this->schedule({});
  const auto calls = schedule.due(roster, now_);
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls.front().to, NodeId{2});
  schedule.ended(calls.front());
  EXPECT_EQ(schedule.next_deadline(), now_ + options_.join_interval);
}

TEST_F(SyncScheduleTest, LaterSeedsAreCalledOnlyWhereNobodyIsUp) {
  roster_.hear(member(2), now_);
  SyncSchedule schedule = this->schedule({member(2).peer_address, "empty:1"});
  auto calls = schedule.due(roster_, now_);
  std::erase_if(calls, [](const auto& call) { return call.to.has_value(); });
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls.front().address, "empty:1");
  EXPECT_FALSE(calls.front().joining);
  schedule.ended(calls.front());
  EXPECT_LE(schedule.next_deadline(), now_ + options_.seed_interval);
}

TEST_F(SyncScheduleTest, OneMemberIsCalledEachInterval) {
  for (std::uint64_t id = 2; id <= 5; ++id) roster_.hear(member(id), now_);
  SyncSchedule schedule = this->schedule({});
  std::size_t calls = 0;
  for (const Instant end = now_ + 20 * options_.push_pull_interval; now_ < end;
       now_ = schedule.next_deadline()) {
    for (const auto& call : schedule.due(roster_, now_)) {
      ++calls;
      EXPECT_THAT(schedule.due(roster_, now_), IsEmpty());
      schedule.ended(call);
    }
  }
  EXPECT_GE(calls, 16U);
  EXPECT_LE(calls, 26U);
}

TEST_F(SyncScheduleTest, WhoCameUpIsCalledAtOnceIfItStillIs) {
  roster_.hear(member(2), now_);
  SyncSchedule schedule = this->schedule({});
  schedule.soon(NodeId{2}, now_);
  schedule.soon(NodeId{3}, now_);
  EXPECT_LE(schedule.next_deadline(), now_);
  const auto calls = schedule.due(roster_, now_);
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls.front().to, NodeId{2});
  schedule.ended(calls.front());
  EXPECT_THAT(schedule.due(roster_, now_), IsEmpty());
}

}  // namespace
}  // namespace grapevine::gossip
