#include "gossip/responder.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "gossip/partition_states.h"
#include "gossip/range_descent.h"
#include "gossip/request_checks.h"

namespace grapevine::gossip {
namespace {

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

}  // namespace

SummaryReply answer(const Replica& replica, const std::vector<PartitionId>& partitions,
                    const SummaryRequest& request) {
  SummaryReply reply;
  reply.equal = summarize(replica, partitions) == request;
  if (!reply.equal) reply.fingerprints = fingerprints_of(replica, partitions);
  return reply;
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

std::size_t wire_bytes(const KeyedEntry& keyed) {
  std::size_t bytes =
      keyed.key.size() + 16 * (keyed.entry.vector.items().size() + keyed.events.size()) + 64;
  for (const model::Version& version : keyed.entry.versions) bytes += version.value.size() + 64;
  return bytes;
}

}  // namespace grapevine::gossip
