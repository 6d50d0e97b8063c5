// Goal: lists that have heard the same records are the same, whatever the order; nobody talks a
// node out of its own record; the kept bytes are read back, and hostile ones refused.
#include "gossip/member_list.h"

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/random.h"
#include "tests/gossip/members.h"
#include "tests/model/generators.h"

namespace grapevine::gossip {
namespace {

constexpr std::uint64_t kSelf = 9;

MemberList list_of(const std::vector<MemberRecord>& records) {
  MemberList list(member(kSelf));
  list.merge(records);
  return list;
}

// ---- what is newer ----

TEST(MemberList, KnowsItselfFromTheStart) {
  const MemberList list(member(kSelf));
  EXPECT_EQ(list.size(), 1U);
  EXPECT_EQ(list.all(), std::vector{member(kSelf)});
  EXPECT_EQ(list.find(NodeId{1}), nullptr);
}

TEST(MemberList, TheHigherIncarnationIsTrueWhateverTheState) {
  MemberList list = list_of({member(1, 3, MemberState::kLeft)});
  EXPECT_EQ(list.merge({member(1, 4)}), std::vector{NodeId{1}});
  EXPECT_EQ(list.find(NodeId{1})->state, MemberState::kUp);
  EXPECT_TRUE(list.merge({member(1, 3, MemberState::kLeft)}).empty());
  EXPECT_EQ(list.find(NodeId{1})->state, MemberState::kUp);
}

TEST(MemberList, TheLaterEpochIsTrueWhateverTheIncarnation) {
  MemberRecord later = member(1, 2);
  later.epoch = 7;
  MemberRecord earlier = member(1, 9);
  earlier.epoch = 6;
  EXPECT_EQ(list_of({earlier, later}).find(NodeId{1})->epoch, 7U);
  EXPECT_EQ(list_of({later, earlier}).find(NodeId{1})->incarnation, 2U);
}

TEST(MemberList, NoIncarnationComesBackFromRemoval) {
  MemberList list = list_of({member(1, 9)});
  EXPECT_EQ(list.merge({member(1, 3, MemberState::kRemoved)}), std::vector{NodeId{1}});
  list.merge({member(1, 10), member(1, 11, MemberState::kLeft)});
  EXPECT_EQ(list.find(NodeId{1})->state, MemberState::kRemoved);
}

TEST(MemberList, WhatElseIsTrueOfARemovedNodeIsWhatItsLatestRecordSays) {
  MemberRecord later = member(1, 9);
  later.epoch = 7;
  const MemberRecord removed = member(1, 3, MemberState::kRemoved);
  const MemberList one = list_of({later, removed});
  EXPECT_EQ(one.find(NodeId{1})->epoch, 7U);
  EXPECT_EQ(one.find(NodeId{1})->state, MemberState::kRemoved);
  EXPECT_EQ(one.all(), list_of({removed, later}).all());
}

TEST(MemberList, AnOperatorsRemovalSpreadsAndStays) {
  MemberList list = list_of({member(1, 3)});
  EXPECT_TRUE(list.remove(NodeId{1}));
  EXPECT_FALSE(list.remove(NodeId{2}));
  MemberList other = list_of({member(1, 7)});
  other.merge(list.all());
  EXPECT_EQ(other.find(NodeId{1})->state, MemberState::kRemoved);
}

TEST(MemberList, AtEqualIncarnationsTheHigherStateIsTrue) {
  MemberList list = list_of({member(1, 3)});
  EXPECT_EQ(list.merge({member(1, 3, MemberState::kRemoved)}), std::vector{NodeId{1}});
  EXPECT_TRUE(list.merge({member(1, 3, MemberState::kLeft)}).empty());
  EXPECT_EQ(list.find(NodeId{1})->state, MemberState::kRemoved);
}

RC_GTEST_PROP(MemberList, TheOrderInWhichRecordsComeDoesNotMatter, ()) {
  const auto records = *any_records();
  const auto shuffled = *rc::gen::apply(
      [&](std::uint64_t seed) {
        auto out = records;
        Random random(seed);
        for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[random.below(i)]);
        return out;
      },
      rc::gen::arbitrary<std::uint64_t>());
  RC_ASSERT(list_of(records).all() == list_of(shuffled).all());
}

RC_GTEST_PROP(MemberList, HearingTheSameAgainChangesNothing, ()) {
  const auto records = *any_records();
  MemberList list = list_of(records);
  RC_ASSERT(list.merge(records).empty());
  RC_ASSERT(list.merge(list.all()).empty());
}

RC_GTEST_PROP(MemberList, ExactlyWhatChangedIsNamed, ()) {
  MemberList list = list_of(*any_records());
  const MemberList before = list;
  const auto changed = list.merge(*any_records());
  for (const MemberRecord& record : list.all()) {
    const MemberRecord* const old = before.find(record.id);
    const bool differs = old == nullptr || *old != record;
    RC_ASSERT(differs == (std::find(changed.begin(), changed.end(), record.id) != changed.end()));
  }
}

// ---- about itself ----

TEST(MemberList, RefutesANewerRecordOfItself) {
  MemberList list(member(kSelf, 2));
  EXPECT_EQ(list.merge({member(kSelf, 5, MemberState::kLeft)}), std::vector{NodeId{kSelf}});
  EXPECT_EQ(list.self().state, MemberState::kUp);
  EXPECT_EQ(list.self().incarnation, 6U);
}

TEST(MemberList, RefutesAnotherRecordOfItsOwnAge) {
  MemberList list(member(kSelf, 2));
  list.merge({member(kSelf, 2, MemberState::kLeft)});
  EXPECT_EQ(list.self(), member(kSelf, 3));
}

TEST(MemberList, LearnsOfItsOwnRemovalAndTakesNothingBack) {
  MemberList list(member(kSelf, 5));
  EXPECT_EQ(list.merge({member(kSelf, 2, MemberState::kRemoved)}), std::vector{NodeId{kSelf}});
  EXPECT_EQ(list.self().state, MemberState::kRemoved);
  list.change_self(member(kSelf));
  list.outdo(100);
  EXPECT_TRUE(list.merge({member(kSelf, 4)}).empty());
  EXPECT_EQ(list.self(), member(kSelf, 5, MemberState::kRemoved));
}

TEST(MemberList, OutdoesWhatIsSaidOfItAndNothingOlder) {
  MemberList list(member(kSelf, 5));
  list.outdo(4);
  EXPECT_EQ(list.self().incarnation, 5U);
  list.outdo(5);
  EXPECT_EQ(list.self().incarnation, 6U);
}

TEST(MemberList, IgnoresItsOwnRecordAndOlderOnes) {
  MemberList list(member(kSelf, 2));
  EXPECT_TRUE(list.merge({member(kSelf, 2), member(kSelf, 1, MemberState::kLeft)}).empty());
  EXPECT_EQ(list.self(), member(kSelf, 2));
}

RC_GTEST_PROP(MemberList, ItsWordAboutItselfWinsAtWhoeverHeardTheOther, ()) {
  const MemberRecord claim = *rc::gen::map(any_record(), [](MemberRecord record) {
    record.id = NodeId{kSelf};
    return record;
  });
  MemberRecord self = member(kSelf, *rc::gen::inRange<std::uint64_t>(0, 5));
  self.epoch = *rc::gen::inRange<std::uint64_t>(claim.epoch, 4);
  MemberList about(self);
  about.merge({claim});
  MemberList other(member(1));
  other.merge({claim});
  other.merge(about.all());
  RC_ASSERT(*other.find(NodeId{kSelf}) == about.self() || claim == about.self());
}

TEST(MemberList, NoIncarnationIsTooHighToBeRefuted) {
  MemberList list(member(kSelf, 2));
  MemberList other(member(1));
  const MemberRecord claim =
      member(kSelf, std::numeric_limits<std::uint64_t>::max(), MemberState::kLeft);
  list.merge({claim});
  other.merge({claim});
  other.merge(list.all());
  EXPECT_EQ(*other.find(NodeId{kSelf}), list.self());
  EXPECT_GE(list.self().incarnation, 2U);
}

TEST(MemberList, AChangeOfItselfIsNewerThanWhatWasThere) {
  MemberList list(member(kSelf, 7));
  MemberRecord changed = member(3, 1);
  changed.weight = 50;
  list.change_self(changed);
  EXPECT_EQ(list.self().id, NodeId{kSelf});
  EXPECT_EQ(list.self().incarnation, 8U);
  EXPECT_EQ(list.self().weight, 50U);
}

// ---- bounds ----

TEST(MemberList, IgnoresRecordsThatCannotBe) {
  MemberList list(member(kSelf));
  MemberRecord long_name = member(1);
  long_name.name.assign(1025, 'x');
  EXPECT_TRUE(list.merge({member(0), member(NodeId::kMax + 1), long_name}).empty());
  EXPECT_EQ(list.size(), 1U);
}

TEST(MemberList, HoldsNoMoreThanItsLimit) {
  MemberList list(member(1));
  list.merge(members(MemberList::kMembersMax + 5));
  EXPECT_EQ(list.size(), MemberList::kMembersMax);
  EXPECT_EQ(list.merge({member(2, 1)}), std::vector{NodeId{2}});
}

// ---- bytes ----

RC_GTEST_PROP(MemberList, IsReadBackFromItsBytes, ()) {
  MemberList list = list_of(*any_records());
  MemberRecord self = list.self();
  self.epoch = *rc::gen::arbitrary<std::uint64_t>();
  self.weight = *rc::gen::arbitrary<std::uint32_t>();
  self.version = *rc::gen::arbitrary<std::string>();
  self.place = NodeId{*rc::gen::inRange<std::uint64_t>(0, 9)};
  self.protocols = {1, *rc::gen::arbitrary<std::uint32_t>()};
  list.change_self(self);
  const auto decoded = MemberList::decode(list.encode());
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == list.all());
}

TEST(MemberList, ItsBytesAreFixed) {
  using namespace std::string_literals;
  MemberRecord record;
  record.id = NodeId{0x0102};
  record.epoch = 3;
  record.name = "ab";
  record.weight = 200;
  record.state = MemberState::kLeft;
  record.incarnation = 4;
  record.version = "1";
  record.place = NodeId{0x0304};
  EXPECT_EQ(MemberList(record).encode(),
            "\x02\x01\x02\x01\0\0\0\0\0\0\x03\x02"
            "ab\0\0\0\0\xC8\x01\x01\x04\x01\x01\x01"
            "1\x04\x03\0\0\0\0\0\0"s);
}

RC_GTEST_PROP(MemberList, ChangedBytesAreRefusedOrReadAsRecords, ()) {
  const auto bytes = *model::mutated(list_of(*any_records()).encode());
  const auto decoded = MemberList::decode(bytes);
  if (!decoded.ok()) RC_ASSERT(decoded.status().code() == absl::StatusCode::kDataLoss);
}

TEST(MemberList, BytesCutShortOrLeftOverAreRefused) {
  const std::string bytes = list_of(members(3)).encode();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(MemberList::decode(bytes.substr(0, length)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(MemberList::decode(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace grapevine::gossip
