#include "server/store_replica.h"

#include <algorithm>
#include <utility>

#include "gossip/range_descent.h"
#include "gossip/responder.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {

std::optional<model::DigestShare> StoreView::share(const model::TokenRange& range) const {
  if (!view_.tree().resolves(range)) return std::nullopt;
  return view_.tree().range(range);
}

absl::StatusOr<std::vector<model::Item>> StoreView::items(
    const model::TokenRange& range, std::size_t limit,
    const std::optional<std::string>& after_key) const {
  return view_.items(range, limit, after_key);
}

absl::StatusOr<model::Entry> StoreView::load(std::string_view key) const {
  GRAPEVINE_ASSIGN_OR_RETURN(auto entry, view_.load(key, model::Values::kWith));
  if (GRAPEVINE_FLAW(sends_unfilled)) {
    model::strip(entry, clock());
    model::fill(entry, model::Clock{});
  }
  return entry;
}

StoreReplica::StoreReplica(storage::Store& store, std::function<absl::Status()> on_forgotten_dots)
    : store_(store), on_forgotten_dots_(std::move(on_forgotten_dots)) {
  for (std::uint32_t i = 0; i < store_.partitioning().count(); ++i) {
    live_.push_back(std::make_unique<StoreView>(store_.live(PartitionId{i})));
  }
}

std::unique_ptr<gossip::PartitionView> StoreReplica::freeze(PartitionId partition) const {
  return std::make_unique<StoreView>(store_.freeze(partition));
}

gossip::Replica::NamedDots StoreReplica::name_dots(PartitionId partition,
                                                   const std::vector<model::DotRange>& dots,
                                                   bool with_young, std::size_t limit) const {
  storage::NamedDots found = store_.name_dots(partition, dots, with_young, limit);
  NamedDots named;
  named.in_flight = found.in_flight;
  named.complete = found.complete;
  named.named.reserve(found.named.size());
  for (auto& [dot, key] : found.named) named.named.push_back({dot, std::move(key)});
  return named;
}

absl::StatusOr<storage::CommitNumber> StoreReplica::receive_once(
    const std::vector<model::KeyedEntry>& entries, storage::Reach reach) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin(reach));
  for (const model::KeyedEntry& entry : entries) {
    GRAPEVINE_RETURN_IF_ERROR(batch->receive(entry));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(const auto committed, store_.commit(std::move(batch)));
  return committed.number;
}

absl::StatusOr<storage::CommitNumber> StoreReplica::receive(
    const std::vector<model::KeyedEntry>& entries, storage::Reach reach) {
  auto received = receive_once(entries, reach);
  if (!absl::IsFailedPrecondition(received.status())) return received;
  GRAPEVINE_RETURN_IF_ERROR(on_forgotten_dots_());
  return receive_once(entries, reach);
}

namespace {

void add_keys(const std::vector<model::KeyedEntry>& entries, std::vector<std::string>& keys) {
  for (const model::KeyedEntry& keyed : entries) keys.push_back(keyed.key);
}

// The leaves that a pull lists next: it descends in the same way.
void add_leaves(gossip::RangeDescent& descent, std::vector<model::TokenRange>& ranges) {
  for (const auto& leaf : descent.take_leaves()) ranges.push_back(leaf.range);
}

}  // namespace

void StoreReplica::warm_for(std::optional<PartitionId> partition,
                            const gossip::ExchangeRequest& request,
                            const gossip::ExchangeReply& reply, std::function<void()> done) {
  using gossip::RangeDescent;
  constexpr auto kUnquiet = RangeDescent::Unquiet::kOnTheRight;
  std::vector<std::string> keys;
  std::vector<model::TokenRange> ranges;
  if (const auto* delta = std::get_if<gossip::DeltaReply>(&reply)) {
    add_keys(delta->entries, keys);
  } else if (const auto* pull = std::get_if<gossip::PullReply>(&reply)) {
    add_keys(pull->entries, keys);
  } else if (const auto* fetch = std::get_if<gossip::FetchReply>(&reply)) {
    add_keys(fetch->entries, keys);
  } else if (const auto* compared = std::get_if<gossip::CompareReply>(&reply)) {
    add_keys(compared->entries, keys);
  } else if (const auto* sketch = std::get_if<gossip::SketchReply>(&reply)) {
    for (const model::KeyedEntry& keyed : sketch->entries) {
      ranges.push_back(model::tokens_of(model::slot_of(model::token_of(keyed.key))));
    }
    for (const model::Slot slot : sketch->absent) ranges.push_back(model::tokens_of(slot));
  } else if (const auto* opened = std::get_if<gossip::OpenViewReply>(&reply)) {
    if (partition.has_value()) {
      const gossip::PartitionView& mine = live(*partition);
      RangeDescent descent(mine.range(), *mine.share(mine.range()), opened->state.root, kUnquiet);
      add_leaves(descent, ranges);
    }
  } else if (const auto* split = std::get_if<gossip::SplitReply>(&reply)) {
    const auto& asked = std::get<gossip::SplitRequest>(request).ranges;
    for (std::size_t i = 0; partition.has_value() && i < asked.size() && i < split->parts.size();
         ++i) {
      const std::vector<model::DigestShare> mine = gossip::parts_of(live(*partition), asked[i]);
      if (mine.size() != split->parts[i].size()) {
        ranges.push_back(asked[i]);
        continue;
      }
      for (std::uint32_t part = 0; part < mine.size(); ++part) {
        RangeDescent descent(asked[i].part(part, RangeDescent::kSplitBits), mine[part],
                             split->parts[i][part], kUnquiet);
        add_leaves(descent, ranges);
      }
    }
  }
  if (!keys.empty()) {
    store_.warm(std::move(keys), std::move(done));
  } else if (!ranges.empty()) {
    std::sort(ranges.begin(), ranges.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    store_.warm(std::move(ranges), std::nullopt, kWarmedKeysMax, std::move(done));
  } else {
    done();
  }
}

absl::Status StoreReplica::merge(PartitionId partition, std::vector<model::KeyedEntry> entries) {
  for (const model::KeyedEntry& entry : entries) {
    if (store_.partitioning().of(entry.key) != partition) {
      return absl::InvalidArgumentError("entry of a peer: its key is not of this partition");
    }
  }
  return receive(entries, storage::Reach::kDisk).status();
}

absl::Status StoreReplica::adopt(PartitionId partition, const model::Clock& clock) {
  const auto once = [&]() -> absl::Status {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin());
    GRAPEVINE_RETURN_IF_ERROR(batch->adopt(partition, clock));
    return store_.commit(std::move(batch)).status();
  };
  absl::Status status = once();
  if (absl::IsFailedPrecondition(status) && on_forgotten_dots_().ok()) status = once();
  return status;
}

absl::Status StoreReplica::close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin());
  GRAPEVINE_RETURN_IF_ERROR(batch->close(partition, node, epoch));
  return store_.commit(std::move(batch)).status();
}

}  // namespace grapevine::server
