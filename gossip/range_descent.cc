#include "gossip/range_descent.h"

#include <algorithm>

#include "storage/base/check.h"

namespace grapevine::gossip {

RangeDescent::RangeDescent(model::TokenRange range, const model::DigestShare& left,
                           const model::DigestShare& right, Unquiet unquiet)
    : unquiet_(unquiet) {
  look_at(range, left, right);
}

void RangeDescent::look_at(const model::TokenRange& range, const model::DigestShare& left,
                           const model::DigestShare& right) {
  const bool must_see = unquiet_ == Unquiet::kOnTheRight && right.unquiet > 0;
  if (left.sum == right.sum && !must_see) return;
  const Leaf found{range, left.keys, right.keys};
  const bool few = std::uint64_t{left.keys} + right.keys <= kLeafKeys || left.keys == 0 ||
                   (right.keys == 0 && left.keys <= kListedKeysMax);
  if (few || range.size_bits() < kSplitBits) {
    leaves_.push_back(found);
  } else {
    open_.push_back(found);
  }
}

std::vector<model::TokenRange> RangeDescent::wanted(std::size_t limit) const {
  std::vector<model::TokenRange> ranges;
  for (std::size_t i = next_; i < open_.size() && ranges.size() < limit; ++i) {
    ranges.push_back(open_[i].range);
  }
  return ranges;
}

void RangeDescent::answer(const Parts& left, const Parts& right) {
  GRAPEVINE_CHECK(!done(), "only what is wanted is answered");
  const Leaf whole = open_[next_++];
  constexpr std::size_t kParts = std::size_t{1} << kSplitBits;
  GRAPEVINE_CHECK(
      (left.empty() || left.size() == kParts) && (right.empty() || right.size() == kParts),
      "all parts or none");
  if (left.empty() || right.empty()) {
    leaves_.push_back(whole);
    return;
  }
  for (std::uint32_t i = 0; i < kParts; ++i) {
    look_at(whole.range.part(i, kSplitBits), left[i], right[i]);
  }
}

void sort_by_hash(std::vector<model::Item>& items) {
  std::sort(items.begin(), items.end(),
            [](const model::Item& a, const model::Item& b) { return a.key_hash < b.key_hash; });
}

ItemDifference compare_items(const std::vector<model::Item>& left,
                             const std::vector<model::Item>& right) {
  ItemDifference difference;
  auto l = left.begin();
  auto r = right.begin();
  while (l != left.end() || r != right.end()) {
    if (r == right.end() || (l != left.end() && l->key_hash < r->key_hash)) {
      difference.only_left.push_back(*l++);
    } else if (l == left.end() || r->key_hash < l->key_hash) {
      difference.only_right.push_back(*r++);
    } else {
      if (l->digest != r->digest) difference.differing.push_back({*l, *r});
      ++l;
      ++r;
    }
  }
  // An entry without live versions is no difference: the key reads as absent on both sides.
  const auto invisible = [](const model::Item& item) { return item.digest == 0; };
  std::erase_if(difference.only_left, invisible);
  std::erase_if(difference.only_right, invisible);
  return difference;
}

}  // namespace grapevine::gossip
