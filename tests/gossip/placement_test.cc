// Goal: owners are as many as asked for, spread over zones, the same on every node, in proportion
// to weights, and a member that comes or goes moves only what it must.
#include "gossip/placement.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/random.h"
#include "tests/gossip/members.h"

namespace grapevine::gossip {
namespace {

using Owners = std::vector<NodeId>;

// Distinct members in at most four zones, of any weights, some of them gone.
rc::Gen<std::vector<MemberRecord>> any_members() {
  const auto drawn = rc::gen::tuple(
      rc::gen::inRange(0, 4), rc::gen::element<std::uint32_t>(0, 1, 50, 100, 100, 400),
      rc::gen::element(MemberState::kUp, MemberState::kUp, MemberState::kUp, MemberState::kLeft,
                       MemberState::kRemoved));
  using Drawn = std::vector<std::tuple<int, std::uint32_t, MemberState>>;
  return rc::gen::map(rc::gen::container<Drawn>(drawn), [](const Drawn& all) {
    std::vector<MemberRecord> records;
    for (const auto& [zone, weight, state] : all) {
      MemberRecord record = member(records.size() * 7919 + 1, 0, state);
      record.zone = fmt::format("z{}", zone);
      record.weight = weight;
      records.push_back(std::move(record));
    }
    return records;
  });
}

rc::Gen<PartitionId> any_partition() {
  return rc::gen::construct<PartitionId>(rc::gen::inRange<std::uint32_t>(0, 65'536));
}

std::set<NodeId> as_set(const Owners& owners) {
  return {owners.begin(), owners.end()};
}

std::set<NodeId> without(std::set<NodeId> from, const std::set<NodeId>& what) {
  std::erase_if(from, [&](NodeId id) { return what.contains(id); });
  return from;
}

RC_GTEST_PROP(Placement, OwnersAreDistinctUpMembersAsManyAsThereCanBe, ()) {
  const auto records = *any_members();
  const auto factor = *rc::gen::inRange<std::uint32_t>(0, 6);
  const Owners chosen = owners(*any_partition(), records, factor);
  std::set<NodeId> up;
  for (const MemberRecord& record : records) {
    if (record.state == MemberState::kUp) up.insert(record.id);
  }
  RC_ASSERT(chosen.size() == std::min<std::size_t>(factor, up.size()));
  RC_ASSERT(as_set(chosen).size() == chosen.size());
  RC_ASSERT(without(as_set(chosen), up).empty());
}

RC_GTEST_PROP(Placement, NoTwoOwnersShareAZoneWhileOneIsWithout, ()) {
  const auto records = *any_members();
  const Owners chosen = owners(*any_partition(), records, *rc::gen::inRange<std::uint32_t>(1, 6));
  std::map<std::string, std::size_t> owners_in;
  for (const MemberRecord& record : records) {
    if (record.state == MemberState::kUp) owners_in[record.zone];
  }
  for (const MemberRecord& record : records) {
    if (as_set(chosen).contains(record.id)) ++owners_in[record.zone];
  }
  const bool shared = std::any_of(owners_in.begin(), owners_in.end(),
                                  [](const auto& zone) { return zone.second > 1; });
  const bool without_owner = std::any_of(owners_in.begin(), owners_in.end(),
                                         [](const auto& zone) { return zone.second == 0; });
  RC_ASSERT(!(shared && without_owner));
}

RC_GTEST_PROP(Placement, TheOrderOfRecordsDoesNotMatter, ()) {
  auto records = *any_members();
  const auto partition = *any_partition();
  const Owners before = owners(partition, records, 3);
  Random random(*rc::gen::arbitrary<std::uint64_t>());
  for (std::size_t i = records.size(); i > 1; --i) {
    std::swap(records[i - 1], records[random.below(i)]);
  }
  RC_ASSERT(owners(partition, records, 3) == before);
}

RC_GTEST_PROP(Placement, AMemberThatComesTakesOverOnlyForItself, ()) {
  auto records = *any_members();
  const auto partition = *any_partition();
  const auto factor = *rc::gen::inRange<std::uint32_t>(1, 6);
  const auto before = as_set(owners(partition, records, factor));
  MemberRecord fresh = member(1'000'003);
  fresh.zone = fmt::format("z{}", *rc::gen::inRange(0, 5));
  records.push_back(fresh);
  const auto after = as_set(owners(partition, records, factor));
  RC_ASSERT(without(without(after, before), {fresh.id}).empty());
  RC_ASSERT(without(before, after).size() <= (after.contains(fresh.id) ? 1U : 0U));
}

RC_GTEST_PROP(Placement, AMemberThatGoesGivesUpOnlyWhatItOwned, ()) {
  auto records = *any_members();
  RC_PRE(!records.empty());
  const auto partition = *any_partition();
  const auto before = as_set(owners(partition, records, 3));
  const std::size_t gone = *rc::gen::inRange<std::size_t>(0, records.size());
  const NodeId id = records[gone].id;
  records[gone].state = MemberState::kLeft;
  const auto after = as_set(owners(partition, records, 3));
  RC_ASSERT(without(without(before, after), {id}).empty());
  RC_ASSERT(without(after, before).size() <= (before.contains(id) ? 1U : 0U));
}

TEST(Placement, AMemberThatDoesNotAnswerStaysAnOwner) {
  // The record says nothing of whether it answers; only leaving or removal does.
  auto records = members(3);
  EXPECT_EQ(owners(PartitionId{5}, records, 3).size(), 3U);
  records[1].state = MemberState::kRemoved;
  EXPECT_FALSE(as_set(owners(PartitionId{5}, records, 3)).contains(records[1].id));
}

TEST(Placement, SharesAreInProportionToWeights) {
  auto records = members(5);
  records[0].weight = 300;
  constexpr std::uint32_t kPartitions = 20'000;
  std::map<NodeId, double> share;
  for (std::uint32_t i = 0; i < kPartitions; ++i) {
    share[owners(PartitionId{i}, records, 1).front()] += 1.0 / kPartitions;
  }
  // 300 and 4 times 100; six standard deviations of 20,000 draws.
  EXPECT_NEAR(share[records[0].id], 3.0 / 7, 0.022);
  for (std::size_t i = 1; i < records.size(); ++i)
    EXPECT_NEAR(share[records[i].id], 1.0 / 7, 0.016);
}

RC_GTEST_PROP(Placement, WhoTakesAPlaceOwnsWhatItsPredecessorOwnedAndNothingElseMoves, ()) {
  std::vector<MemberRecord> before = members(*rc::gen::inRange<std::uint64_t>(1, 9));
  const std::size_t gone = *rc::gen::inRange<std::size_t>(0, before.size());
  std::vector<MemberRecord> after = before;
  after[gone].state = MemberState::kRemoved;
  MemberRecord successor = member(99);
  successor.place = before[gone].id;
  after.push_back(successor);
  const PartitionId partition = *any_partition();
  Owners expected = owners(partition, before, 3);
  std::replace(expected.begin(), expected.end(), before[gone].id, successor.id);
  RC_ASSERT(owners(partition, after, 3) == expected);
}

}  // namespace
}  // namespace grapevine::gossip
