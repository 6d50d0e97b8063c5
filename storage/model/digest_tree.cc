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

void DigestTree::encode(std::string& out) const {
  const auto empty = [](const DigestShare& leaf) { return leaf == DigestShare{}; };
  put_varint(out, static_cast<std::uint64_t>(leaf_bits_));
  put_varint(out, leaves_.size() - static_cast<std::size_t>(
                                       std::count_if(leaves_.begin(), leaves_.end(), empty)));
  std::size_t next = 0;  // the first leaf after the last one written
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    if (empty(leaves_[i])) continue;
    put_varint(out, i - next);
    leaves_[i].encode(out);
    next = i + 1;
  }
}

absl::StatusOr<DigestTree> DigestTree::decode(TokenRange range, ByteReader& in) {
  const absl::Status malformed = absl::DataLossError("digest tree: malformed");
  DigestTree tree(range);
  const std::uint64_t leaf_bits = in.varint();
  const std::uint64_t written = in.varint();
  if (!in.ok() || leaf_bits % kGrowthBits != 0 ||
      leaf_bits > static_cast<std::uint64_t>(std::min(kLeafBitsMax, tree.range_bits_))) {
    return malformed;
  }
  const std::uint64_t leaf_count = std::uint64_t{1} << leaf_bits;
  // A leaf takes more than a byte: nothing is allocated for leaves that cannot follow.
  if (written > leaf_count || written > in.left()) return malformed;
  if (leaf_count / kSparsenessMax > written) {
    return absl::DataLossError("digest tree: more leaves than its keys warrant");
  }
  tree.leaf_bits_ = static_cast<int>(leaf_bits);
  tree.leaves_.resize(leaf_count);
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < written; ++i) {
    const std::uint64_t gap = in.varint();
    const DigestShare leaf = DigestShare::decode(in);
    if (!in.ok() || gap >= leaf_count - next || leaf == DigestShare{}) return malformed;
    tree.leaves_[next + gap] = leaf;
    tree.root_ += leaf;
    next += gap + 1;
  }
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

bool DigestTree::blank() const {
  return std::all_of(leaves_.begin(), leaves_.end(),
                     [](const DigestShare& leaf) { return leaf == DigestShare{}; });
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
