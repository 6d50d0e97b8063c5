#include "server/store_replica.h"

#include <utility>

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
    const std::vector<model::KeyedEntry>& entries) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin());
  for (const model::KeyedEntry& entry : entries) {
    GRAPEVINE_RETURN_IF_ERROR(batch->receive(entry));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(const auto committed, store_.commit(std::move(batch)));
  return committed.number;
}

absl::StatusOr<storage::CommitNumber> StoreReplica::receive(
    const std::vector<model::KeyedEntry>& entries) {
  auto received = receive_once(entries);
  if (!absl::IsFailedPrecondition(received.status())) return received;
  GRAPEVINE_RETURN_IF_ERROR(on_forgotten_dots_());
  return receive_once(entries);
}

absl::Status StoreReplica::merge(PartitionId partition, std::vector<model::KeyedEntry> entries) {
  for (const model::KeyedEntry& entry : entries) {
    if (store_.partitioning().of(entry.key) != partition) {
      return absl::InvalidArgumentError("entry of a peer: its key is not of this partition");
    }
  }
  return receive(entries).status();
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
