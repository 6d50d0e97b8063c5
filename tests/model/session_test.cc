// Goal: what a session knows of a key is never less than what was noted, folded or not; what reaches
// it shows nothing older; its bytes read back, and no others do more than give a Status. Method: laws
// as properties, against the join of entries, and hostile bytes.
#include "storage/model/session.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/model/token.h"
#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

constexpr SessionScope kScope{77, 4};

std::string key_of(std::size_t index) {
  return fmt::format("key {}", index);
}

rc::Gen<Seen> any_seen() {
  return rc::gen::map(any_filled_entry(), [](const Entry& entry) { return seen_of(entry); });
}

struct Note {
  std::size_t key;
  Seen seen;
};

rc::Gen<std::vector<Note>> any_notes() {
  return rc::gen::container<std::vector<Note>>(
      rc::gen::construct<Note>(rc::gen::inRange<std::size_t>(0, 6), any_seen()));
}

// Whether who knows `more` knows all that `less` says of a key.
bool knows(const Seen& more, const Seen& less) {
  const auto known = [&](const Dot& dot) {
    return more.vector.covers(dot) ||
           std::find(more.live.begin(), more.live.end(), dot) != more.live.end();
  };
  return more.vector.covers(less.vector) && std::all_of(less.live.begin(), less.live.end(), known);
}

// ---- one key

RC_GTEST_PROP(SeenLaw, JoinsAsTheEntriesDo, ()) {
  const Entry a = *any_filled_entry();
  const Entry b = *any_filled_entry();
  RC_ASSERT(join(seen_of(a), seen_of(b)) == seen_of(join(a, b)));
}

RC_GTEST_PROP(SeenLaw, AnEntryReachesItUnlessTheJoinHoldsAVersionThatOnlyWasSeen, ()) {
  const Entry entry = *any_filled_entry();
  const Entry was_there = *any_filled_entry();
  const Entry joined = join(entry, was_there);
  const bool all_there =
      std::all_of(joined.versions.begin(), joined.versions.end(),
                  [&](const Version& version) { return entry.find(version.dot) != nullptr; });
  RC_ASSERT(reaches(entry, seen_of(was_there)) == all_there);
}

RC_GTEST_PROP(SeenLaw, WhatReachesItShowsTheJoinWithItsValues, ()) {
  const Entry entry = *any_filled_entry();
  const Entry was_there = *any_filled_entry();
  RC_PRE(reaches(entry, seen_of(was_there)));
  RC_ASSERT(join_seen(entry, seen_of(was_there)) == join(entry, was_there));
}

RC_GTEST_PROP(SeenLaw, WhatReachesAFloorReachesAllThatIsBelowIt, ()) {
  const Entry entry = *any_filled_entry();
  const Seen below = *any_seen();
  Seen floor{.exact = false, .live = {}, .vector = below.vector};
  for (const Dot dot : below.live) floor.vector.raise(dot);
  RC_PRE(reaches(entry, floor));
  RC_ASSERT(reaches(entry, below));
  RC_ASSERT(join_seen(entry, floor) == entry);
}

TEST(Seen, ADeleteIsWaitedForByNobodyAndHidesWhatItDeleted) {
  const Dot put{small_actor(0), 1};
  const Dot removal{small_actor(2), 5};
  Seen seen;
  seen.vector.raise(put);
  seen.vector.raise(removal);
  VersionVector old;
  old.raise(put);
  const Entry stale = filled_entry(old, {put});
  ASSERT_TRUE(reaches(stale, seen));
  EXPECT_TRUE(join_seen(stale, seen).versions.empty());
}

// ---- many keys

RC_GTEST_PROP(SessionLaw, KnowsNoLessThanWasNotedHoweverMuchIsFolded, ()) {
  const auto notes = *any_notes();
  Session session(kScope, *rc::gen::inRange<std::size_t>(0, 4));
  std::map<std::size_t, std::vector<Seen>> noted;
  for (const auto& [key, seen] : notes) {
    session.note(key_of(key), seen);
    noted[key].push_back(seen);
  }
  for (const auto& [key, all] : noted) {
    for (const Seen& seen : all) RC_ASSERT(knows(session.of(key_of(key)), seen));
  }
  RC_CLASSIFY(session.folded(), "folded");
}

RC_GTEST_PROP(SessionLaw, JoinedKnowsNoLessThanBoth, ()) {
  Session sessions[2] = {Session(kScope, *rc::gen::inRange<std::size_t>(0, 4)),
                         Session(kScope, *rc::gen::inRange<std::size_t>(0, 4))};
  for (Session& session : sessions) {
    for (const auto& [key, seen] : *any_notes()) session.note(key_of(key), seen);
  }
  Session joined = sessions[0];
  RC_ASSERT(joined.join(sessions[1]).ok());
  for (std::size_t key = 0; key < 6; ++key) {
    RC_ASSERT(knows(joined.of(key_of(key)), sessions[0].of(key_of(key))));
    RC_ASSERT(knows(joined.of(key_of(key)), sessions[1].of(key_of(key))));
  }
}

RC_GTEST_PROP(SessionLaw, APartKnowsItsKeyAsTheWholeDoes, ()) {
  Session session(kScope, *rc::gen::inRange<std::size_t>(1, 4));
  for (const auto& [key, seen] : *any_notes()) session.note(key_of(key), seen);
  for (std::size_t key = 0; key < 6; ++key) {
    const auto part = Session::decode(session.part_of(key_of(key)).encode());
    RC_ASSERT(part.ok());
    RC_ASSERT(part->of(key_of(key)) == session.of(key_of(key)));
    RC_ASSERT(part->keys() <= 1U);
  }
}

TEST(Session, TheKeysUsedLastAreKnownExactly) {
  Session session(kScope, 2);
  VersionVector vector;
  for (std::size_t key = 0; key < 3; ++key) {
    const Dot dot{small_actor(0), key + 1};
    vector.raise(dot);
    session.note(key_of(key), {.exact = true, .live = {dot}, .vector = vector});
    if (key == 1) session.note(key_of(0), session.of(key_of(0)));  // is used again
  }
  EXPECT_EQ(session.keys(), 2U);
  EXPECT_TRUE(session.of(key_of(0)).exact);
  EXPECT_EQ(session.of(key_of(0)).live.size(), 1U);
  EXPECT_TRUE(session.of(key_of(2)).exact);
  EXPECT_FALSE(session.of(key_of(1)).exact);
}

TEST(Session, OfAnotherClusterIsNotJoined) {
  Session session(kScope);
  session.note("k", {.exact = true, .live = {{small_actor(0), 1}}, .vector = {}});
  const Session before = session;
  Session other({78, 4});
  other.note("k", {.exact = true, .live = {{small_actor(1), 1}}, .vector = {}});
  EXPECT_TRUE(absl::IsInvalidArgument(session.join(other)));
  EXPECT_TRUE(absl::IsInvalidArgument(session.join(Session({77, 8}))));
  EXPECT_EQ(session, before);
  EXPECT_TRUE(session.join(Session()).ok()) << "that of nothing is of every cluster";
}

// ---- bytes

RC_GTEST_PROP(SessionLaw, ReadsBack, ()) {
  Session session({*rc::gen::arbitrary<std::uint64_t>(), 65'536},
                  *rc::gen::inRange<std::size_t>(0, 10));
  for (const auto& drawn : *rc::gen::container<std::vector<VersionVector>>(any_wide_vector())) {
    Seen seen{.exact = *rc::gen::arbitrary<bool>(), .live = {}, .vector = drawn};
    if (seen.exact) seen.live.push_back(*any_wide_dot());
    session.note(*rc::gen::arbitrary<std::string>(), seen);
  }
  const auto back = Session::decode(session.encode(), 10);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == session);
}

RC_GTEST_PROP(SessionLaw, AlteredBytesAreRefused, ()) {
  Session session(kScope);
  for (const auto& [key, seen] : *any_notes()) session.note(key_of(key), seen);
  const std::string bytes = session.encode();
  const std::string altered = *mutated(bytes);
  RC_PRE(altered != bytes && !altered.empty());
  RC_ASSERT(absl::IsInvalidArgument(Session::decode(altered).status()));
}

TEST(Session, ThatKnowsNothingIsTheEmptyString) {
  EXPECT_EQ(Session().encode(), "");
  const auto back = Session::decode("");
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->of("any key").nothing());
}

TEST(Session, ThatIsTooLargeIsRefusedWithItsSize) {
  const auto refused = Session::decode(std::string(Session::kBytesMax + 1, '\x01'));
  ASSERT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_NE(text_of(refused.status()).find("4194305 bytes"), std::string_view::npos);
}

// Clients keep tokens across upgrades of the cluster.
TEST(Session, BytesAreFixedForGood) {
  Session session({0x0123456789abcdef, 4}, 1);
  VersionVector vector;
  vector.raise(ActorId{0x0000000000100000}, 7);
  session.note("a", {.exact = true, .live = {}, .vector = vector});
  vector.raise(ActorId{0x0000000000200000}, kClosed);
  session.note("b", {.exact = true, .live = {{ActorId{0x0000000000100000}, 9}}, .vector = vector});
  std::string hex;
  for (const char byte : session.encode()) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(hex,
            "01"                                  // format
            "efcdab896745230102"                  // cluster, log2 of its partitions
            "0200001000000000000000200000000000"  // actors
            "01"                                  // floors
            "03010007"                            // of partition 3
            "01"                                  // keys
            "060fe7474e8670c301"                  // hash, partition
            "0200070100"                          // vector, its second actor closed
            "010009"                              // live
            "01184c6f");                          // checksum
}

}  // namespace
}  // namespace grapevine::model
