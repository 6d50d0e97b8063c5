// Goal: each update leaves so many times and no more; what was sent least and matters most goes
// first; newer news takes the place of older; nothing is larger than its packet.
#include "gossip/update_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/member_records.h"

namespace grapevine::gossip {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<Message> sent(UpdateQueue& queue, std::uint32_t transmissions,
                          std::size_t bytes_max = kPacketBytesMax) {
  PacketWriter packet(0, NodeId{1}, bytes_max);
  queue.fill(packet, transmissions);
  return decode_packet(packet.take(), 0).value().messages;
}

Suspect suspect(std::uint64_t node, std::uint64_t incarnation = 0) {
  return {NodeId{node}, incarnation, NodeId{1}};
}

TEST(UpdateQueue, SendsAnUpdateSoManyTimes) {
  UpdateQueue queue;
  queue.put(suspect(2));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(sent(queue, 3), SizeIs(1));
  EXPECT_THAT(sent(queue, 3), IsEmpty());
  EXPECT_TRUE(queue.empty());
}

TEST(UpdateQueue, NewerNewsAboutAMemberTakesThePlaceOfOlder) {
  UpdateQueue queue;
  queue.put(suspect(2, 1));
  sent(queue, 3);
  queue.put(Down{NodeId{2}, 1, NodeId{1}});
  EXPECT_THAT(sent(queue, 3), ElementsAre(Message(Down{NodeId{2}, 1, NodeId{1}})));
  sent(queue, 3);
  EXPECT_THAT(sent(queue, 3), SizeIs(1)) << "its count begins anew";
  EXPECT_THAT(sent(queue, 3), IsEmpty());
}

TEST(UpdateQueue, ARecordAndAnAccusationOfOneMemberTravelApart) {
  UpdateQueue queue;
  queue.put(member(2, 1));
  queue.put(suspect(2, 1));
  EXPECT_THAT(sent(queue, 1), ElementsAre(Message(suspect(2, 1)), Message(member(2, 1))));
}

TEST(UpdateQueue, WhatWasSentLeastGoesFirstThenWhatMattersMostThenTheNewest) {
  UpdateQueue queue;
  const LoadReport load{NodeId{2}, 0, 1, {}};
  queue.put(suspect(9));
  sent(queue, 5);
  queue.put(load);
  queue.put(member(3));
  queue.put(member(4));
  queue.put(suspect(5));
  EXPECT_THAT(sent(queue, 5), ElementsAre(Message(suspect(5)), Message(member(4)),
                                          Message(member(3)), Message(load), Message(suspect(9))));
}

TEST(UpdateQueue, WhatDoesNotFitWaitsAndSmallerNewsGoes) {
  UpdateQueue queue;
  queue.put(suspect(5));
  queue.put(Rumour{RumourId{NodeId{2}, 1}, 0, "name", std::string(200, 'x')});
  EXPECT_THAT(sent(queue, 1, 100), ElementsAre(Message(suspect(5))));
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_THAT(sent(queue, 1), SizeIs(1));
}

TEST(UpdateQueue, WhatNoPacketHasRoomForIsGivenUp) {
  UpdateQueue queue;
  MemberRecord large = member(2);
  large.name.assign(1000, 'n');
  large.zone.assign(1000, 'z');
  queue.put(large);
  queue.put(suspect(5));
  EXPECT_THAT(sent(queue, 2), ElementsAre(Message(suspect(5))));
  EXPECT_THAT(sent(queue, 2), SizeIs(1));
  EXPECT_THAT(sent(queue, 2), IsEmpty());
  EXPECT_TRUE(queue.empty());
}

TEST(UpdateQueue, ForgetsWhatIsNoLongerTrue) {
  UpdateQueue queue;
  queue.put(suspect(5));
  EXPECT_TRUE(queue.holds(subject_of(suspect(5))));
  queue.forget(subject_of(suspect(5)));
  queue.forget(subject_of(suspect(6)));
  EXPECT_THAT(sent(queue, 1), IsEmpty());
}

TEST(UpdateQueue, HoldsNoMoreThanItsLimitAndGivesUpWhatWasSentMost) {
  UpdateQueue queue;
  queue.put(suspect(1));
  sent(queue, 100);
  for (std::uint64_t i = 0; i < UpdateQueue::kUpdatesMax; ++i) queue.put(suspect(i + 2));
  EXPECT_EQ(queue.size(), UpdateQueue::kUpdatesMax);
  EXPECT_FALSE(queue.holds(subject_of(suspect(1))));
}

}  // namespace
}  // namespace grapevine::gossip
