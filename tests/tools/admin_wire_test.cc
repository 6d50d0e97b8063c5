// Goal: what a node answers is read as what it is, and nonsense becomes an error and no crash.
// Method: messages built by hand.
#include "tools/admin_wire.h"

#include <capnp/message.h>

#include <gtest/gtest.h>

namespace grapevine::tools {
namespace {

template <typename Type>
class Message {
 public:
  typename Type::Builder out() { return root_; }
  typename Type::Reader in() { return root_.asReader(); }

 private:
  capnp::MallocMessageBuilder builder_;
  typename Type::Builder root_ = builder_.initRoot<Type>();
};

TEST(AdminWire, AnUnknownCodeIsAnErrorOfOurs) {
  Message<wire::Status> message;
  message.out().setCode(static_cast<wire::Code>(999));
  EXPECT_TRUE(absl::IsInternal(read(message.in())));
}

TEST(AdminWire, AnUnknownOutcomeStaysOne) {
  Message<wire::Status> message;
  message.out().setCode(wire::Code::OUTCOME_UNKNOWN);
  EXPECT_TRUE(is_outcome_unknown(read(message.in())));
}

TEST(AdminWire, AClockThatCannotBeReadIsAnError) {
  Message<wire::PartitionState> message;
  message.out().setClock(to_data("\xff\xff\xff"));
  EXPECT_FALSE(read(message.in()).ok());
}

TEST(AdminWire, APartitionThatCannotExistIsAnError) {
  Message<wire::PartitionState> message;
  std::string clock;
  model::Clock().encode(clock);
  message.out().setClock(to_data(clock));
  EXPECT_TRUE(read(message.in()).ok());
  message.out().setPartition(65'536);
  EXPECT_FALSE(read(message.in()).ok());
}

TEST(AdminWire, AVersionThatIsToldTwiceIsTakenOnce) {
  Message<wire::KeyedEntry> message;
  message.out().setKey(to_data("k"));
  auto versions = message.out().initEntry().initVersions(2);
  for (auto version : versions) {
    version.initDot().setActor(1);
    version.getDot().setCounter(2);
    version.setValueBytes(3);
  }
  const model::KeyedEntry keyed = read(message.in());
  EXPECT_EQ(keyed.key, "k");
  ASSERT_EQ(keyed.entry.versions.size(), 1u);
  EXPECT_EQ(keyed.entry.versions[0].value_bytes, 3u);
}

TEST(AdminWire, NeverProvenEqualIsToldByMinusOne) {
  Message<wire::NodeStatus> message;
  auto peers = message.out().initPeers(2);
  peers[0].setProvenEqualAgoMs(-1);
  peers[1].setProvenEqualAgoMs(0);
  const NodeStatus status = read(message.in());
  ASSERT_EQ(status.peers.size(), 2u);
  EXPECT_FALSE(status.peers[0].proven_equal_ago.has_value());
  EXPECT_EQ(status.peers[1].proven_equal_ago, milliseconds(0));
}

TEST(AdminWire, AMemberStateOfALaterVersionCountsAsUp) {
  Message<wire::Member> message;
  message.out().setState(static_cast<wire::MemberState>(77));
  EXPECT_EQ(read(message.in()).state, gossip::MemberState::kUp);
}

}  // namespace
}  // namespace grapevine::tools
