// Goal: keys lie where they always lay, hash tags follow Redis Cluster, and partitions cut the
// token space without gap. Method: the examples of the Redis Cluster specification and a twin of
// its keyHashSlot; tokens fixed for good; laws.
#include "storage/model/token.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/limits.h"
#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

TEST(HashTag, FollowsTheExamplesOfTheRedisClusterSpecification) {
  EXPECT_EQ(hashed_part("{user1000}.following"), "user1000");
  EXPECT_EQ(hashed_part("{user1000}.followers"), "user1000");
  EXPECT_EQ(hashed_part("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hashed_part("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(hashed_part("foo{bar}{zap}"), "bar");
}

TEST(HashTag, WithoutBothBracesInOrderTheWholeKeyCounts) {
  for (const char* key : {"", "plain", "{", "}", "{}", "}{", "}a{", "{open", "closed}", "a}b{c"}) {
    EXPECT_EQ(hashed_part(key), key);
  }
}

// keyHashSlot of Redis' cluster.c, step by step.
std::string_view hashed_part_twin(std::string_view key) {
  std::size_t s = 0;
  while (s < key.size() && key[s] != '{') ++s;
  if (s == key.size()) return key;
  std::size_t e = s + 1;
  while (e < key.size() && key[e] != '}') ++e;
  if (e == key.size() || e == s + 1) return key;
  return key.substr(s + 1, e - s - 1);
}

rc::Gen<std::string> any_braced_key() {
  return rc::gen::container<std::string>(rc::gen::element('{', '}', 'a', 'b', '\0'));
}

RC_GTEST_PROP(HashTagLaw, AgreesWithRedisOnEveryArrangementOfBraces, ()) {
  const std::string key = *any_braced_key();
  RC_ASSERT(hashed_part(key) == hashed_part_twin(key));
}

RC_GTEST_PROP(HashTagLaw, APrefixFixesTheTokenExactlyIfNoContinuationChangesIt,
              (const std::string& one, const std::string& other)) {
  const std::string prefix = *any_braced_key();
  if (prefix_fixes_token(prefix)) {
    RC_ASSERT(token_of(prefix + one) == token_of(prefix + other));
  } else {
    RC_ASSERT(token_of(prefix + "1") != token_of(prefix + "2"));
  }
}

// The tokens decide where data lies in every cluster: they never change.
TEST(Token, IsTheXxh3OfTheHashedPartForGood) {
  EXPECT_EQ(token_of("").value, 0x2D06800538D394C2U);  // the published XXH3 of nothing
  EXPECT_EQ(token_of("user1000").value, 0xB03C8988CDC1C874U);
  EXPECT_EQ(token_of("{user1000}.following"), token_of("user1000"));
}

RC_GTEST_PROP(TokenRangeLaw, PartsTileTheRange, ()) {
  const int outer_bits = *rc::gen::inRange(0, 17);
  const auto outer = static_cast<std::uint32_t>(
      *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << outer_bits));
  const TokenRange range = TokenRange{}.part(outer, outer_bits);
  RC_ASSERT(range.size_bits() == 64 - outer_bits);
  const int bits = *rc::gen::inRange(0, 9);
  std::uint64_t next = range.first.value;
  for (std::uint32_t i = 0; i < (1U << bits); ++i) {
    const TokenRange part = range.part(i, bits);
    RC_ASSERT(part.first.value == next);
    RC_ASSERT(part.size_bits() == range.size_bits() - bits);
    next = part.last.value + 1;
  }
  RC_ASSERT(next == range.last.value + 1);
}

TEST(TokenRange, CanBeCutDownToSingleTokens) {
  const TokenRange four{{8}, {11}};
  EXPECT_EQ(four.size_bits(), 2);
  EXPECT_EQ(four.part(3, 2), (TokenRange{{11}, {11}}));
  EXPECT_EQ(four.part(3, 2).size_bits(), 0);
  EXPECT_EQ(four.part(3, 2).part(0, 0), (TokenRange{{11}, {11}}));
}

TEST(TokenRange, HoldsBothItsEnds) {
  const TokenRange range{{8}, {11}};
  EXPECT_FALSE(range.contains({7}));
  EXPECT_TRUE(range.contains({8}));
  EXPECT_TRUE(range.contains({11}));
  EXPECT_FALSE(range.contains({12}));
  EXPECT_TRUE(TokenRange{}.contains({~std::uint64_t{0}}));
}

RC_GTEST_PROP(PartitioningLaw, EachTokenLiesInTheRangeOfItsPartitionAndNoOther,
              (std::uint64_t drawn, std::uint32_t other)) {
  const Partitioning partitioning(1U << *rc::gen::inRange(0, 17));
  const Token token{drawn};
  const PartitionId partition = partitioning.of(token);
  RC_ASSERT(partition.value < partitioning.count());
  RC_ASSERT(partitioning.range(partition).contains(token));
  const PartitionId another{other % partitioning.count()};
  RC_ASSERT(partitioning.range(another).contains(token) == (another == partition));
}

TEST(Partitioning, OfOneTakesEverything) {
  const Partitioning one(1);
  EXPECT_EQ(one.of(Token{0}).value, 0U);
  EXPECT_EQ(one.of(Token{~std::uint64_t{0}}).value, 0U);
  EXPECT_EQ(one.range({0}), TokenRange{});
}

TEST(Partitioning, PutsAKeyWhereItsTokenLies) {
  const Partitioning partitioning(kPartitionsMax);
  EXPECT_EQ(partitioning.of("{user1000}.following"), partitioning.of(token_of("user1000")));
}

TEST(PartitioningDeathTest, NeedsAPowerOfTwoWithinTheLimit) {
  for (const std::uint32_t count : {0U, 3U, 2 * kPartitionsMax}) {
    EXPECT_DEATH(Partitioning{count}, "power of two");
  }
}

}  // namespace
}  // namespace grapevine::model
