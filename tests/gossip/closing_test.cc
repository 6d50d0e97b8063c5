// Goal: an actor is closed when it is certain that no owner holds what this replica lacks of it, and
// never before. Method: by hand, one condition missing at a time; how it meets everything else is
// the matter of convergence_test.cc.
#include "gossip/closing.h"

#include <gtest/gtest.h>

#include "tests/gossip/members.h"

namespace grapevine::gossip {
namespace {

constexpr PartitionId kPartition{0};
constexpr NodeId kSelf{1};
constexpr NodeId kOther{2};
constexpr NodeId kThird{3};
constexpr Duration kSettle = std::chrono::seconds(10);

Instant at(int seconds) {
  return {std::chrono::seconds(seconds)};
}

MemberRecord with_epoch(NodeId id, std::uint64_t epoch, MemberState state = MemberState::kUp) {
  MemberRecord record = member(id.value, 0, state);
  record.epoch = epoch;
  return record;
}

// Node 3 is in its third epoch since second 100; nodes 1 to 3 own the partition.
class ClosingTest : public ::testing::Test {
 protected:
  ClosingTest() {
    closing_.members({with_epoch(kSelf, 1), with_epoch(kOther, 1), with_epoch(kThird, 1)}, at(0));
    clock_.add(model::Dot{ActorId::of(kThird, 1), 2});
    clock_.add(model::Dot{ActorId::of(kThird, 2), 1});
    clock_.add(model::Dot{ActorId::of(kThird, 3), 1});
    clock_.add(model::Dot{ActorId::of(kOther, 1), 7});
    closing_.members({with_epoch(kThird, 3)}, at(100));
  }

  // A call, and an exchange that brings everything.
  void hear(NodeId peer, Instant when) {
    closing_.told(peer, when);
    closing_.heard(peer, *closing_.mark(peer), {kPartition});
  }
  std::vector<ActorId> due(Instant now = at(1000), bool unquiet = false) const {
    return closing_.due(kPartition, owners_, clock_, unquiet, now);
  }

  const std::vector<ActorId> third_ended_{ActorId::of(kThird, 2)};
  Closing closing_{kSelf, ClosingOptions{kSettle}};
  std::vector<NodeId> owners_{kSelf, kOther, kThird};
  model::Clock clock_;
};

TEST_F(ClosingTest, WhenAllOthersWereHeardAllEndedEpochsAreClosedAtOnce) {
  hear(kOther, at(110));
  hear(kThird, at(110));
  EXPECT_EQ(due(), third_ended_);
  clock_.close(kThird, 2);
  EXPECT_TRUE(due().empty());
}

TEST_F(ClosingTest, WhatMattersIsWhatThePeerKnewWhenTheExchangeBegan) {
  hear(kThird, at(110));
  EXPECT_TRUE(due().empty());
  hear(kOther, at(99));
  EXPECT_TRUE(due().empty());
  const Instant before_it_knew = *closing_.mark(kOther);
  closing_.told(kOther, at(120));
  closing_.heard(kOther, before_it_knew, {kPartition});
  EXPECT_TRUE(due().empty());
  closing_.heard(kOther, *closing_.mark(kOther), {PartitionId{1}});
  EXPECT_TRUE(due().empty());
  closing_.heard(kOther, *closing_.mark(kOther), {kPartition});
  EXPECT_EQ(due(), third_ended_);
}

TEST_F(ClosingTest, AnEndHasToSettle) {
  hear(kThird, at(110));
  hear(kOther, at(109));
  EXPECT_TRUE(due().empty());
  hear(kOther, at(110));
  EXPECT_EQ(due(), third_ended_);
}

TEST_F(ClosingTest, AnEndOfAnyActorBeginsTheWaitAnew) {
  hear(kOther, at(110));
  hear(kThird, at(110));
  closing_.members({with_epoch(kOther, 2)}, at(111));
  EXPECT_TRUE(due().empty());
  hear(kOther, at(121));
  hear(kThird, at(121));
  EXPECT_EQ(due(), (std::vector{ActorId::of(kOther, 1), ActorId::of(kThird, 2)}));
}

TEST_F(ClosingTest, ALostConnectionMeansThatThePeerMustBeToldAgain) {
  closing_.told(kOther, at(110));
  closing_.lost(kOther);
  EXPECT_FALSE(closing_.mark(kOther).has_value());
  closing_.told(kOther, at(111));
  EXPECT_EQ(closing_.mark(kOther), at(111));
  closing_.told(kOther, at(105));  // an answer that comes late
  EXPECT_EQ(closing_.mark(kOther), at(111));
}

TEST_F(ClosingTest, APeerMustBeHeardOnceItKnowsAndWhileSomethingIsToBeClosed) {
  const auto must_hear = [&] {
    return closing_.must_hear(kOther, kPartition, owners_, clock_, /*unquiet=*/false);
  };
  EXPECT_FALSE(must_hear());
  closing_.told(kOther, at(109));
  EXPECT_FALSE(must_hear());
  closing_.told(kOther, at(110));
  EXPECT_TRUE(must_hear());
  closing_.heard(kOther, *closing_.mark(kOther), {kPartition});
  EXPECT_FALSE(must_hear());
  closing_.members({with_epoch(kThird, 4)}, at(200));
  EXPECT_FALSE(must_hear());
  closing_.told(kOther, at(210));
  EXPECT_TRUE(must_hear());
  std::swap(owners_[0], owners_[1]);
  EXPECT_FALSE(must_hear());
  std::swap(owners_[0], owners_[1]);
  clock_.close(kThird, 3);
  EXPECT_FALSE(must_hear());
}

TEST_F(ClosingTest, OnlyTheFirstOwnerCloses) {
  hear(kOther, at(110));
  hear(kThird, at(110));
  owners_ = {kOther, kSelf, kThird};
  EXPECT_TRUE(due().empty());
  owners_ = {kOther, kThird};
  EXPECT_TRUE(due().empty());
  owners_.clear();
  EXPECT_TRUE(due().empty());
}

TEST_F(ClosingTest, AnOwnerAloneWaitsForNobody) {
  owners_ = {kSelf};
  EXPECT_TRUE(due(at(109)).empty());
  EXPECT_EQ(due(at(110)), third_ended_);
}

TEST_F(ClosingTest, WhatIsOpenOrOfNoMemberIsNotClosed) {
  clock_.close(kThird, 2);
  clock_.add(model::Dot{ActorId::of(kThird, 3), 5});
  clock_.add(model::Dot{ActorId::of(kSelf, 1), 5});
  clock_.add(model::Dot{ActorId::of(NodeId{9}, 1), 5});
  hear(kOther, at(110));
  hear(kThird, at(110));
  EXPECT_TRUE(due().empty());
}

// A vector, here or at another owner, may mention an actor none of whose dots any clock holds.
TEST_F(ClosingTest, WhatHasEndedIsClosedThoughTheClockDoesNotKnowIt) {
  clock_ = {};
  closing_.members({with_epoch(NodeId{4}, 2)}, at(100));
  hear(kOther, at(110));
  hear(kThird, at(110));
  EXPECT_EQ(due(), third_ended_) << "of the owners";
  EXPECT_EQ(due(at(1000), /*unquiet=*/true),
            (std::vector{ActorId::of(kThird, 2), ActorId::of(NodeId{4}, 1)}));
}

TEST_F(ClosingTest, ARemovedNodeHasEndedWithItsLastEpoch) {
  closing_.members({with_epoch(kThird, 3, MemberState::kRemoved)}, at(200));
  owners_ = {kSelf, kOther};
  hear(kOther, at(210));
  EXPECT_EQ(due(), std::vector{ActorId::of(kThird, 3)});
  EXPECT_FALSE(closing_.mark(kThird).has_value());
}

TEST_F(ClosingTest, NoRecordOpensAnEpochAgain) {
  closing_.members({with_epoch(kThird, 3)}, at(101));
  closing_.members({with_epoch(kThird, 2)}, at(102));
  hear(kOther, at(200));
  hear(kThird, at(200));
  EXPECT_EQ(due(), std::vector{ActorId::of(kThird, 2)});
  EXPECT_TRUE(closing_.ended(ActorId::of(kThird, 2)));
  EXPECT_FALSE(closing_.ended(ActorId::of(NodeId{9}, 0)));
}

}  // namespace
}  // namespace grapevine::gossip
