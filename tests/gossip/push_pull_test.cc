// Goal: what is told over a stream is read back, and hostile bytes get a Status.
#include "gossip/push_pull.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/gossip/members.h"
#include "tests/model/generators.h"

namespace grapevine::gossip {
namespace {

using namespace std::string_literals;

PushPull sample() {
  PushPull state{NodeId{7}, 11, 12, true, {}, {}};
  state.members = {{member(1, 5), Belief::kUp, 5},
                   {member(2, 9, MemberState::kRemoved), Belief::kDown, 9},
                   {member(3, 1), Belief::kSuspect, 2}};
  state.rumours = {Rumour{RumourId{NodeId{1}, 300}, 4, "name", "payload"}};
  return state;
}

RC_GTEST_PROP(PushPull, IsReadBackFromItsBytes, ()) {
  PushPull state{NodeId{*rc::gen::inRange<std::uint64_t>(1, NodeId::kMax)},
                 *rc::gen::arbitrary<std::uint64_t>(),
                 *rc::gen::arbitrary<std::uint64_t>(),
                 *rc::gen::arbitrary<bool>(),
                 {},
                 {}};
  for (const MemberRecord& record : *any_records()) {
    state.members.push_back(
        {record, *rc::gen::element(Belief::kUnknown, Belief::kUp, Belief::kSuspect, Belief::kDown),
         *rc::gen::inRange<std::uint64_t>(0, 1000)});
  }
  const auto decoded = decode_push_pull(encode_push_pull(state));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == state);
}

TEST(PushPull, ItsBytesAreFixed) {
  PushPull state{NodeId{2}, 3, 4, true, {}, {}};
  MemberRecord record;
  record.id = NodeId{1};
  state.members = {{record, Belief::kSuspect, 6}};
  state.rumours = {Rumour{RumourId{NodeId{1}, 8}, 9, "n", "pp"}};
  EXPECT_EQ(encode_push_pull(state),
            "\x01\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x01"s
            "\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x64\0\0\x01\x01\0\0\0\0\0\0\0\0\0\x02\x06"s
            "\x01\x01\0\0\0\0\0\0\0\x08\x09\x01n\x02pp"s);
}

TEST(PushPull, BytesCutShortOrLeftOverAreRefused) {
  const std::string bytes = encode_push_pull(sample());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_push_pull(bytes.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(decode_push_pull(bytes + "x").ok());
}

RC_GTEST_PROP(PushPull, ChangedBytesAreRefusedOrReadAsAState, ()) {
  const auto decoded = decode_push_pull(*model::mutated(encode_push_pull(sample())));
  if (!decoded.ok()) {
    RC_ASSERT(decoded.status().code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace grapevine::gossip
