// The answering side of exchanges: functions over a replica, without state of their own.
//
// What arrives is hostile: ranges beyond the partition, unsorted lists and lists over a limit end
// in InvalidArgument. Answers are cut at reply_bytes_max; a single entry may be larger than that
// and then travels alone.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gossip/messages.h"
#include "gossip/replica.h"
#include "storage/base/status.h"

namespace grapevine::gossip {

struct ResponderLimits {
  std::size_t reply_bytes_max = std::size_t{1} << 20;
  std::size_t reply_keys_max = 10'000;
  std::size_t dot_ranges_max = 10'000;               // of one delta
  std::size_t ranges_max = 1024;                     // of one split
  std::size_t items_max = 1 << 20;                   // of one pull
  std::size_t keys_max = 10'000;                     // of one fetch
  std::size_t slots_max = model::Sketch::kCellsMax;  // of one sketch
  // Whether a call that carries the dot to the peer that asks waits for its answer: then it is in
  // flight however old, as behind a slow link. Empty: none is.
  std::function<bool(PartitionId, model::Dot)> on_its_way;
};

SummaryReply answer(const Replica& replica, const std::vector<PartitionId>& partitions,
                    const SummaryRequest& request);
// What is to be answered, before anything is read.
struct Judgement {
  CompareVerdict verdict = CompareVerdict::kUnlike;
  std::vector<model::Slot> slots;  // that differ: to be answered, or to be pulled
  std::uint64_t dots_apart = 0;
};
absl::StatusOr<Judgement> judge(const Replica& replica, const std::vector<PartitionId>& partitions,
                                const CompareRequest& request, const ResponderLimits& limits);
absl::StatusOr<CompareReply> answer(const Replica& replica,
                                    const std::vector<PartitionId>& partitions,
                                    const Judgement& judgement, const ResponderLimits& limits);

// `partitions`: those that are shared with the peer; others are left out.
StatesReply answer(const Replica& replica, const std::vector<PartitionId>& partitions,
                   const StatesRequest& request);

absl::StatusOr<DeltaReply> answer(const Replica& replica, const DeltaRequest& request,
                                  const ResponderLimits& limits);

// The keys whose entries the answer begins with, as far as the log reaches; nothing is read.
std::vector<std::string> keys_of(const Replica& replica, const DeltaRequest& request,
                                 const ResponderLimits& limits);

// A slot that holds more keys is compared by descent.
inline constexpr std::size_t kSlotKeysMax = 4;
// The slots that the request names, or that its cells give away; nullopt when these are too few. Nothing
// is read. Costs the decoding.
absl::StatusOr<std::optional<std::vector<model::Slot>>> slots_of(const Replica& replica,
                                                                 const SketchRequest& request,
                                                                 const ResponderLimits& limits);
// `slots`: of slots_of, now or a little earlier. What has changed since shows to the peer in the states.
absl::StatusOr<SketchReply> answer(const Replica& replica, const SketchRequest& request,
                                   const std::optional<std::vector<model::Slot>>& slots,
                                   const ResponderLimits& limits);
absl::StatusOr<SketchReply> answer(const Replica& replica, const SketchRequest& request,
                                   const ResponderLimits& limits);
// What the answer reads.
std::vector<model::TokenRange> ranges_of(const std::vector<model::Slot>& slots);

// Against a frozen view.
absl::StatusOr<SplitReply> answer(const PartitionView& view, const SplitRequest& request,
                                  const ResponderLimits& limits);
absl::StatusOr<PullReply> answer(const PartitionView& view, const PullRequest& request,
                                 const ResponderLimits& limits);
absl::StatusOr<FetchReply> answer(const PartitionView& view, const FetchRequest& request,
                                  const ResponderLimits& limits);

// The digests of the 16 parts of `range`, or none where the view's tree does not resolve them.
std::vector<model::DigestShare> parts_of(const PartitionView& view, const model::TokenRange& range);
// About how many bytes an entry takes on the wire.
std::size_t wire_bytes(const KeyedEntry& keyed);

}  // namespace grapevine::gossip
