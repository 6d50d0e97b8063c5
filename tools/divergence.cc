#include "tools/divergence.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "storage/model/clock.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using gossip::PartitionState;

PairDivergence& pair_of(Divergence& divergence, std::size_t left, std::size_t right) {
  const auto at =
      std::lower_bound(divergence.pairs.begin(), divergence.pairs.end(), std::pair(left, right),
                       [](const PairDivergence& pair, const auto& wanted) {
                         return std::pair(pair.left, pair.right) < wanted;
                       });
  if (at != divergence.pairs.end() && at->left == left && at->right == right) return *at;
  PairDivergence fresh;
  fresh.left = left;
  fresh.right = right;
  return *divergence.pairs.insert(at, fresh);
}

void add_pair(const PartitionState& left, const PartitionState& right, PairDivergence& pair) {
  const bool roots_equal = left.root.sum == right.root.sum;
  const bool clocks_equal = left.clock == right.clock;
  const bool quiet = left.root.unquiet == 0 && right.root.unquiet == 0;
  ++pair.partitions;
  if (!roots_equal) ++pair.partitions_differing;
  if (roots_equal && clocks_equal) ++pair.partitions_proven;
  if (!roots_equal && clocks_equal && quiet) ++pair.partitions_damaged;
  pair.missing_left += model::count_dots(right.clock.minus(left.clock));
  pair.missing_right += model::count_dots(left.clock.minus(right.clock));
}

// Dots that some of the replicas have and some have not.
std::uint64_t count_missing(const std::map<std::size_t, PartitionState>& states) {
  model::Clock all;
  for (const auto& [node, state] : states) all.merge(state.clock);
  model::Clock missing;
  for (const auto& [node, state] : states) {
    for (const auto& range : all.minus(state.clock)) missing.add(range);
  }
  return model::count_dots(missing.minus(model::Clock()));
}

std::uint64_t count_distinct(const ComparedPartition& partition) {
  std::vector<std::uint64_t> hashes;
  for (const auto& [pair, keys] : partition.differing) {
    for (const auto& key : keys) hashes.push_back(key.hash);
  }
  std::sort(hashes.begin(), hashes.end());
  return static_cast<std::uint64_t>(
      std::distance(hashes.begin(), std::unique(hashes.begin(), hashes.end())));
}

std::string diverged_text(const Divergence& divergence) {
  std::string text =
      fmt::format("diverged: {}", counted(divergence.differing_keys, "differing key"));
  if (divergence.missing_writes > 0)
    text += fmt::format(", {}", counted(divergence.missing_writes, "missing write"));
  if (divergence.partitions_damaged > 0) {
    text += fmt::format(
        "; {} with equal clocks and different data, which is damage: within minutes the nodes "
        "check "
        "what they hold and settle it (see their logs)",
        counted(divergence.partitions_damaged, "partition"));
  }
  return text;
}

// Empty when everything was seen.
std::string unseen_text(const Divergence& divergence) {
  std::string text;
  for (const auto& node : divergence.unreachable) {
    text +=
        fmt::format("{}{} cannot be reached ({})", text.empty() ? "" : ", ", node.name, node.why);
  }
  if (divergence.partitions_incomplete > 0) {
    text += fmt::format("{}{} not at all of their owners yet", text.empty() ? "" : ", ",
                        counted(divergence.partitions_incomplete, "partition"));
  }
  return text;
}

// What holds of the replicas that were seen, none of whose data differs.
Verdict verdict_of_equal_data(const Divergence& divergence) {
  if (divergence.missing_writes > 0) {
    return {Verdict::Kind::kClocksDiffer, ExitCode::kNo,
            fmt::format("data equal, clocks not yet: {} missing",
                        counted(divergence.missing_writes, "write"))};
  }
  const auto all_proven = [](const PairDivergence& pair) {
    return pair.partitions_proven == pair.partitions;
  };
  if (!std::all_of(divergence.pairs.begin(), divergence.pairs.end(), all_proven)) {
    return {Verdict::Kind::kDiverged, ExitCode::kNo,
            "diverged: digests differ, though no differing key was found; try again"};
  }
  return {
      Verdict::Kind::kEqual, ExitCode::kDone,
      fmt::format("provably equal: {}, {}, {}", counted(divergence.replicas, "replica"),
                  counted(divergence.partitions, "partition"), counted(divergence.keys, "key"))};
}

}  // namespace

void add(const ComparedPartition& partition, Divergence& into) {
  ++into.partitions;
  if (partition.incomplete) ++into.partitions_incomplete;
  into.replicas = std::max(into.replicas, static_cast<std::uint32_t>(partition.states.size()));
  std::uint64_t keys = 0;
  bool damaged = false;
  for (auto left = partition.states.begin(); left != partition.states.end(); ++left) {
    keys = std::max<std::uint64_t>(keys, left->second.root.keys);
    into.unquiet += left->second.root.unquiet;
    for (auto right = std::next(left); right != partition.states.end(); ++right) {
      PairDivergence& pair = pair_of(into, left->first, right->first);
      const std::uint32_t damaged_before = pair.partitions_damaged;
      add_pair(left->second, right->second, pair);
      damaged = damaged || pair.partitions_damaged > damaged_before;
      const auto differing = partition.differing.find({left->first, right->first});
      if (differing != partition.differing.end()) pair.differing_keys += differing->second.size();
    }
  }
  into.keys += keys;
  if (damaged) ++into.partitions_damaged;
  into.differing_keys += count_distinct(partition);
  into.missing_writes += count_missing(partition.states);
}

// Whether every write that is missing somewhere is on its way there, and no more keys differ than
// such writes explain.
bool only_in_flight(const Divergence& divergence) {
  std::uint64_t in_flight = 0;
  for (const PairDivergence& pair : divergence.pairs) {
    if (pair.in_flight < pair.missing_left + pair.missing_right) return false;
    if (pair.differing_keys > pair.in_flight) return false;
    in_flight += pair.in_flight;
  }
  return in_flight > 0 && divergence.partitions_damaged == 0;
}

Verdict verdict_of(const Divergence& divergence) {
  const std::string unseen = unseen_text(divergence);
  const bool differs =
      std::any_of(divergence.pairs.begin(), divergence.pairs.end(),
                  [](const PairDivergence& pair) { return pair.partitions_differing > 0; });
  if (unseen.empty() && only_in_flight(divergence)) {
    return {
        Verdict::Kind::kInFlight, ExitCode::kNo,
        fmt::format("equal but for {} on the way", counted(divergence.missing_writes, "write"))};
  }
  if (differs) {
    const std::string text = diverged_text(divergence);
    return {Verdict::Kind::kDiverged, ExitCode::kNo,
            unseen.empty() ? text : fmt::format("{}; {}", text, unseen)};
  }
  Verdict seen = verdict_of_equal_data(divergence);
  if (unseen.empty() && divergence.replicas > 0) return seen;
  const ExitCode code = divergence.unreachable.empty() ? ExitCode::kNo : ExitCode::kUnreachable;
  if (divergence.replicas < 2) {
    return {Verdict::Kind::kNotProven, code,
            fmt::format("not proven: {}; nothing is left to compare",
                        unseen.empty() ? "no replica was seen" : unseen)};
  }
  const std::string rest =
      seen.kind == Verdict::Kind::kEqual
          ? fmt::format("the {} seen are equal", counted(divergence.replicas, "replica"))
          : fmt::format("of the {} seen: {}", counted(divergence.replicas, "replica"), seen.text);
  return {Verdict::Kind::kNotProven, code, fmt::format("not proven: {}; {}", unseen, rest)};
}

}  // namespace grapevine::tools
