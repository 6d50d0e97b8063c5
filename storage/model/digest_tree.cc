#include "storage/model/digest_tree.h"

#include <algorithm>

#include "storage/base/check.h"

namespace grapevine::model {

DigestTree::DigestTree(TokenRange range)
    : range_(range), range_bits_(range.size_bits()), leaves_(1) {}

DigestTree DigestTree::build(TokenRange range,
                             const std::vector<std::pair<Token, DigestShare>>& shares) {
  DigestTree tree(range);
  while ((shares.size() >> tree.leaf_bits_) > kKeysPerLeafMax &&
         tree.leaf_bits_ + kGrowthBits <= std::min(kLeafBitsMax, tree.range_bits_)) {
    tree.leaf_bits_ += kGrowthBits;
  }
  tree.leaves_.resize(std::size_t{1} << tree.leaf_bits_);
  for (const auto& [token, share] : shares) tree.change(token, {}, share);
  return tree;
}

std::size_t DigestTree::leaf_of(Token token, int leaf_bits) const {
  if (leaf_bits == 0) return 0;
  return (token.value - range_.first.value) >> (range_bits_ - leaf_bits);
}

void DigestTree::change(Token token, const DigestShare& before, const DigestShare& after) {
  GRAPEVINE_CHECK(range_.contains(token), "the token belongs to this partition");
  const auto apply = [&](DigestShare& share) {
    share -= before;
    share += after;
  };
  apply(root_);
  apply(leaves_[leaf_of(token, leaf_bits_)]);
  if (growing() && token < growth_cursor_) apply(finer_[leaf_of(token, leaf_bits_ + kGrowthBits)]);
}

TokenRange DigestTree::leaf_range(Token token) const {
  return range_.part(static_cast<std::uint32_t>(leaf_of(token, leaf_bits_)), leaf_bits_);
}

bool DigestTree::resolves(const TokenRange& range) const {
  if (range.first > range.last) return false;
  if (!range_.contains(range.first) || !range_.contains(range.last)) return false;
  return leaf_range(range.first).first == range.first && leaf_range(range.last).last == range.last;
}

DigestShare DigestTree::range(const TokenRange& range) const {
  GRAPEVINE_CHECK(resolves(range), "a range of whole leaves");
  if (range == range_) return root_;
  DigestShare sum;
  const std::size_t last = leaf_of(range.last, leaf_bits_);
  for (std::size_t i = leaf_of(range.first, leaf_bits_); i <= last; ++i) sum += leaves_[i];
  return sum;
}

std::optional<TokenRange> DigestTree::next_unquiet(Token from) const {
  if (root_.unquiet == 0 || from > range_.last) return std::nullopt;
  const std::size_t begin = leaf_of(std::max(from, range_.first), leaf_bits_);
  for (std::size_t i = begin; i < leaves_.size(); ++i) {
    if (leaves_[i].unquiet > 0) return range_.part(static_cast<std::uint32_t>(i), leaf_bits_);
  }
  return std::nullopt;
}

bool DigestTree::wants_to_grow() const {
  return root_.keys / leaves_.size() > kKeysPerLeafMax &&
         leaf_bits_ + kGrowthBits <= std::min(kLeafBitsMax, range_bits_);
}

void DigestTree::begin_growth() {
  GRAPEVINE_CHECK(wants_to_grow() && !growing(), "growth begins once, when wanted");
  finer_.assign(leaves_.size() << kGrowthBits, DigestShare{});
  growth_cursor_ = range_.first;
}

void DigestTree::grow(Token token, const DigestShare& share) {
  GRAPEVINE_CHECK(growing() && token >= growth_cursor_, "the scan goes forward");
  finer_[leaf_of(token, leaf_bits_ + kGrowthBits)] += share;
}

void DigestTree::finish_growth() {
  GRAPEVINE_CHECK(growing(), "growth was begun");
  leaves_ = std::move(finer_);
  finer_.clear();
  leaf_bits_ += kGrowthBits;
}

}  // namespace grapevine::model
