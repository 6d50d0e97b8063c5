#include "gossip/partition_states.h"

#include <algorithm>

#include <xxhash.h>

namespace grapevine::gossip {
namespace {

std::uint64_t hash_words(const std::vector<std::uint64_t>& words) {
  return XXH3_64bits(words.data(), words.size() * sizeof(std::uint64_t));
}

}  // namespace

Summary summarize(const Replica& replica, const std::vector<PartitionId>& partitions) {
  Summary summary;
  std::vector<std::uint64_t> words;
  for (const PartitionId partition : partitions) {
    const PartitionView& live = replica.live(partition);
    words.push_back(partition.value);
    words.push_back(live.clock().hash());
    summary.roots += live.share(live.range())->sum;
  }
  summary.clocks = hash_words(words);
  return summary;
}

std::vector<Fingerprint> fingerprints_of(const Replica& replica,
                                         const std::vector<PartitionId>& partitions) {
  std::vector<Fingerprint> fingerprints;
  for (const PartitionId partition : partitions) {
    fingerprints.push_back(fingerprint_of(state_of(replica, partition)));
  }
  return fingerprints;
}

Fingerprint fingerprint_of(const PartitionState& state) {
  const std::uint64_t hash = hash_words({state.root.sum.low, state.clock.hash()});
  return {state.partition, static_cast<std::uint16_t>(hash)};
}

std::vector<const model::Sketch*> sketches_of(const Replica& replica,
                                              const std::vector<PartitionId>& partitions) {
  std::vector<const model::Sketch*> sketches;
  for (const PartitionId partition : partitions) {
    const model::Sketch* const sketch = replica.live(partition).sketch();
    if (sketch != nullptr) sketches.push_back(sketch);
  }
  return sketches;
}

std::uint64_t dots_apart(const model::Clock& left, const model::Clock& right) {
  constexpr std::uint64_t kMany = std::uint64_t{1} << 40;  // a marker counts as more than can be
  return std::min(kMany, model::count_dots(left.minus(right))) +
         std::min(kMany, model::count_dots(right.minus(left)));
}

PartitionState state_of(const Replica& replica, PartitionId partition) {
  return state_of(replica.live(partition), partition);
}

PartitionState state_of(const PartitionView& view, PartitionId partition) {
  return {partition, view.clock(), *view.share(view.range())};
}

std::optional<PartitionId> partition_of(const Replica& replica,
                                        const std::vector<PartitionId>& partitions,
                                        model::Token token) {
  const auto after = std::partition_point(
      partitions.begin(), partitions.end(),
      [&](PartitionId partition) { return replica.live(partition).range().first <= token; });
  if (after == partitions.begin()) return std::nullopt;
  const PartitionId partition = *std::prev(after);
  if (!replica.live(partition).range().contains(token)) return std::nullopt;
  return partition;
}

}  // namespace grapevine::gossip
