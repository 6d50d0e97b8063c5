// The answers that go by sketches.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gossip/comparison.h"
#include "gossip/partition_states.h"
#include "gossip/request_checks.h"
#include "gossip/responder.h"
#include "gossip/states_codec.h"

namespace grapevine::gossip {
namespace {

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

}  // namespace grapevine::gossip
