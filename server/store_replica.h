// The store behind anti-entropy's ports.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossip/messages.h"
#include "gossip/replica.h"
#include "storage/store.h"

namespace grapevine::server {

// A storage view, borrowed (live) or owned (frozen), as an exchange sees it.
class StoreView final : public gossip::PartitionView {
 public:
  explicit StoreView(const storage::View& live) : view_(live) {}
  explicit StoreView(std::unique_ptr<storage::View> frozen)
      : owned_(std::move(frozen)), view_(*owned_) {}

  const model::Clock& clock() const override { return view_.clock(); }
  const model::TokenRange& range() const override { return view_.range(); }
  std::optional<model::DigestShare> share(const model::TokenRange& range) const override;
  const model::Sketch* sketch() const override { return view_.sketch(); }
  absl::StatusOr<std::vector<model::Item>> items(
      const model::TokenRange& range, std::size_t limit,
      const std::optional<std::string>& after_key) const override;
  absl::StatusOr<model::Entry> load(std::string_view key) const override;

 private:
  std::unique_ptr<storage::View> owned_;
  const storage::View& view_;
};

// Loop thread; the store must outlive it. What gossip's machines read here and find neither in memory
// nor warmed before waits for the disk.
class StoreReplica final : public gossip::Replica {
 public:
  // `on_forgotten_dots` is called when a peer has seen writes of this node's actor that the store
  // does not remember (R7): it renews the actor.
  StoreReplica(storage::Store& store, std::function<absl::Status()> on_forgotten_dots);

  const gossip::PartitionView& live(PartitionId partition) const override {
    return *live_[partition.value];
  }
  std::unique_ptr<gossip::PartitionView> freeze(PartitionId partition) const override;
  NamedDots name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                      bool with_young, std::size_t limit) const override;
  bool reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const override {
    return store_.reaches(partition, dots);
  }
  bool names_none(PartitionId partition) const override { return store_.names_none(partition); }
  std::uint64_t digest(std::string_view key, const model::Entry& entry) const override {
    return store_.digester().digest(key, entry).low;
  }
  // Joins entries of any partitions as one batch; the commit is to be waited for. Cold
  // (storage/waiting.h) when `reach` is too short, ResourceExhausted when the store is stalled:
  // nothing was stored.
  absl::StatusOr<storage::CommitNumber> receive(const std::vector<model::KeyedEntry>& entries,
                                                storage::Reach reach);
  // Brings into memory what a pull of `partition` will read when it is handed this reply, then calls
  // `done`; at once when that is nothing. Bounded by kWarmedKeysMax keys of listed ranges.
  void warm_for(std::optional<PartitionId> partition, const gossip::ExchangeRequest& request,
                const gossip::ExchangeReply& reply, std::function<void()> done);
  // R9, as Store has it.
  bool suspect(PartitionId partition) const { return store_.suspect(partition); }
  bool any_suspect() const { return store_.any_suspect(); }
  absl::Status trust_again(PartitionId partition) { return store_.trust_again(partition); }
  absl::Status merge(PartitionId partition, std::vector<model::KeyedEntry> entries) override;
  absl::Status adopt(PartitionId partition, const model::Clock& clock) override;
  absl::Status close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) override;

 private:
  static constexpr std::size_t kWarmedKeysMax = 20'000;

  absl::StatusOr<storage::CommitNumber> receive_once(const std::vector<model::KeyedEntry>& entries,
                                                     storage::Reach reach);

  storage::Store& store_;
  const std::function<absl::Status()> on_forgotten_dots_;
  std::vector<std::unique_ptr<StoreView>> live_;
};

}  // namespace grapevine::server
