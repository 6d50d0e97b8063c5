// Goal: exactly the keys that differ are found, and little is asked for to find them. Method: two
// replicas in memory beside a comparison key by key, as a property; counts of what was asked for.
#include "tools/key_difference.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/tools/fake_view.h"

namespace grapevine::tools {
namespace {

using Content = FakeView::Content;

std::set<std::string> found_between(FakeView& left, FakeView& right) {
  const auto keys = differing_keys(model::TokenRange(), left, right);
  EXPECT_TRUE(keys.ok()) << keys.status();
  std::set<std::string> found;
  for (const auto& key : *keys)
    EXPECT_TRUE(found.insert(key.key).second) << key.key << " is told twice";
  EXPECT_TRUE(std::is_sorted(keys->begin(), keys->end()));
  return found;
}

std::set<std::string> truly_between(const Content& left, const Content& right) {
  const auto versions = [](const Content& content, const std::string& key) {
    const auto found = content.find(key);
    return found == content.end() ? std::vector<std::uint64_t>() : found->second;
  };
  std::set<std::string> differing;
  for (const auto* content : {&left, &right}) {
    for (const auto& [key, ignored] : *content) {
      if (versions(left, key) != versions(right, key)) differing.insert(key);
    }
  }
  return differing;
}

// A few hundred keys, a third of them with one hash tag, and so with one token.
rc::Gen<Content> any_change() {
  const auto key = rc::gen::map(rc::gen::inRange(0, 400), [](int n) {
    return n % 3 == 0 ? fmt::format("{{tag}}{}", n) : fmt::format("key{}", n);
  });
  const auto versions =
      rc::gen::elementOf(std::vector<std::vector<std::uint64_t>>{{}, {1}, {2}, {1, 2}, {3}});
  return rc::gen::container<Content>(key, versions);
}

Content many_keys(int count) {
  Content content;
  for (int i = 0; i < count; ++i)
    content[i % 3 == 0 ? fmt::format("{{tag}}{}", i) : fmt::format("key{}", i)] = {1};
  return content;
}

RC_GTEST_PROP(DifferingKeysLaw, AreThoseOfAComparisonKeyByKey, ()) {
  Content left = many_keys(*rc::gen::element(0, 10, 400));
  Content right = left;
  for (auto& [key, versions] : *any_change()) left[key] = versions;
  for (auto& [key, versions] : *any_change()) right[key] = versions;
  const int left_bits = *rc::gen::inRange(30, 61);
  const int right_bits = *rc::gen::inRange(30, 61);
  FakeView left_view(left, left_bits);
  FakeView right_view(right, right_bits);
  RC_ASSERT(found_between(left_view, right_view) == truly_between(left, right));
}

TEST(DifferingKeys, OfEqualReplicasCostNothing) {
  FakeView left(many_keys(1000));
  FakeView right(many_keys(1000));
  EXPECT_THAT(found_between(left, right), testing::IsEmpty());
  EXPECT_EQ(left.splits + right.splits, 0u);
  EXPECT_EQ(left.items_told + right.items_told, 0u);
}

TEST(DifferingKeys, OneAmongManyIsFoundWithoutLookingAtTheOthers) {
  Content content;
  for (int i = 0; i < 20'000; ++i) content[fmt::format("key{}", i)] = {1};
  FakeView left(content);
  content["key777"] = {2};
  FakeView right(content);
  EXPECT_THAT(found_between(left, right), testing::ElementsAre("key777"));
  EXPECT_LE(left.splits, 4u);
  EXPECT_LE(left.items_told, gossip::RangeDescent::kLeafKeys);
}

TEST(DifferingKeys, AnEntryThatOnlyRemembersADeleteIsNoDifference) {
  FakeView left(Content{{"deleted", {}}, {"same", {1}}});
  FakeView right(Content{{"same", {1}}});
  EXPECT_THAT(found_between(left, right), testing::IsEmpty());
}

TEST(JoinedRanges, MakesNeighboursOne) {
  const auto range = [](std::uint64_t first, std::uint64_t last) {
    return model::TokenRange{{first}, {last}};
  };
  EXPECT_THAT(
      joined_ranges({range(8, 15), range(0, 7), range(32, ~std::uint64_t{0}), range(17, 20)}),
      testing::ElementsAre(range(0, 15), range(17, 20), range(32, ~std::uint64_t{0})));
  EXPECT_THAT(joined_ranges({}), testing::IsEmpty());
  EXPECT_THAT(joined_ranges({range(32, ~std::uint64_t{0}), range(0, 3)}),
              testing::ElementsAre(range(0, 3), range(32, ~std::uint64_t{0})));
}

}  // namespace
}  // namespace grapevine::tools
