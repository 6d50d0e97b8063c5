// Goal: digests add up, depend on exactly what replicas must agree on, and are the same in every
// release. Method: 128-bit integers as twin of the sums; figures fixed for good; laws.
#include "storage/model/digest.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

__extension__ using Wide = unsigned __int128;

Wide wide(const DigestSum& sum) {
  return (static_cast<Wide>(sum.high) << 64) | sum.low;
}

RC_GTEST_PROP(DigestSumLaw, IsArithmeticModuloTwoToThe128,
              (std::uint64_t low_a, std::uint64_t high_a, std::uint64_t low_b,
               std::uint64_t high_b)) {
  // Small numbers would never carry: their complements do.
  const auto either = [](std::uint64_t drawn) { return *rc::gen::element(drawn, ~drawn); };
  const DigestSum a{either(low_a), either(high_a)};
  const DigestSum b{either(low_b), either(high_b)};
  RC_ASSERT(wide(a + b) == wide(a) + wide(b));
  RC_ASSERT(wide(a - b) == wide(a) - wide(b));
  DigestSum doubled = a;
  doubled += doubled;
  RC_ASSERT(wide(doubled) == wide(a) + wide(a));
  DigestSum none = a;
  none -= none;
  RC_ASSERT(none == DigestSum{});
}

RC_GTEST_PROP(DigesterLaw, TheDigestOfAnEntryIsTheSumOverItsVersions,
              (const std::string& key, std::uint64_t seed, const Entry& entry)) {
  const Digester digester(seed);
  DigestSum sum;
  for (const Version& version : entry.versions) {
    Entry single;
    single.insert(version);
    const DigestSum one = digester.digest(key, single);
    RC_ASSERT(one != DigestSum{});
    sum += one;
  }
  RC_ASSERT(digester.digest(key, entry) == sum);
}

RC_GTEST_PROP(DigesterLaw, NeitherTheVectorNorWhatDecoratesAVersionCounts,
              (const std::string& key, const Entry& drawn, const VersionVector& other)) {
  const Digester digester(1);
  Entry changed = drawn;
  changed.vector = other;
  for (Version& version : changed.versions) {
    version.written = {version.written.unix_ms + 1};
    version.write_id += 1;
    drop_value(version);
  }
  RC_ASSERT(digester.digest(key, changed) == digester.digest(key, drawn));
}

TEST(Digester, KeyDotValueAndClusterEachMakeAnotherDigest) {
  const auto digest = [](std::uint64_t seed, std::string_view key, Dot dot, const char* value) {
    Entry entry;
    entry.insert(version_with(dot, value));
    return Digester(seed).digest(key, entry);
  };
  const Dot dot{small_actor(0), 1};
  const DigestSum one = digest(1, "key", dot, "value");
  EXPECT_EQ(digest(1, "key", dot, "value"), one);
  EXPECT_NE(digest(2, "key", dot, "value"), one);
  EXPECT_NE(digest(1, "kez", dot, "value"), one);
  EXPECT_NE(digest(1, "key", Dot{small_actor(1), 1}, "value"), one);
  EXPECT_NE(digest(1, "key", Dot{small_actor(0), 2}, "value"), one);
  EXPECT_NE(digest(1, "key", dot, "walue"), one);
}

// Keys that share a hash tag share a token, but each has a hash of its own within the leaf.
TEST(Digester, KeyHashesTellKeysOfOneTagApart) {
  const Digester digester(1);
  EXPECT_NE(digester.key_hash("{tag}a"), digester.key_hash("{tag}b"));
  EXPECT_NE(digester.key_hash("k"), Digester(2).key_hash("k"));
}

// Two releases compare digests while a cluster is upgraded.
TEST(Digester, FiguresAreFixedForGood) {
  const Digester digester(42);
  Entry entry;
  entry.insert(version_with(Dot{ActorId{0x123456789AB00005}, 300}, "hello"));
  EXPECT_EQ(digester.digest("key", entry), (DigestSum{0x9dac224910286f79U, 0x779da496fe6de936U}));
  EXPECT_EQ(digester.key_hash("key"), 7429100540852000862U);
}

TEST(DigestShare, CountsAnEntryAndWhetherItIsQuiet) {
  const Digester digester(1);
  Entry entry;
  EXPECT_EQ(share_of(digester, "k", entry), DigestShare{});
  entry.vector.raise(small_actor(0), 1);
  EXPECT_EQ(share_of(digester, "k", entry),
            (DigestShare{{}, 1, 1, digester.vector_hash("k", entry)}));
  EXPECT_NE(digester.vector_hash("k", entry), digester.vector_hash("l", entry));
  entry.insert(version_of(Dot{small_actor(0), 2}));
  EXPECT_EQ(share_of(digester, "k", entry),
            (DigestShare{digester.digest("k", entry), 1, 1, digester.vector_hash("k", entry)}));
  entry.vector = {};
  EXPECT_EQ(share_of(digester, "k", entry), (DigestShare{digester.digest("k", entry), 1, 0, 0}));
}

RC_GTEST_PROP(DigestShareLaw, WhatIsAddedCanBeTakenAwayAgain, (const Entry& a, const Entry& b)) {
  const Digester digester(1);
  const DigestShare of_a = share_of(digester, "a", a);
  DigestShare both = of_a + share_of(digester, "b", b);
  both -= share_of(digester, "b", b);
  RC_ASSERT(both == of_a);
}

}  // namespace
}  // namespace grapevine::model
