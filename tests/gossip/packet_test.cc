// Goal: what is packed is read back; the bytes are fixed; every other byte gets a Status; a packet
// is never larger than allowed.
#include "gossip/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "gossip/member_codec.h"
#include "tests/gossip/members.h"
#include "tests/model/generators.h"

namespace grapevine::gossip {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint32_t kCluster = 0xA1B2C3D4;
constexpr NodeId kFrom{0x0102030405};

std::string packed(const std::vector<Message>& messages) {
  PacketWriter writer(kCluster, kFrom, kPacketBytesMax);
  for (const Message& message : messages) EXPECT_TRUE(writer.add(message));
  return writer.take();
}

std::vector<Message> one_of_each() {
  MemberRecord record = member(3, 300);
  record.epoch = 2;
  record.zone = "z";
  record.version = "1.0";
  return {Ping{1, NodeId{2}},
          Ack{300},
          PingRequest{70'000, NodeId{2}, "host2:4741"},
          Nack{5},
          record,
          Suspect{NodeId{2}, 7, NodeId{1}},
          Down{NodeId{2}, 200, NodeId{2}},
          LoadReport{NodeId{4}, 1, 2, Load{10, 55, 4096}},
          Rumour{RumourId{NodeId{4}, 9}, 61, "config", "payload"},
          Summary{{1, 2}, 3}};
}

std::string error_of(const std::string& bytes) {
  const auto decoded = decode_packet(bytes, kCluster);
  return decoded.ok() ? "" : std::string(text_of(decoded.status()));
}

rc::Gen<NodeId> any_node() {
  return rc::gen::construct<NodeId>(rc::gen::inRange<std::uint64_t>(1, NodeId::kMax + 1));
}
rc::Gen<std::uint64_t> any_incarnation() {
  return rc::gen::inRange<std::uint64_t>(0, kIncarnationMax + 1);
}

rc::Gen<Message> any_message() {
  const auto number = rc::gen::arbitrary<std::uint32_t>();
  const auto wide = rc::gen::arbitrary<std::uint64_t>();
  const auto text = [](std::size_t bytes_max) {
    return rc::gen::resize(static_cast<int>(bytes_max), rc::gen::arbitrary<std::string>());
  };
  const auto any = [](const auto& gen) {
    return rc::gen::map(gen, [](const auto& drawn) { return Message(drawn); });
  };
  return rc::gen::oneOf(
      any(rc::gen::construct<Ping>(number, any_node())), any(rc::gen::construct<Ack>(number)),
      any(rc::gen::construct<PingRequest>(number, any_node(), text(60))),
      any(rc::gen::construct<Nack>(number)), any(any_record()),
      any(rc::gen::construct<Suspect>(any_node(), any_incarnation(), any_node())),
      any(rc::gen::construct<Down>(any_node(), any_incarnation(), any_node())),
      any(rc::gen::construct<LoadReport>(any_node(), any_incarnation(), wide,
                                         rc::gen::construct<Load>(number, number, wide))),
      any(rc::gen::construct<Rumour>(rc::gen::construct<RumourId>(any_node(), wide), number,
                                     text(30), text(90))),
      any(rc::gen::construct<Summary>(rc::gen::construct<model::DigestSum>(wide, wide), wide)));
}

RC_GTEST_PROP(Packet, IsReadBackFromItsBytes, ()) {
  const auto drawn = *rc::gen::container<std::vector<Message>>(any_message());
  PacketWriter writer(kCluster, kFrom, kPacketBytesMax);
  std::vector<Message> fitted;
  for (const Message& message : drawn) {
    if (writer.add(message)) fitted.push_back(message);
  }
  const std::string bytes = writer.take();
  RC_ASSERT(bytes.size() <= kPacketBytesMax);
  const auto decoded = decode_packet(bytes, kCluster);
  RC_ASSERT(decoded.ok());
  RC_ASSERT(decoded->from == kFrom);
  RC_ASSERT(decoded->messages == fitted);
}

// A change here is a change of the format: give it a new version, or the message a new kind.
TEST(Packet, ItsBytesAreFixed) {
  const std::string header = "\x01\xD4\xC3\xB2\xA1\x05\x04\x03\x02\x01\0\0\0"s;
  EXPECT_EQ(packed({Ping{1, NodeId{2}}}), header + "\x01\x09\x01\x02\0\0\0\0\0\0\0"s);
  EXPECT_EQ(packed({Ack{300}}), header + "\x02\x02\xAC\x02"s);
  EXPECT_EQ(packed({PingRequest{1, NodeId{2}, "h:1"}}),
            header + "\x03\x0D\x01\x02\0\0\0\0\0\0\0\x03h:1"s);
  EXPECT_EQ(packed({Nack{5}}), header + "\x04\x01\x05"s);
  MemberRecord record;
  record.id = NodeId{0x0102};
  record.epoch = 3;
  record.name = "ab";
  record.state = MemberState::kLeft;
  record.incarnation = 4;
  record.version = "1";
  EXPECT_EQ(packed({record}), header +
                                  "\x05\x1F\x02\x01\0\0\0\0\0\0\x03\x02"s
                                  "ab\0\0\0\0\x64\x01\x04\x01\x01\x01"s
                                  "1\0\0\0\0\0\0\0\0"s);
  EXPECT_EQ(packed({Suspect{NodeId{2}, 7, NodeId{1}}}),
            header + "\x06\x11\x02\0\0\0\0\0\0\0\x07\x01\0\0\0\0\0\0\0"s);
  EXPECT_EQ(packed({Down{NodeId{2}, 7, NodeId{2}}}),
            header + "\x07\x11\x02\0\0\0\0\0\0\0\x07\x02\0\0\0\0\0\0\0"s);
  EXPECT_EQ(packed({LoadReport{NodeId{4}, 1, 2, Load{10, 55, 128}}}),
            header + "\x08\x0E\x04\0\0\0\0\0\0\0\x01\x02\x0A\x37\x80\x01"s);
  EXPECT_EQ(packed({Rumour{RumourId{NodeId{4}, 9}, 61, "c", "pp"}}),
            header +
                "\x09\x0F\x04\0\0\0\0\0\0\0\x09\x3D\x01"s
                "c\x02"s
                "pp"s);
  EXPECT_EQ(packed({Summary{{1, 2}, 3}}),
            header + "\x0A\x18\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0"s);
}

TEST(Packet, OfAnotherClusterOrVersionIsRefused) {
  const std::string bytes = packed(one_of_each());
  EXPECT_TRUE(decode_packet(bytes, kCluster).ok());
  EXPECT_FALSE(decode_packet(bytes, kCluster + 1).ok());
  std::string newer = bytes;
  newer[0] = 2;
  EXPECT_THAT(error_of(newer), HasSubstr("another version"));
  EXPECT_THAT(error_of(""), HasSubstr("another version"));
  EXPECT_NE(cluster_tag("a"), cluster_tag("b"));
}

TEST(Packet, BytesCutShortAreRefused) {
  const std::string bytes = packed({Rumour{RumourId{NodeId{4}, 9}, 61, "config", "payload"}});
  const std::size_t header = 13;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(decode_packet(bytes.substr(0, length), kCluster).ok(), length == header) << length;
  }
}

RC_GTEST_PROP(Packet, ChangedBytesAreRefusedOrReadAsMessages, ()) {
  const auto bytes = *model::mutated(packed(one_of_each()));
  const auto decoded = decode_packet(bytes, kCluster);
  if (!decoded.ok()) {
    RC_ASSERT(decoded.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  for (const Message& message : decoded->messages) RC_ASSERT(!encode_message(message).empty());
}

TEST(Packet, MessagesOfKindsThatAreNotKnownAreLeftOut) {
  const std::string bytes = packed({Ack{1}}) + "\x63\x03xyz"s + encode_message(Ack{2});
  const auto decoded = decode_packet(bytes, kCluster);
  ASSERT_TRUE(decoded.ok());
  EXPECT_THAT(decoded->messages, ElementsAre(Message(Ack{1}), Message(Ack{2})));
}

TEST(Packet, WhatCannotBeIsRefused) {
  std::string endless = packed({});
  for (int i = 0; i < 300; ++i) endless += encode_message(Ack{1});
  EXPECT_THAT(error_of(endless), HasSubstr("more messages"));
  EXPECT_THAT(error_of(packed({Ping{1, NodeId{0}}})), HasSubstr("kind 1"));
  EXPECT_THAT(error_of(packed({Suspect{NodeId{1}, kIncarnationMax + 1, NodeId{2}}})),
              HasSubstr("kind 6"));
  EXPECT_THAT(error_of(packed({Rumour{RumourId{NodeId{4}, 9}, 0, std::string(65, 'n'), ""}})),
              HasSubstr("kind 9"));
  EXPECT_THAT(
      error_of(packed({PingRequest{1, NodeId{2}, std::string(kRecordTextBytesMax + 1, 'a')}})),
      HasSubstr("kind 3"));
  EXPECT_THAT(error_of(packed({Ack{1}}) + "\x02\x02\x01\x01"s), HasSubstr("kind 2"))
      << "bytes left over in a message";
}

TEST(Packet, TakesWhatFitsAndNothingElse) {
  PacketWriter writer(kCluster, kFrom, 20);
  EXPECT_TRUE(writer.empty());
  EXPECT_FALSE(writer.add(Ping{1, NodeId{2}}));
  EXPECT_TRUE(writer.empty());
  EXPECT_TRUE(writer.add(Ack{1}));
  EXPECT_FALSE(writer.empty());
  EXPECT_EQ(writer.left(), 4U);
}

TEST(Packet, TheLargestRumourFits) {
  PacketWriter writer(kCluster, kFrom, kPacketBytesMax);
  EXPECT_TRUE(writer.add(Rumour{RumourId{NodeId{NodeId::kMax}, ~std::uint64_t{0}},
                                ~std::uint32_t{0}, std::string(Rumour::kNameBytesMax, 'n'),
                                std::string(Rumour::kPayloadBytesMax, 'p')}));
}

}  // namespace
}  // namespace grapevine::gossip
