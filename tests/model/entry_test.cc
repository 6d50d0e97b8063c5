// Goal: two replicas' entries become one by a least upper bound, and fill and strip only move
// knowledge about. Method: examples for each rule; the laws of a join; the twin of
// tests/model/twin.h.
#include "storage/model/entry.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"
#include "tests/model/twin.h"

namespace grapevine::model {
namespace {

const ActorId kA = small_actor(0);
const ActorId kB = small_actor(2);

VersionVector vector_of(const std::vector<Dot>& tops) {
  VersionVector vector;
  for (const Dot top : tops) vector.raise(top);
  return vector;
}

Entry holding(const std::vector<Dot>& live) {
  return filled_entry(vector_of(live), live);
}

// ---- one entry ----

TEST(Entry, KeepsItsVersionsSortedAndFindsThem) {
  Entry entry;
  for (const Dot dot : {Dot{kB, 1}, Dot{kA, 2}, Dot{kA, 1}}) entry.insert(version_of(dot));
  ASSERT_EQ(entry.versions.size(), 3U);
  EXPECT_EQ(entry.versions[0].dot, (Dot{kA, 1}));
  EXPECT_EQ(entry.versions[2].dot, (Dot{kB, 1}));
  ASSERT_NE(entry.find(Dot{kA, 2}), nullptr);
  EXPECT_EQ(entry.find(Dot{kA, 2})->value, version_of(Dot{kA, 2}).value);
  EXPECT_EQ(entry.find(Dot{kB, 2}), nullptr);
}

TEST(EntryDeathTest, ADotNamesOneVersion) {
  Entry entry = holding({Dot{kA, 1}});
  EXPECT_DEATH(entry.insert(version_of(Dot{kA, 1})), "a dot names one version");
}

TEST(Entry, IsQuietWithoutAVectorAndVoidWithoutAnything) {
  Entry entry;
  EXPECT_TRUE(entry.quiet());
  EXPECT_TRUE(entry.void_of_all());
  entry.insert(version_of(Dot{kA, 1}));
  EXPECT_TRUE(entry.quiet());
  EXPECT_FALSE(entry.void_of_all());
  entry.versions.clear();
  entry.vector.raise(Dot{kA, 1});
  EXPECT_FALSE(entry.quiet());
  EXPECT_FALSE(entry.void_of_all());
}

RC_GTEST_PROP(EntryLaw, SameDotsLooksAtTheLiveDotsAlone, (const Entry& a, const Entry& b)) {
  const auto dots = [](const Entry& entry) {
    std::vector<Dot> all;
    for (const Version& version : entry.versions) all.push_back(version.dot);
    return all;
  };
  RC_ASSERT(a.same_dots(b) == (dots(a) == dots(b)));
  Entry other_vector = a;
  other_vector.vector = b.vector;
  RC_ASSERT(a.same_dots(other_vector));
}

TEST(Version, WithoutItsValueKeepsSizeAndChecksum) {
  Version version = version_of(Dot{kA, 1});
  const Version whole = version;
  drop_value(version);
  EXPECT_FALSE(version.has_value);
  EXPECT_EQ(version.value, "");
  EXPECT_EQ(version.value_bytes, whole.value.size());
  EXPECT_EQ(version.checksum, value_checksum(whole.value));
}

// ---- fill and strip ----

TEST(Fill, AddsTheBasesAndWhatLiveDotsImply) {
  Clock clock;
  clock.add(DotRange{kA, 1, 3});
  clock.add(Dot{kA, 5});
  Entry entry;
  entry.insert(version_of(Dot{kB, 4}));
  fill(entry, clock);
  EXPECT_EQ(entry.vector, vector_of({Dot{kA, 3}, Dot{kB, 4}}));
}

TEST(Strip, KeepsOnlyWhatNeitherTheBasesNorTheLiveDotsImply) {
  Clock clock;
  clock.add(DotRange{kA, 1, 3});
  Entry entry = filled_entry(vector_of({Dot{kA, 3}, Dot{kB, 4}}), {Dot{kB, 4}});
  strip(entry, clock);
  EXPECT_TRUE(entry.quiet());
  Entry knows_more = filled_entry(vector_of({Dot{kA, 4}, Dot{kB, 5}}), {Dot{kB, 4}});
  strip(knows_more, clock);
  EXPECT_EQ(knows_more.vector, vector_of({Dot{kA, 4}, Dot{kB, 5}}));
}

TEST(Strip, AForgottenDeleteLeavesNothing) {
  Clock clock;
  clock.add(DotRange{kA, 1, 2});  // a write and its delete
  Entry entry = filled_entry(vector_of({Dot{kA, 2}}), {});
  strip(entry, clock);
  EXPECT_TRUE(entry.void_of_all());
}

RC_GTEST_PROP(FillLaw, AgreesWithItsTwin, (const Entry& drawn, const Clock& clock)) {
  Entry filled = drawn;
  fill(filled, clock);
  RC_ASSERT(twin_of(filled) == fill(twin_of(drawn), twin_of(clock)));
}

RC_GTEST_PROP(StripLaw, AgreesWithItsTwin, (const Entry& drawn, const Clock& clock)) {
  Entry stripped = drawn;
  strip(stripped, clock);
  RC_ASSERT(twin_of(stripped) == strip(twin_of(drawn), twin_of(clock)));
}

RC_GTEST_PROP(FillLaw, FillingWhatWasStrippedGivesTheFilledEntryBack,
              (const Entry& drawn, const Clock& clock)) {
  Entry filled = drawn;
  fill(filled, clock);
  Entry there_and_back = filled;
  strip(there_and_back, clock);
  fill(there_and_back, clock);
  RC_ASSERT(there_and_back == filled);
}

RC_GTEST_PROP(FillLaw, StrippingWhatWasFilledGivesTheStoredEntryBack,
              (const Entry& drawn, const Clock& clock)) {
  Entry stored = drawn;
  strip(stored, clock);
  Entry there_and_back = stored;
  fill(there_and_back, clock);
  strip(there_and_back, clock);
  RC_ASSERT(there_and_back == stored);
}

// A clock that grows never lets a stored entry know less.
RC_GTEST_PROP(StripLaw, UnderALargerClockNothingIsForgotten,
              (const Entry& drawn, const Clock& clock, const Clock& news)) {
  Clock larger = clock;
  larger.merge(news);
  Entry at_once = drawn;
  fill(at_once, larger);
  Entry in_steps = drawn;
  strip(in_steps, clock);
  fill(in_steps, clock);
  strip(in_steps, larger);
  fill(in_steps, larger);
  // What the smaller clock implies, the larger implies too.
  RC_ASSERT(in_steps == at_once);
}

// ---- join ----

TEST(Join, KeepsConcurrentVersions) {
  const Entry joined = join(holding({Dot{kA, 1}}), holding({Dot{kB, 1}}));
  EXPECT_EQ(joined, holding({Dot{kA, 1}, Dot{kB, 1}}));
}

TEST(Join, DropsWhatTheOtherKnowsToBeSuperseded) {
  const Entry old = holding({Dot{kA, 1}});
  const Entry overwritten = filled_entry(vector_of({Dot{kA, 1}, Dot{kB, 1}}), {Dot{kB, 1}});
  const Entry deleted = filled_entry(vector_of({Dot{kA, 2}}), {});
  EXPECT_EQ(join(old, overwritten), overwritten);
  EXPECT_EQ(join(old, deleted), deleted);
  EXPECT_EQ(join(deleted, old), deleted);
}

TEST(Join, ADeleteLeavesAConcurrentWrite) {
  const Entry deleted = filled_entry(vector_of({Dot{kA, 2}}), {});
  const Entry joined = join(deleted, holding({Dot{kB, 1}}));
  EXPECT_EQ(joined, filled_entry(vector_of({Dot{kA, 2}, Dot{kB, 1}}), {Dot{kB, 1}}));
}

TEST(Join, OfAVersionThatBothHaveTheOneWithItsValueIsKept) {
  const Entry whole = holding({Dot{kA, 1}});
  Entry head = whole;
  drop_value(head.versions.front());
  EXPECT_EQ(join(head, whole), whole);
  EXPECT_EQ(join(whole, head), whole);
  EXPECT_EQ(join(head, head), head);
}

RC_GTEST_PROP(JoinLaw, AgreesWithItsTwin, (const Entry& a, const Entry& b)) {
  RC_ASSERT(twin_of(join(a, b)) == join(twin_of(a), twin_of(b)));
}

RC_GTEST_PROP(JoinLaw, IsCommutative, (const Entry& a, const Entry& b)) {
  RC_ASSERT(join(a, b) == join(b, a));
}

RC_GTEST_PROP(JoinLaw, IsAssociative, (const Entry& a, const Entry& b, const Entry& c)) {
  RC_ASSERT(join(join(a, b), c) == join(a, join(b, c)));
}

RC_GTEST_PROP(JoinLaw, IsIdempotent, (const Entry& a, const Entry& b)) {
  RC_ASSERT(join(a, a) == a);
  RC_ASSERT(join(join(a, b), b) == join(a, b));
}

RC_GTEST_PROP(JoinLaw, TheEmptyEntryChangesNothing, (const Entry& a)) {
  RC_ASSERT(join(a, Entry{}) == a);
  RC_ASSERT(join(Entry{}, a) == a);
}

RC_GTEST_PROP(JoinLaw, WhatIsLiveIsCovered, (const Entry& a, const Entry& b)) {
  const Entry joined = join(a, b);
  for (const Version& version : joined.versions) RC_ASSERT(joined.vector.covers(version.dot));
}

// A replica may strip and fill between two joins, under whatever clock it has by then.
RC_GTEST_PROP(JoinLaw, StoringBetweenTwoJoinsChangesNothing,
              (const Entry& a, const Entry& b, const Clock& clock)) {
  Entry mine = a;
  fill(mine, clock);
  Entry stored = mine;
  strip(stored, clock);
  fill(stored, clock);
  RC_ASSERT(join(stored, b) == join(mine, b));
}

}  // namespace
}  // namespace grapevine::model
