#include "tools/key_difference.h"

#include <algorithm>
#include <utility>

namespace grapevine::tools {
namespace {

using gossip::RangeDescent;

constexpr std::size_t kRangesAtOnce = 512;

absl::StatusOr<std::vector<model::TokenRange>> differing_leaves(const model::TokenRange& range,
                                                                ReplicaView& left,
                                                                ReplicaView& right) {
  RangeDescent descent(range, left.state().root, right.state().root,
                       RangeDescent::Unquiet::kIgnored);
  while (!descent.done()) {
    const std::vector<model::TokenRange> wanted = descent.wanted(kRangesAtOnce);
    GRAPEVINE_ASSIGN_OR_RETURN(const auto left_parts, left.split(wanted));
    GRAPEVINE_ASSIGN_OR_RETURN(const auto right_parts, right.split(wanted));
    for (std::size_t i = 0; i < wanted.size(); ++i) descent.answer(left_parts[i], right_parts[i]);
  }
  std::vector<model::TokenRange> ranges;
  for (const RangeDescent::Leaf& leaf : descent.take_leaves()) ranges.push_back(leaf.range);
  return ranges;
}

void add_differences(std::vector<model::Item> left, std::vector<model::Item> right,
                     std::vector<DifferingKey>& found) {
  gossip::sort_by_hash(left);
  gossip::sort_by_hash(right);
  gossip::ItemDifference difference = gossip::compare_items(left, right);
  for (auto& item : difference.only_left) found.push_back({item.key_hash, std::move(item.key)});
  for (auto& item : difference.only_right) found.push_back({item.key_hash, std::move(item.key)});
  for (auto& both : difference.differing)
    found.push_back({both.left.key_hash, std::move(both.left.key)});
}

}  // namespace

absl::StatusOr<std::vector<DifferingKey>> differing_keys(const model::TokenRange& range,
                                                         ReplicaView& left, ReplicaView& right) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto leaves, differing_leaves(range, left, right));
  const std::vector<model::TokenRange> ranges = joined_ranges(std::move(leaves));
  GRAPEVINE_ASSIGN_OR_RETURN(auto left_items, left.items(ranges));
  GRAPEVINE_ASSIGN_OR_RETURN(auto right_items, right.items(ranges));
  std::vector<DifferingKey> found;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    add_differences(std::move(left_items[i]), std::move(right_items[i]), found);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<model::TokenRange> joined_ranges(std::vector<model::TokenRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<model::TokenRange> joined;
  for (const auto& range : ranges) {
    if (!joined.empty() && joined.back().last.value + 1 == range.first.value) {
      joined.back().last = range.last;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

}  // namespace grapevine::tools
