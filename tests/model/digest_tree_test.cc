// Goal: at every moment, also while it grows, a digest tree tells of each range exactly what the
// stored keys there add up to. Method: a plain map of keys as twin, which every answer is compared
// with after every step; growth is driven as the store drives it: a scan in token order, in
// portions that end between two tokens, while changes go on.
#include "storage/model/digest_tree.h"

#include <map>

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include "storage/base/random.h"

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

// A share that no other pair of (key, salt) has. One that counts many keys makes a tree grow as
// many keys would.
DigestShare share_with(std::size_t key, std::uint64_t salt, std::uint32_t keys, bool unquiet) {
  const std::uint64_t mixed = (key + 1) * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03;
  return {{mixed, ~mixed * 31}, keys, unquiet ? 1U : 0U};
}

// A tree beside the keys that it stands for.
class TreeWithTwin {
 public:
  explicit TreeWithTwin(TokenRange range) : tree_(range) {}

  const DigestTree& tree() const { return tree_; }

  void set(Token token, std::size_t key, const DigestShare& share) {
    DigestShare& stored = keys_[{token, key}];
    tree_.change(token, stored, share);
    stored = share;
  }

  void begin_growth_if_wanted() {
    if (!tree_.growing() && tree_.wants_to_grow()) tree_.begin_growth();
  }

  // The owner's scan: at least `keys` stored keys, then on to the end of a token.
  void scan(std::size_t keys) {
    if (!tree_.growing()) return;
    std::size_t met = 0;
    Token last{};
    for (auto at = keys_.lower_bound({tree_.growth_cursor(), 0}); at != keys_.end(); ++at) {
      const auto& [token, key] = at->first;
      if (met >= keys && token != last) {
        tree_.advance_growth(token);
        return;
      }
      tree_.grow(token, at->second);
      last = token;
      ++met;
    }
    tree_.finish_growth();
  }

  void scan_to_the_end() {
    while (tree_.growing()) scan(1000);
  }

  DigestShare sum(const TokenRange& range) const {
    DigestShare sum;
    for (auto at = keys_.lower_bound({range.first, 0}); at != keys_.end(); ++at) {
      if (at->first.first > range.last) break;
      sum += at->second;
    }
    return sum;
  }

  // The leaves, read off the tree; empty if they do not tile the range.
  std::vector<TokenRange> leaves() const {
    const TokenRange& all = tree_.token_range();
    std::vector<TokenRange> leaves;
    for (Token at = all.first;; at.value = leaves.back().last.value + 1) {
      const TokenRange leaf = tree_.leaf_range(at);
      if (leaf.first != at || leaf.last < leaf.first || leaf.last > all.last) return {};
      leaves.push_back(leaf);
      if (leaf.last == all.last) return leaves;
    }
  }

  void check() const {
    RC_ASSERT(tree_.root() == sum(tree_.token_range()));
    const std::vector<TokenRange> all = leaves();
    RC_ASSERT(!all.empty());
    std::optional<TokenRange> unquiet;
    for (auto leaf = all.rbegin(); leaf != all.rend(); ++leaf) {
      RC_ASSERT(tree_.resolves(*leaf));
      const DigestShare expected = sum(*leaf);
      RC_ASSERT(tree_.range(*leaf) == expected);
      if (expected.unquiet > 0) unquiet = *leaf;
      RC_ASSERT(tree_.next_unquiet(leaf->last) == unquiet);
      RC_ASSERT(tree_.next_unquiet(leaf->first) == unquiet);
    }
  }

  std::vector<std::pair<Token, DigestShare>> shares() const {
    std::vector<std::pair<Token, DigestShare>> all;
    for (const auto& [place, share] : keys_) {
      if (share.keys > 0) all.emplace_back(place.first, share);
    }
    return all;
  }

 private:
  DigestTree tree_;
  std::map<std::pair<Token, std::size_t>, DigestShare> keys_;
};

// Small and uneven ranges, so that keys share leaves and tokens and lie at both edges; and the
// whole ring.
rc::Gen<TokenRange> any_tree_range() {
  return rc::gen::element(TokenRange{{0x4000}, {0x43FF}}, TokenRange{{8}, {15}},
                          TokenRange{{5}, {5}}, TokenRange{},
                          TokenRange{{~std::uint64_t{0} - 255}, {~std::uint64_t{0}}});
}

Token token_within(const TokenRange& range, std::uint64_t drawn) {
  if (drawn % 7 == 0) return range.first;
  if (drawn % 7 == 1) return range.last;
  const std::uint64_t spread = drawn * 0x9E3779B97F4A7C15;
  const int bits = range.size_bits();
  return {range.first.value + (bits == 64 ? spread : spread % (std::uint64_t{1} << bits))};
}

struct Step {
  std::uint32_t choice;
  std::uint16_t key;
  std::uint16_t salt;
};

void showValue(const Step& step, std::ostream& out) {
  out << '(' << step.choice << ", key " << step.key << ", salt " << step.salt << ')';
}

rc::Gen<std::vector<Step>> any_steps() {
  return rc::gen::container<std::vector<Step>>(rc::gen::construct<Step>(
      rc::gen::inRange<std::uint32_t>(0, 16), rc::gen::inRange<std::uint16_t>(0, 60),
      rc::gen::arbitrary<std::uint16_t>()));
}

void take(const Step& step, TreeWithTwin& twin) {
  const Token token = token_within(twin.tree().token_range(), step.key);
  if (step.choice < 9) {
    twin.set(token, step.key,
             share_with(step.key, step.salt, step.salt % 40U + 1U, step.salt % 5 == 0));
  } else if (step.choice < 11) {
    twin.set(token, step.key, {});
  } else if (step.choice < 12) {
    twin.begin_growth_if_wanted();
  } else {
    twin.scan(step.salt % 8);
  }
}

RC_GTEST_PROP(DigestTreeLaw, EveryAnswerIsTrueAfterEveryStepOfChangesAndGrowth, ()) {
  TreeWithTwin twin(*any_tree_range());
  const std::vector<Step> steps = *any_steps();
  for (const Step& step : steps) {
    take(step, twin);
    twin.check();
  }
  twin.scan_to_the_end();
  twin.check();
  RC_CLASSIFY(twin.leaves().size() > 1, "grew");
  RC_CLASSIFY(twin.leaves().size() > 16, "grew three times");
}

RC_GTEST_PROP(DigestTreeLaw, AGrownTreeAgreesWithOneBuiltFromScratchWhereverBothResolve, ()) {
  const TokenRange range = *any_tree_range();
  TreeWithTwin twin(range);
  for (const Step& step : *any_steps()) take(step, twin);
  twin.scan_to_the_end();
  const DigestTree built = DigestTree::build(range, twin.shares());
  RC_ASSERT(built.root() == twin.tree().root());
  for (int bits = 0; bits <= std::min(6, range.size_bits()); ++bits) {
    for (std::uint32_t i = 0; i < (1U << bits); ++i) {
      const TokenRange part = range.part(i, bits);
      if (built.resolves(part)) RC_ASSERT(built.range(part) == twin.sum(part));
      if (built.resolves(part) && twin.tree().resolves(part)) {
        RC_ASSERT(built.range(part) == twin.tree().range(part));
      }
    }
  }
}

RC_GTEST_PROP(DigestTreeLaw, ResolvesExactlyTheRangesMadeOfWholeLeaves, ()) {
  TreeWithTwin twin(*any_tree_range());
  for (const Step& step : *any_steps()) take(step, twin);
  std::set<std::uint64_t> starts;
  std::set<std::uint64_t> ends;
  std::vector<std::uint64_t> candidates{0, ~std::uint64_t{0}};
  for (const TokenRange& leaf : twin.leaves()) {
    starts.insert(leaf.first.value);
    ends.insert(leaf.last.value);
    for (const std::uint64_t edge : {leaf.first.value, leaf.last.value}) {
      candidates.insert(candidates.end(), {edge - 1, edge, edge + 1});
    }
  }
  const std::uint64_t first = *rc::gen::elementOf(candidates);
  for (const std::uint64_t last : candidates) {
    const TokenRange range{{first}, {last}};
    const bool whole = first <= last && starts.contains(first) && ends.contains(last);
    RC_ASSERT(twin.tree().resolves(range) == whole);
    if (whole) RC_ASSERT(twin.tree().range(range) == twin.sum(range));
  }
}

// Two replicas that took different ways to the same keys.
RC_GTEST_PROP(DigestTreeLaw, TheOrderOfChangesLeavesNoTrace, (std::uint64_t seed)) {
  const TokenRange range{{0x4000}, {0x43FF}};
  TreeWithTwin there(range);
  TreeWithTwin back(range);
  constexpr std::size_t kKeys = 50;
  for (std::size_t i = 0; i < kKeys; ++i) {
    there.set(token_within(range, i), i, share_with(i, seed, 1, false));
    const std::size_t j = kKeys - 1 - i;
    back.set(token_within(range, j), j, share_with(j, seed + 1, 7, true));
    back.set(token_within(range, j), j, share_with(j, seed, 1, false));
  }
  for (TreeWithTwin* tree : {&there, &back}) {
    tree->begin_growth_if_wanted();
    tree->scan_to_the_end();
  }
  RC_ASSERT(there.leaves() == back.leaves());
  for (const TokenRange& leaf : there.leaves()) {
    RC_ASSERT(there.tree().range(leaf) == back.tree().range(leaf));
  }
}

// ---- when and how far it grows ----

TEST(DigestTree, BeginsAsOneLeafThatIsZero) {
  const DigestTree tree{TokenRange{}};
  EXPECT_EQ(tree.root(), DigestShare{});
  EXPECT_EQ(tree.leaf_range({12345}), TokenRange{});
  EXPECT_EQ(tree.next_unquiet({0}), std::nullopt);
  EXPECT_FALSE(tree.wants_to_grow());
}

TEST(DigestTree, WantsToGrowAboveThirtyTwoKeysALeafAndGrowsByAFactorOfFour) {
  TreeWithTwin twin{TokenRange{}};
  for (std::size_t key = 0; key < DigestTree::kKeysPerLeafMax; ++key) {
    twin.set({key << 56}, key, share_with(key, 0, 1, false));
  }
  EXPECT_FALSE(twin.tree().wants_to_grow());
  twin.set({std::uint64_t{0xFF} << 56}, 99, share_with(99, 0, 1, false));
  EXPECT_TRUE(twin.tree().wants_to_grow());
  twin.begin_growth_if_wanted();
  EXPECT_EQ(twin.leaves().size(), 1U);
  twin.scan_to_the_end();
  EXPECT_EQ(twin.leaves().size(), 4U);
  EXPECT_FALSE(twin.tree().wants_to_grow());
}

TEST(DigestTree, AGrownTreeHasTheLeavesOfOneBuiltFromScratch) {
  const TokenRange range{{0x4000}, {0x43FF}};
  TreeWithTwin twin(range);
  for (std::size_t key = 0; key < 700; ++key) {
    twin.set(token_within(range, key * 7 + 3), key, share_with(key, 0, 1, false));
    twin.begin_growth_if_wanted();
    twin.scan(3);
  }
  while (twin.tree().growing() || twin.tree().wants_to_grow()) {
    twin.begin_growth_if_wanted();
    twin.scan_to_the_end();
  }
  const DigestTree built = DigestTree::build(range, twin.shares());
  EXPECT_EQ(twin.leaves().size(), 64U);
  for (const TokenRange& leaf : twin.leaves()) {
    EXPECT_EQ(built.leaf_range(leaf.first), leaf);
    EXPECT_EQ(built.range(leaf), twin.tree().range(leaf));
  }
}

TEST(DigestTree, ARangeOfFewTokensStopsGrowingBeforeALeafWouldHoldNone) {
  const TokenRange eight{{8}, {15}};
  TreeWithTwin twin(eight);
  for (std::size_t key = 0; key < 500; ++key) {
    twin.set({8 + key % 8}, key, share_with(key, 0, 1, false));
  }
  twin.begin_growth_if_wanted();
  twin.scan_to_the_end();
  EXPECT_EQ(twin.leaves().size(), 4U);
  EXPECT_FALSE(twin.tree().wants_to_grow());
  EXPECT_EQ(DigestTree::build(eight, twin.shares()).leaf_range({8}), (TokenRange{{8}, {9}}));
}

TEST(DigestTree, ACopyIsAViewThatLaterChangesDoNotReach) {
  TreeWithTwin twin{TokenRange{}};
  twin.set({1}, 1, share_with(1, 0, 1, false));
  const DigestTree view = twin.tree();
  twin.set({1}, 1, share_with(1, 1, 1, true));
  EXPECT_EQ(view.root(), share_with(1, 0, 1, false));
  EXPECT_EQ(view.next_unquiet({0}), std::nullopt);
}

TEST(DigestTree, UnquietEntriesAreFoundFromAnywhere) {
  const TokenRange range{{0x4000}, {0x43FF}};
  TreeWithTwin twin(range);
  twin.set({0x4100}, 1, share_with(1, 0, 1, true));
  EXPECT_EQ(twin.tree().next_unquiet({0}), range);
  EXPECT_EQ(twin.tree().next_unquiet({0x43FF}), range);
  EXPECT_EQ(twin.tree().next_unquiet({0x4400}), std::nullopt);
}

TEST(DigestTreeDeathTest, WhatItRequiresIsChecked) {
  const TokenRange range{{0x4000}, {0x43FF}};
  DigestTree tree(range);
  EXPECT_DEATH(tree.change({0x4400}, {}, {}), "belongs to this partition");
  EXPECT_DEATH(tree.range({{0x4000}, {0x4001}}), "whole leaves");
  EXPECT_DEATH(tree.begin_growth(), "growth begins once, when wanted");
  EXPECT_DEATH(tree.finish_growth(), "growth was begun");
  EXPECT_DEATH(tree.grow({0x4000}, {}), "the scan goes forward");
}

// ---- as bytes

DigestTree some_tree(TokenRange range, std::size_t keys) {
  Random random(keys + 1);
  std::vector<std::pair<Token, DigestShare>> shares;
  for (std::size_t i = 0; i < keys; ++i) {
    const Token token{range.first.value + random.next() % (range.last.value - range.first.value)};
    DigestShare share{{random.next(), random.next()}, 1, 0};
    if (i % 5 == 0) share = {share.sum, 1, 1, random.next()};
    shares.emplace_back(token, share);
  }
  return DigestTree::build(range, shares);
}

std::string bytes_of(const DigestTree& tree) {
  std::string bytes;
  tree.encode(bytes);
  return bytes;
}

absl::StatusOr<DigestTree> tree_in(std::string_view bytes, TokenRange range) {
  ByteReader in(bytes);
  auto tree = DigestTree::decode(range, in);
  if (tree.ok() && !in.done()) return absl::DataLossError("bytes left over");
  return tree;
}

TEST(DigestTreeBytes, BringBackEveryLeafAndTheRoot) {
  const TokenRange range = Partitioning(64).range(PartitionId{5});
  for (const std::size_t keys : {0U, 1U, 33U, 5000U}) {
    const DigestTree tree = some_tree(range, keys);
    const auto read = tree_in(bytes_of(tree), range);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->root(), tree.root());
    EXPECT_EQ(bytes_of(*read), bytes_of(tree));
    Token from = range.first;
    for (;;) {
      const TokenRange leaf = tree.leaf_range(from);
      ASSERT_EQ(read->leaf_range(from), leaf);
      EXPECT_EQ(read->range(leaf), tree.range(leaf));
      if (leaf.last == range.last) break;
      from = Token{leaf.last.value + 1};
    }
  }
}

TEST(DigestTreeBytes, OfATreeThatGrowsAreThoseOfItsLeaves) {
  DigestTree tree{TokenRange{}};
  for (std::uint64_t i = 0; i < 100; ++i) {
    tree.change(Token{i << 57}, {}, {{i, i}, 1, 0});
  }
  const std::string before = bytes_of(tree);
  tree.begin_growth();
  EXPECT_EQ(bytes_of(tree), before);
  const auto read = tree_in(before, TokenRange{});
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read->growing());
  EXPECT_TRUE(read->wants_to_grow());
}

TEST(DigestTreeBytes, ThatAreCutAnywhereAreRefused) {
  const TokenRange range = Partitioning(64).range(PartitionId{5});
  const std::string bytes = bytes_of(some_tree(range, 300));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(tree_in(bytes.substr(0, length), range).status())) << length;
  }
}

TEST(DigestTreeBytes, ThatMakeNoSenseAreRefused) {
  const auto tree = [](std::uint64_t leaf_bits, std::uint64_t written, const std::string& leaves) {
    std::string bytes;
    put_varint(bytes, leaf_bits);
    put_varint(bytes, written);
    return bytes + leaves;
  };
  const auto leaf = [](std::uint64_t gap, std::uint64_t keys, std::uint64_t unquiet) {
    std::string bytes;
    put_varint(bytes, gap);
    put_fixed64(bytes, 1);
    put_fixed64(bytes, 2);
    put_varint(bytes, keys);
    put_varint(bytes, unquiet);
    if (unquiet > 0) put_fixed64(bytes, 3);
    return bytes;
  };
  EXPECT_TRUE(tree_in(tree(2, 2, leaf(1, 1, 0) + leaf(1, 2, 1)), TokenRange{}).ok());
  const std::string bad[] = {
      tree(1, 1, leaf(0, 1, 0)),                                 // no depth of ours
      tree(26, 1, leaf(0, 1, 0)),                                // too deep
      tree(2, 5, std::string(200, '\1')),                        // more leaves than there are
      tree(2, 1, leaf(4, 1, 0)),                                 // beyond the last one
      tree(2, 2, leaf(3, 1, 0) + leaf(0, 1, 0)),                 // the same, second
      tree(2, 1, leaf(~std::uint64_t{0}, 1, 0)),                 // a gap that wraps
      tree(2, 1, leaf(0, std::uint64_t{1} << 32, 0)),            // a count that does not fit
      tree(2, 1, leaf(0, 1, 2)),                                 // more unquiet than stored
      tree(2, 1, std::string(1, '\0') + std::string(18, '\0')),  // an empty leaf
      tree(24, 1, leaf(0, 1, 0)),                                // much memory for few bytes
  };
  for (const std::string& bytes : bad) {
    EXPECT_TRUE(absl::IsDataLoss(tree_in(bytes, TokenRange{}).status())) << &bytes - bad;
  }
}

}  // namespace
}  // namespace grapevine::model
