// Goal: ids keep their parts, sort as promised, and have exactly one text form.
// Method: examples at the edges of 44 and 20 bits; round trips as properties.
#include "storage/base/ids.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace grapevine {
namespace {

TEST(NodeId, ZeroAndWhatNeedsMoreThan44BitsAreNotValid) {
  EXPECT_FALSE(NodeId{}.valid());
  EXPECT_TRUE(NodeId{1}.valid());
  EXPECT_TRUE(NodeId{NodeId::kMax}.valid());
  EXPECT_FALSE(NodeId{NodeId::kMax + 1}.valid());
}

TEST(NodeId, IsShownAsElevenHexadecimalDigits) {
  EXPECT_EQ(to_string(NodeId{0xAB}), "000000000ab");
  EXPECT_EQ(to_string(NodeId{NodeId::kMax}), "fffffffffff");
}

TEST(NodeId, OnlyTheFormThatIsShownIsRead) {
  EXPECT_EQ(parse_node_id("000000000ab"), NodeId{0xAB});
  for (const char* text :
       {"", "ab", "00000000000", "0000000000ab", "000000000AB", "+00000000ab", "-00000000ab",
        " 0000000ab", "000000000a ", "0x0000000ab", "00000000 ab", "000000000ag"}) {
    EXPECT_EQ(parse_node_id(text), std::nullopt) << '"' << text << '"';
  }
}

RC_GTEST_PROP(NodeIdLaw, TextReadsBackAsTheSameId, (std::uint64_t drawn)) {
  const NodeId id{drawn % NodeId::kMax + 1};
  RC_ASSERT(parse_node_id(to_string(id)) == id);
}

TEST(ActorId, IsShownAsNodeAndEpoch) {
  EXPECT_EQ(to_string(ActorId::of(NodeId{0xAB}, 12)), "000000000ab.12");
}

RC_GTEST_PROP(ActorIdLaw, KeepsItsNodeAndItsEpoch,
              (std::uint64_t drawn_node, std::uint64_t drawn)) {
  const NodeId node{drawn_node & NodeId::kMax};
  const std::uint64_t epoch = drawn & ActorId::kEpochMax;
  RC_ASSERT(ActorId::of(node, epoch).node() == node);
  RC_ASSERT(ActorId::of(node, epoch).epoch() == epoch);
}

TEST(ActorId, SortsByNodeThenEpoch) {
  EXPECT_LT(ActorId::of(NodeId{1}, ActorId::kEpochMax), ActorId::of(NodeId{2}, 0));
  EXPECT_LT(ActorId::of(NodeId{2}, 0), ActorId::of(NodeId{2}, 1));
  EXPECT_LT(ActorId::of(NodeId{2}, 1), ActorId::of(NodeId{NodeId::kMax}, 0));
}

}  // namespace
}  // namespace grapevine
