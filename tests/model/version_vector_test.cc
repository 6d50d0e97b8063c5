// Goal: a version vector is a map that only grows, in one form.
// Method: a std::map as twin; round trips and hostile bytes as properties.
#include "storage/model/version_vector.h"

#include <map>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

std::string encoded(const VersionVector& vector) {
  std::string out;
  vector.encode(out);
  return out;
}

absl::StatusOr<VersionVector> decoded(std::string_view bytes) {
  ByteReader in(bytes);
  return VersionVector::decode(in);
}

RC_GTEST_PROP(VersionVectorLaw, RaisesAsAMapOfMaximaDoes, (const std::vector<Dot>& dots)) {
  VersionVector vector;
  std::map<ActorId, std::uint64_t> twin;
  for (const Dot dot : dots) {
    vector.raise(dot);
    twin[dot.actor] = std::max(twin[dot.actor], dot.counter);
    RC_ASSERT(vector.items().size() == twin.size());
    RC_ASSERT(std::equal(
        twin.begin(), twin.end(), vector.items().begin(),
        [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
    RC_ASSERT(vector.covers(dot));
    RC_ASSERT(!vector.covers(Dot{dot.actor, twin[dot.actor] + 1}));
  }
  RC_ASSERT(vector.empty() == twin.empty());
}

RC_GTEST_PROP(VersionVectorLaw, RaisingByAnotherIsThePointwiseMaximum,
              (const VersionVector& a, const VersionVector& b)) {
  VersionVector both = a;
  both.raise(b);
  for (std::size_t i = 0; i < kSmallActors; ++i) {
    RC_ASSERT(both.of(small_actor(i)) == std::max(a.of(small_actor(i)), b.of(small_actor(i))));
  }
  VersionVector other_way = b;
  other_way.raise(a);
  RC_ASSERT(both == other_way);
}

TEST(VersionVector, AClosedActorTakesTheItemsOfItsNodesEarlierEpochs) {
  VersionVector vector;
  for (const std::uint64_t epoch : {1U, 2U, 3U, 4U}) {
    vector.raise(ActorId::of(NodeId{7}, epoch), 10 * epoch);
  }
  vector.raise(ActorId::of(NodeId{6}, 1), 5);
  vector.raise(ActorId::of(NodeId{7}, 3), kClosed);
  EXPECT_EQ(vector.items().size(), 3U);
  EXPECT_EQ(vector.of(ActorId::of(NodeId{7}, 0)), kClosed);
  EXPECT_EQ(vector.of(ActorId::of(NodeId{7}, 3)), kClosed);
  EXPECT_EQ(vector.of(ActorId::of(NodeId{7}, 4)), 40U);
  EXPECT_EQ(vector.of(ActorId::of(NodeId{6}, 1)), 5U);
  const VersionVector before = vector;
  vector.raise(ActorId::of(NodeId{7}, 2), 99);
  vector.raise(ActorId::of(NodeId{7}, 2), kClosed);
  EXPECT_EQ(vector, before);
}

TEST(VersionVector, KnowsNothingOfAStrangerAndZeroTeachesNothing) {
  VersionVector vector;
  EXPECT_EQ(vector.of(small_actor(0)), 0U);
  vector.raise(small_actor(0), 0);
  EXPECT_TRUE(vector.empty());
}

RC_GTEST_PROP(VersionVectorLaw, KeepIfKeepsExactlyWhatItIsToldTo,
              (const VersionVector& vector, std::uint64_t drawn)) {
  const std::uint64_t limit = drawn % (kSmallCounterMax + 1);
  VersionVector kept = vector;
  kept.keep_if([&](ActorId, std::uint64_t counter) { return counter > limit; });
  for (std::size_t i = 0; i < kSmallActors; ++i) {
    const std::uint64_t before = vector.of(small_actor(i));
    RC_ASSERT(kept.of(small_actor(i)) == (before > limit ? before : 0));
  }
}

TEST(VersionVectorBytes, AreFixedForGood) {
  VersionVector vector;
  vector.raise(ActorId{0x123456789AB00005}, 300);
  vector.raise(ActorId{0x0000000000100000}, 7);
  EXPECT_EQ(encoded(vector),
            "\x02"
            "\x00\x00\x10\x00\x00\x00\x00\x00\x07"
            "\x05\x00\xb0\x9a\x78\x56\x34\x12\xac\x02"s);
}

RC_GTEST_PROP(VersionVectorBytesLaw, AnyVectorReadsBack, ()) {
  const VersionVector vector = *any_wide_vector();
  const auto back = decoded(encoded(vector));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == vector);
}

void check_hostile(const std::string& bytes) {
  ByteReader in(bytes);
  const auto read = VersionVector::decode(in);
  if (!read.ok()) {
    RC_ASSERT(absl::IsDataLoss(read.status()));
  } else {
    RC_ASSERT(encoded(*read) == bytes.substr(0, bytes.size() - in.left()));
  }
}

RC_GTEST_PROP(VersionVectorBytesLaw, AnyBytesAreAVectorOrDataLoss, (const std::string& bytes)) {
  check_hostile(bytes);
}

RC_GTEST_PROP(VersionVectorBytesLaw, MutatedBytesAreAVectorOrDataLoss, ()) {
  check_hostile(*mutated(encoded(*any_wide_vector())));
}

TEST(VersionVectorBytes, ImpossibleItemsAreDataLoss) {
  const auto item = [](std::uint64_t actor, std::uint64_t counter) {
    std::string out;
    put_fixed64(out, actor);
    put_varint(out, counter);
    return out;
  };
  EXPECT_TRUE(decoded("\x01" + item(1, kCounterMax)).ok());
  EXPECT_TRUE(decoded("\x01" + item(1, kClosed)).ok());
  EXPECT_TRUE(decoded("\x02" + item(1, kClosed) + item(2, 1)).ok());
  for (const std::string& bytes :
       {""s, "\x01" + item(1, 0), "\x01" + item(1, kClosed + 1),
        "\x02" + item(1, 1) + item(2, kClosed), "\x02" + item(1, 1),
        "\x02" + item(1, 1) + item(1, 2), "\x02" + item(2, 1) + item(1, 1),
        "\xff\xff\xff\xff\x0f" + item(1, 1)}) {
    EXPECT_TRUE(absl::IsDataLoss(decoded(bytes).status()));
  }
}

}  // namespace
}  // namespace grapevine::model
