#include "gossip/responder.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "gossip/comparison.h"
#include "gossip/range_descent.h"
#include "gossip/states_codec.h"

namespace grapevine::gossip {
namespace {

std::uint64_t hash_words(const std::vector<std::uint64_t>& words) {
  return XXH3_64bits(words.data(), words.size() * sizeof(std::uint64_t));
}

absl::Status check_range(const PartitionView& view, const model::TokenRange& range) {
  if (range.first <= range.last && view.range().contains(range.first) &&
      view.range().contains(range.last)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("request of a peer: range {:x} to {:x} is not of the partition",
                  range.first.value, range.last.value));
}

// REQUIRES: at least as many tokens as parts.
bool has_equal_parts(const model::TokenRange& range) {
  constexpr std::uint32_t kLast = (std::uint32_t{1} << RangeDescent::kSplitBits) - 1;
  return range.part(kLast, RangeDescent::kSplitBits).last == range.last;
}

// Sorted and apart, so that no dot is named twice.
absl::Status check_dots(const std::vector<model::DotRange>& dots) {
  for (std::size_t i = 0; i < dots.size(); ++i) {
    const bool possible = dots[i].first >= 1 && dots[i].first <= dots[i].last;
    const bool in_order = i == 0 || dots[i - 1].actor < dots[i].actor ||
                          (dots[i - 1].actor == dots[i].actor && dots[i - 1].last < dots[i].first);
    if (!possible || !in_order) {
      return absl::InvalidArgumentError("request of a peer: dots impossible or out of order");
    }
  }
  return absl::OkStatus();
}

absl::Status check_count(const char* what, std::size_t count, std::size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("request of a peer: {} {}, the limit is {}", count, what, limit));
}

absl::Status check_partitions(const std::vector<PartitionId>& partitions) {
  for (std::size_t i = 1; i < partitions.size(); ++i) {
    if (!(partitions[i - 1] < partitions[i])) {
      return absl::InvalidArgumentError("request of a peer: partitions out of order");
    }
  }
  return absl::OkStatus();
}

// Of the one among these partitions that the token is of; nullptr: of none.
const PartitionView* view_of(const Replica& replica, const std::vector<PartitionId>& partitions,
                             model::Token token) {
  const std::optional<PartitionId> partition = partition_of(replica, partitions, token);
  return partition.has_value() ? &replica.live(*partition) : nullptr;
}

}  // namespace

absl::StatusOr<std::optional<std::vector<model::Slot>>> slots_of(const Replica& replica,
                                                                 const SketchRequest& request,
                                                                 const ResponderLimits& limits) {
  GRAPEVINE_RETURN_IF_ERROR(check_partitions(request.partitions));
  GRAPEVINE_RETURN_IF_ERROR(check_count("slots", request.slots.size(), limits.slots_max));
  const auto of_none = [&](model::Slot slot) {
    return view_of(replica, request.partitions, model::tokens_of(slot).first) == nullptr;
  };
  if (!request.slots.empty()) {
    if (!std::is_sorted(request.slots.begin(), request.slots.end()) ||
        std::any_of(request.slots.begin(), request.slots.end(), of_none)) {
      return absl::InvalidArgumentError(
          "request of a peer: slots out of order, or of other partitions");
    }
    return request.slots;
  }
  std::vector<model::SketchCell> difference =
      model::first_cells(sketches_of(replica, request.partitions), request.cells.size());
  if (difference.empty() || difference.size() != request.cells.size()) {
    return absl::InvalidArgumentError(
        fmt::format("request of a peer: {} cells of a sketch, there are {}", request.cells.size(),
                    difference.size()));
  }
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= request.cells[i];
  auto slots = model::differing_slots(std::move(difference));
  // Cells of something else may seem to give slots away.
  if (slots.has_value() && std::any_of(slots->begin(), slots->end(), of_none)) slots.reset();
  return slots;
}

namespace {

// Whether the direct replication of one of its versions is on its way.
bool in_flight(const Replica& replica, PartitionId partition, const model::Entry& entry,
               const ResponderLimits& limits) {
  const auto is_young = [&](model::Dot dot) {
    return replica
               .name_dots(partition, {{dot.actor, dot.counter, dot.counter}},
                          /*with_young=*/false, 1)
               .in_flight > 0;
  };
  return std::any_of(entry.versions.begin(), entry.versions.end(),
                     [&](const model::Version& version) {
                       return is_young(version.dot) ||
                              (limits.on_its_way && limits.on_its_way(partition, version.dot));
                     });
}

}  // namespace

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

SummaryReply answer(const Replica& replica, const std::vector<PartitionId>& partitions,
                    const SummaryRequest& request) {
  SummaryReply reply;
  reply.equal = summarize(replica, partitions) == request;
  if (!reply.equal) reply.fingerprints = fingerprints_of(replica, partitions);
  return reply;
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

StatesReply answer(const Replica& replica, const std::vector<PartitionId>& partitions,
                   const StatesRequest& request) {
  StatesReply reply;
  std::vector<PartitionId> told;
  std::uint64_t dots = 0;
  for (const PartitionState& theirs : request.states) {
    if (!std::binary_search(partitions.begin(), partitions.end(), theirs.partition)) continue;
    PartitionState mine = state_of(replica, theirs.partition);
    dots += dots_apart(mine.clock, theirs.clock);
    mine.log_reaches = replica.reaches(theirs.partition, mine.clock.minus(theirs.clock));
    reply.states.push_back(std::move(mine));
    told.push_back(theirs.partition);
  }
  const std::string probes = model::probes_of(sketches_of(replica, told));
  reply.slots = model::estimate_slots(probes, request.probes, dots);
  return reply;
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

absl::StatusOr<DeltaReply> answer(const Replica& replica, const DeltaRequest& request,
                                  const ResponderLimits& limits) {
  GRAPEVINE_RETURN_IF_ERROR(check_count("dot ranges", request.dots.size(), limits.dot_ranges_max));
  GRAPEVINE_RETURN_IF_ERROR(check_dots(request.dots));
  DeltaReply reply;
  const Replica::NamedDots dots = replica.name_dots(request.partition, request.dots,
                                                    /*with_young=*/false, limits.reply_keys_max);
  reply.in_flight = dots.in_flight;
  reply.log_reaches = dots.complete;
  if (!dots.complete) return reply;
  reply.more = dots.named.size() == limits.reply_keys_max;
  const PartitionView& live = replica.live(request.partition);
  std::map<std::string, std::size_t> place;
  std::size_t bytes = 0;
  for (const auto& [dot, key] : dots.named) {
    if (limits.on_its_way && limits.on_its_way(request.partition, dot)) {
      ++reply.in_flight;
      continue;
    }
    const auto known = place.find(key);
    if (known != place.end()) {
      reply.entries[known->second].events.push_back(dot);
      continue;
    }
    if (bytes >= limits.reply_bytes_max) {
      reply.more = true;
      break;
    }
    GRAPEVINE_ASSIGN_OR_RETURN(auto entry, live.load(key));
    place.emplace(key, reply.entries.size());
    reply.entries.push_back({key, std::move(entry), {dot}});
    bytes += wire_bytes(reply.entries.back());
  }
  return reply;
}

std::vector<std::string> keys_of(const Replica& replica, const DeltaRequest& request,
                                 const ResponderLimits& limits) {
  if (request.dots.size() > limits.dot_ranges_max || !check_dots(request.dots).ok()) return {};
  const Replica::NamedDots dots = replica.name_dots(request.partition, request.dots,
                                                    /*with_young=*/false, limits.reply_keys_max);
  std::vector<std::string> keys;
  if (!dots.complete) return keys;
  keys.reserve(dots.named.size());
  for (const auto& [dot, key] : dots.named) keys.push_back(key);
  return keys;
}

std::vector<model::DigestShare> parts_of(const PartitionView& view,
                                         const model::TokenRange& range) {
  std::vector<model::DigestShare> parts;
  constexpr std::uint32_t kParts = std::uint32_t{1} << RangeDescent::kSplitBits;
  for (std::uint32_t i = 0; i < kParts; ++i) {
    const auto share = view.share(range.part(i, RangeDescent::kSplitBits));
    if (!share.has_value()) return {};
    parts.push_back(*share);
  }
  return parts;
}

absl::StatusOr<SplitReply> answer(const PartitionView& view, const SplitRequest& request,
                                  const ResponderLimits& limits) {
  GRAPEVINE_RETURN_IF_ERROR(check_count("ranges", request.ranges.size(), limits.ranges_max));
  SplitReply reply;
  for (const model::TokenRange& range : request.ranges) {
    GRAPEVINE_RETURN_IF_ERROR(check_range(view, range));
    if (range.size_bits() < RangeDescent::kSplitBits || !has_equal_parts(range)) {
      return absl::InvalidArgumentError("request of a peer: a range that has not 16 equal parts");
    }
    reply.parts.push_back(parts_of(view, range));
  }
  return reply;
}

absl::StatusOr<PullReply> answer(const PartitionView& view, const PullRequest& request,
                                 const ResponderLimits& limits) {
  GRAPEVINE_RETURN_IF_ERROR(check_range(view, request.range));
  GRAPEVINE_RETURN_IF_ERROR(check_count("items", request.items.size(), limits.items_max));
  const auto by_hash = [](const Item& a, const Item& b) { return a.key_hash < b.key_hash; };
  if (!std::is_sorted(request.items.begin(), request.items.end(), by_hash)) {
    return absl::InvalidArgumentError("request of a peer: items out of order");
  }
  PullReply reply;
  std::vector<bool> met(request.items.size());
  const bool first_answer = !request.after_key.has_value();
  std::optional<std::string> after = request.after_key;
  std::size_t bytes = 0;
  bool full = false;
  constexpr std::size_t kPage = 1024;
  for (bool more = true; more;) {
    GRAPEVINE_ASSIGN_OR_RETURN(const auto items, view.items(request.range, kPage, after));
    more = items.size() == kPage;
    for (const Item& item : items) {
      const auto known =
          std::lower_bound(request.items.begin(), request.items.end(), item, by_hash);
      const bool held = known != request.items.end() && known->key_hash == item.key_hash;
      if (held) met[static_cast<std::size_t>(known - request.items.begin())] = true;
      if (full || (held && known->digest == item.digest && !item.unquiet)) continue;
      GRAPEVINE_ASSIGN_OR_RETURN(auto entry, view.load(item.key));
      reply.entries.push_back({item.key, std::move(entry), {}});
      bytes += wire_bytes(reply.entries.back());
      if (bytes >= limits.reply_bytes_max || reply.entries.size() >= limits.reply_keys_max) {
        full = true;
        reply.resume_after = item.key;
      }
    }
    if (items.empty()) break;
    after = items.back().key;
    // What the peer holds and the view does not shows only when all has been looked at.
    if (full && (!first_answer || request.items.empty())) break;
  }
  if (first_answer) {
    for (std::size_t i = 0; i < met.size(); ++i) {
      if (!met[i]) reply.absent.push_back(request.items[i].key_hash);
    }
  }
  return reply;
}

absl::StatusOr<FetchReply> answer(const PartitionView& view, const FetchRequest& request,
                                  const ResponderLimits& limits) {
  GRAPEVINE_RETURN_IF_ERROR(check_count("keys", request.keys.size(), limits.keys_max));
  FetchReply reply;
  std::size_t bytes = 0;
  for (const std::string& key : request.keys) {
    if (bytes >= limits.reply_bytes_max) break;
    if (!view.range().contains(model::token_of(key))) {
      return absl::InvalidArgumentError("request of a peer: a key that is not of the partition");
    }
    GRAPEVINE_ASSIGN_OR_RETURN(auto entry, view.load(key));
    reply.entries.push_back({key, std::move(entry), {}});
    bytes += wire_bytes(reply.entries.back());
  }
  return reply;
}

absl::StatusOr<SketchReply> answer(const Replica& replica, const SketchRequest& request,
                                   const ResponderLimits& limits) {
  GRAPEVINE_ASSIGN_OR_RETURN(const auto slots, slots_of(replica, request, limits));
  return answer(replica, request, slots, limits);
}

absl::StatusOr<SketchReply> answer(const Replica& replica, const SketchRequest& request,
                                   const std::optional<std::vector<model::Slot>>& slots,
                                   const ResponderLimits& limits) {
  SketchReply reply;
  reply.decoded = slots.has_value();
  if (!reply.decoded) return reply;
  for (const PartitionId partition : request.partitions) {
    reply.states.push_back(state_of(replica, partition));
  }
  if (hash_states(reply.states) == request.states_hash) reply.states.clear();
  std::size_t bytes = 0;
  for (const model::Slot slot : *slots) {
    if (bytes >= limits.reply_bytes_max || reply.entries.size() >= limits.reply_keys_max) {
      reply.left.push_back(slot);
      continue;
    }
    const model::TokenRange tokens = model::tokens_of(slot);
    const PartitionView& view = *view_of(replica, request.partitions, tokens.first);
    GRAPEVINE_ASSIGN_OR_RETURN(const auto items,
                               view.items(tokens, kSlotKeysMax + 1, std::nullopt));
    if (items.empty()) {
      reply.absent.push_back(slot);
    } else if (items.size() > kSlotKeysMax) {
      reply.crowded.push_back(slot);
    } else {
      for (const Item& item : items) {
        GRAPEVINE_ASSIGN_OR_RETURN(auto entry, view.load(item.key));
        reply.entries.push_back({item.key, std::move(entry), {}});
        bytes += wire_bytes(reply.entries.back());
      }
    }
  }
  return reply;
}

absl::StatusOr<Judgement> judge(const Replica& replica, const std::vector<PartitionId>& partitions,
                                const CompareRequest& request, const ResponderLimits& limits) {
  Judgement judgement;
  if (summarize(replica, partitions) == request.summary) {
    judgement.verdict = CompareVerdict::kEqual;
    return judgement;
  }
  const std::uint64_t mine = dots_known(replica, partitions);
  const bool they_lack = request.dots < mine;
  judgement.dots_apart = they_lack ? mine - request.dots : request.dots - mine;
  if (judgement.dots_apart == 0) return judgement;
  SketchRequest sketch;
  sketch.partitions = partitions;
  sketch.cells = request.cells;
  sketch.slots = request.slots;
  GRAPEVINE_ASSIGN_OR_RETURN(auto slots, slots_of(replica, sketch, limits));
  const bool few = judgement.dots_apart <= few_keys(partitions.size());
  if (slots.has_value() && !slots->empty()) {
    judgement.verdict = they_lack ? CompareVerdict::kEntries : CompareVerdict::kPulling;
    judgement.slots = *std::move(slots);
  } else if (!slots.has_value() && few) {
    judgement.verdict = they_lack ? CompareVerdict::kTooFewCells : CompareVerdict::kPulling;
  }
  return judgement;
}

absl::StatusOr<CompareReply> answer(const Replica& replica,
                                    const std::vector<PartitionId>& partitions,
                                    const Judgement& judgement, const ResponderLimits& limits) {
  CompareReply reply;
  reply.verdict = judgement.verdict;
  switch (judgement.verdict) {
    case CompareVerdict::kEqual:
    case CompareVerdict::kPulling: break;
    case CompareVerdict::kTooFewCells:
      reply.dots = dots_known(replica, partitions);
      reply.probes = model::probes_of(sketches_of(replica, partitions));
      break;
    case CompareVerdict::kUnlike: reply.fingerprints = fingerprints_of(replica, partitions); break;
    case CompareVerdict::kEntries: {
      reply.summary = summarize(replica, partitions);
      std::size_t bytes = 0;
      for (const model::Slot slot : judgement.slots) {
        if (bytes >= limits.reply_bytes_max || reply.entries.size() >= limits.reply_keys_max) {
          reply.left.push_back(slot);
          continue;
        }
        const model::TokenRange tokens = model::tokens_of(slot);
        const auto partition = partition_of(replica, partitions, tokens.first);
        if (!partition.has_value()) continue;
        const PartitionView& view = replica.live(*partition);
        GRAPEVINE_ASSIGN_OR_RETURN(const auto items,
                                   view.items(tokens, kSlotKeysMax + 1, std::nullopt));
        if (items.size() > kSlotKeysMax) continue;
        for (const Item& item : items) {
          GRAPEVINE_ASSIGN_OR_RETURN(auto entry, view.load(item.key));
          if (in_flight(replica, *partition, entry, limits)) {
            ++reply.in_flight;
            continue;
          }
          reply.entries.push_back({item.key, std::move(entry), {}});
          bytes += wire_bytes(reply.entries.back());
        }
      }
      break;
    }
  }
  return reply;
}

std::vector<model::TokenRange> ranges_of(const std::vector<model::Slot>& slots) {
  std::vector<model::TokenRange> ranges;
  ranges.reserve(slots.size());
  for (const model::Slot slot : slots) ranges.push_back(model::tokens_of(slot));
  return ranges;
}

std::size_t wire_bytes(const KeyedEntry& keyed) {
  std::size_t bytes =
      keyed.key.size() + 16 * (keyed.entry.vector.items().size() + keyed.events.size()) + 64;
  for (const model::Version& version : keyed.entry.versions) bytes += version.value.size() + 64;
  return bytes;
}

}  // namespace grapevine::gossip
