// Goal: a descent finds every key that differs and asks only where something does, whatever the
// depths of the two trees. Method: the twin compares two plain maps key by key.
#include "gossip/range_descent.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/model/digest_tree.h"

namespace grapevine::gossip {
namespace {

using model::DigestShare;
using model::Item;
using model::Token;
using model::TokenRange;
using Keys = std::map<Token, DigestShare>;

// The share of a key at `token`; `version` tells apart what is stored there.
DigestShare share_with(Token token, std::uint64_t version, bool unquiet = false) {
  // Not linear: sums of different keys must not cancel out.
  std::uint64_t mixed = (token.value ^ version) * 0xD1B54A32D192ED03;
  mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9;
  return {{mixed ^ (mixed >> 32), ~mixed}, 1, unquiet ? 1U : 0U};
}

Token token_at(std::size_t i) {
  return {(i + 1) * 0x9E3779B97F4A7C15};
}

// A side of the comparison: its keys, and how deep its tree is.
struct Side {
  Keys keys;
  int leaf_bits = 0;

  DigestShare sum(const TokenRange& range) const {
    DigestShare sum;
    for (auto at = keys.lower_bound(range.first); at != keys.end() && at->first <= range.last;
         ++at) {
      sum += at->second;
    }
    return sum;
  }
  RangeDescent::Parts parts(const TokenRange& range) const {
    if (range.size_bits() - RangeDescent::kSplitBits < 64 - leaf_bits) return {};
    RangeDescent::Parts parts;
    for (std::uint32_t i = 0; i < 16; ++i)
      parts.push_back(sum(range.part(i, RangeDescent::kSplitBits)));
    return parts;
  }
};

struct Found {
  std::vector<RangeDescent::Leaf> leaves;
  std::size_t splits = 0;
};

Found descend(const Side& left, const Side& right, RangeDescent::Unquiet unquiet,
              std::size_t at_once) {
  const TokenRange all;
  RangeDescent descent(all, left.sum(all), right.sum(all), unquiet);
  Found found;
  const auto take = [&] {
    for (const auto& leaf : descent.take_leaves()) found.leaves.push_back(leaf);
  };
  while (!descent.done()) {
    for (const TokenRange& range : descent.wanted(at_once)) {
      descent.answer(left.parts(range), right.parts(range));
      ++found.splits;
    }
    take();
  }
  take();
  return found;
}

// Many equal keys, and some that one side lacks, has differently or has with a vector.
rc::Gen<std::pair<Side, Side>> any_sides() {
  const auto change = rc::gen::pair(rc::gen::inRange<std::size_t>(0, 3000), rc::gen::inRange(0, 4));
  return rc::gen::map(
      rc::gen::tuple(rc::gen::element<std::size_t>(0, 10, 300, 3000),
                     rc::gen::container<std::vector<std::pair<std::size_t, int>>>(change),
                     rc::gen::element(0, 2, 4, 8, 12, 64), rc::gen::element(0, 2, 4, 8, 12, 64)),
      [](const auto& drawn) {
        const auto& [count, changes, left_bits, right_bits] = drawn;
        Side left{{}, left_bits};
        Side right{{}, right_bits};
        for (std::size_t i = 0; i < count; ++i) {
          left.keys[token_at(i)] = right.keys[token_at(i)] = share_with(token_at(i), 0);
        }
        for (const auto& [i, kind] : changes) {
          const Token token = token_at(i);
          if (kind == 0) left.keys.erase(token);
          if (kind == 1) right.keys[token] = share_with(token, 1);
          if (kind == 2) left.keys[token] = share_with(token, 2);
          if (kind == 3) right.keys[token] = share_with(token, 0, /*unquiet=*/true);
        }
        return std::pair{left, right};
      });
}

std::set<Token> differing(const Side& left, const Side& right, RangeDescent::Unquiet unquiet) {
  std::set<Token> tokens;
  for (const auto& [token, share] : left.keys) {
    const auto other = right.keys.find(token);
    if (other == right.keys.end() || !(other->second.sum == share.sum)) tokens.insert(token);
  }
  for (const auto& [token, share] : right.keys) {
    if (!left.keys.contains(token)) tokens.insert(token);
    if (unquiet == RangeDescent::Unquiet::kOnTheRight && share.unquiet > 0) tokens.insert(token);
  }
  return tokens;
}

void check_descent(RangeDescent::Unquiet unquiet) {
  const auto [left, right] = *any_sides();
  const Found found = descend(left, right, unquiet, *rc::gen::inRange<std::size_t>(1, 5));
  const std::set<Token> wanted = differing(left, right, unquiet);
  for (const Token token : wanted) {
    RC_ASSERT(std::count_if(found.leaves.begin(), found.leaves.end(),
                            [&](const auto& leaf) { return leaf.range.contains(token); }) == 1);
  }
  for (const auto& leaf : found.leaves) {
    RC_ASSERT(std::any_of(wanted.begin(), wanted.end(),
                          [&](Token token) { return leaf.range.contains(token); }));
    RC_ASSERT(leaf.left_keys == left.sum(leaf.range).keys);
    RC_ASSERT(leaf.right_keys == right.sum(leaf.range).keys);
  }
}

RC_GTEST_PROP(RangeDescent, LeavesHoldEveryDifferenceOnceAndNoneIsWithoutOne, ()) {
  check_descent(RangeDescent::Unquiet::kIgnored);
}

RC_GTEST_PROP(RangeDescent, LeavesHoldEveryUnquietEntryOfTheRightSideToo, ()) {
  check_descent(RangeDescent::Unquiet::kOnTheRight);
}

TEST(RangeDescent, EqualSidesCostNothing) {
  Side side{{}, 64};
  for (std::size_t i = 0; i < 1000; ++i) side.keys[token_at(i)] = share_with(token_at(i), 0);
  const Found found = descend(side, side, RangeDescent::Unquiet::kOnTheRight, 1);
  EXPECT_EQ(found.splits, 0U);
  EXPECT_TRUE(found.leaves.empty());
}

TEST(RangeDescent, OneDifferenceAmongManyCostsALogarithm) {
  Side left{{}, 64};
  for (std::size_t i = 0; i < 100'000; ++i) left.keys[token_at(i)] = share_with(token_at(i), 0);
  Side right = left;
  right.keys[token_at(77)] = share_with(token_at(77), 1);
  const Found found = descend(left, right, RangeDescent::Unquiet::kOnTheRight, 64);
  ASSERT_EQ(found.leaves.size(), 1U);
  EXPECT_LE(found.leaves.front().left_keys, RangeDescent::kLeafKeys);
  EXPECT_LE(found.splits, 4U);  // 16^3 ranges of 24 keys
}

TEST(RangeDescent, WhatANewReplicaLacksIsOneLeaf) {
  Side right{{}, 64};
  for (std::size_t i = 0; i < 100'000; ++i) right.keys[token_at(i)] = share_with(token_at(i), 0);
  const Found found = descend(Side{}, right, RangeDescent::Unquiet::kOnTheRight, 1);
  EXPECT_EQ(found.splits, 0U);
  EXPECT_EQ(found.leaves.size(), 1U);
}

TEST(RangeDescent, WhatTheLeftSideMustListIsCutIntoRangesThatCanBeListed) {
  Side left{{}, 64};
  for (std::size_t i = 0; i < 100'000; ++i) left.keys[token_at(i)] = share_with(token_at(i), 0);
  const Found found = descend(left, Side{{}, 64}, RangeDescent::Unquiet::kOnTheRight, 64);
  std::uint64_t keys = 0;
  for (const auto& leaf : found.leaves) {
    EXPECT_LE(leaf.left_keys, RangeDescent::kListedKeysMax);
    keys += leaf.left_keys;
  }
  EXPECT_EQ(keys, left.keys.size());
}

// ---- the items of a leaf ----

rc::Gen<std::vector<Item>> any_items() {
  const auto drawn_item =
      rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, 12), rc::gen::inRange<std::uint64_t>(0, 3),
                     rc::gen::arbitrary<bool>());
  using Drawn = std::vector<std::tuple<std::uint64_t, std::uint64_t, bool>>;
  return rc::gen::map(rc::gen::container<Drawn>(drawn_item), [](const Drawn& drawn) {
    std::vector<Item> items;
    std::set<std::uint64_t> hashes;
    for (const auto& [hash, digest, unquiet] : drawn) {
      if (!hashes.insert(hash).second) continue;
      items.push_back({fmt::format("key {}", hash), hash, digest, unquiet});
    }
    return items;
  });
}

RC_GTEST_PROP(CompareItems, TellsWhatReadersWouldSeeDifferently, ()) {
  auto left = *any_items();
  auto right = *any_items();
  sort_by_hash(left);
  sort_by_hash(right);
  const ItemDifference difference = compare_items(left, right);
  const auto digest_in = [](const std::vector<Item>& items, std::uint64_t hash) {
    const auto at = std::find_if(items.begin(), items.end(),
                                 [&](const Item& item) { return item.key_hash == hash; });
    return at == items.end() ? std::uint64_t{0} : at->digest;  // 0: nothing to read
  };
  std::set<std::uint64_t> told;
  for (const Item& item : difference.only_left) RC_ASSERT(told.insert(item.key_hash).second);
  for (const Item& item : difference.only_right) RC_ASSERT(told.insert(item.key_hash).second);
  for (const auto& both : difference.differing) RC_ASSERT(told.insert(both.left.key_hash).second);
  RC_ASSERT(difference.size() == told.size());
  for (std::uint64_t hash = 0; hash < 12; ++hash) {
    RC_ASSERT(told.contains(hash) == (digest_in(left, hash) != digest_in(right, hash)));
  }
}

}  // namespace
}  // namespace grapevine::gossip
