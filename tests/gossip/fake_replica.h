// A replica on plain maps, behind gossip's ports: the rules R1 to R3 and R7 to R9 as one would say
// them, on the real clock, entries and digest tree. What a test may do to it that a store does to
// itself: evict the dot log, fall back, lose entries.
// It keeps a ghost, too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossip/replica.h"
#include "storage/base/random.h"
#include "storage/model/digest_tree.h"
#include "tests/gossip/ghost.h"

namespace grapevine::gossip {

// Ways to get it wrong, to prove that a test would notice.
enum class Flaw {
  kNone,
  kHidesUnquiet,  // says that all its entries are quiet: they are not pulled before its clock is adopted
  kForgetsGained,  // names no dots that it gained during an exchange: they are not pulled once more
  kTrustsVectors,  // adds to its clock whatever an entry's vector covers
  kJoinsUnfilled,  // joins what comes with the entry as it is stored
  kClosesUnheard,  // closes what has ended without hearing the others
  kTakesLateMail,  // takes what an actor replicates that has ended
};

// All that one partition holds. Value.
struct FakePartition {
  using Place = std::pair<model::Token, std::string>;
  struct Logged {
    std::string key;
    bool young = true;  // its direct replication may still be under way
  };

  explicit FakePartition(model::TokenRange its_range)
      : range(its_range), tree(its_range), sketch(kSketchCells) {}

  static constexpr std::size_t kSketchCells = 64;

  model::TokenRange range;
  model::Clock clock;
  std::map<Place, model::Entry> stored;  // stripped
  model::DigestTree tree;
  model::Sketch sketch;
  std::map<model::Dot, Logged> log;
  ReachedByKey reached;
};

class FakeView final : public GhostlyView {
 public:
  FakeView(const FakePartition& live, const std::set<std::string>& unreadable, Flaw flaw)
      : state_(live), unreadable_(unreadable), flaw_(flaw) {}
  FakeView(std::unique_ptr<FakePartition> frozen, const std::set<std::string>& unreadable,
           Flaw flaw)
      : owned_(std::move(frozen)), state_(*owned_), unreadable_(unreadable), flaw_(flaw) {}

  const model::Clock& clock() const override { return state_.clock; }
  const model::TokenRange& range() const override { return state_.range; }
  std::optional<model::DigestShare> share(const model::TokenRange& range) const override;
  const model::Sketch* sketch() const override {
    return owned_ == nullptr ? &state_.sketch : nullptr;
  }
  absl::StatusOr<std::vector<Item>> items(
      const model::TokenRange& range, std::size_t limit,
      const std::optional<std::string>& after_key) const override;
  absl::StatusOr<model::Entry> load(std::string_view key) const override;

  const ReachedByKey& reached() const override { return state_.reached; }

 private:
  std::unique_ptr<FakePartition> owned_;
  const FakePartition& state_;
  const std::set<std::string>& unreadable_;
  Flaw flaw_;
};

class FakeReplica final : public GhostlyReplica {
 public:
  explicit FakeReplica(NodeId node, std::uint32_t partitions = 1, Flaw flaw = Flaw::kNone);
  FakeReplica(const FakeReplica&) = delete;
  FakeReplica& operator=(const FakeReplica&) = delete;

  const PartitionView& live(PartitionId partition) const override;
  std::unique_ptr<PartitionView> freeze(PartitionId partition) const override;
  NamedDots name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                      bool with_young, std::size_t limit) const override;
  bool reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const override;
  bool names_none(PartitionId id) const override { return partition(id).log.empty(); }
  std::uint64_t digest(std::string_view key, const model::Entry& entry) const override;
  absl::Status merge(PartitionId partition, std::vector<KeyedEntry> entries) override;
  absl::Status adopt(PartitionId partition, const model::Clock& clock) override;
  absl::Status close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) override;

  // R1. A writer without a context has seen what this replica knows. Returns what is to be
  // replicated.
  KeyedEntry put(std::string_view key, std::string_view value,
                 const std::optional<model::VersionVector>& context = std::nullopt);
  KeyedEntry remove(std::string_view key,
                    const std::optional<model::VersionVector>& context = std::nullopt);
  model::Entry load(std::string_view key) const;                // filled
  std::vector<std::string> values(std::string_view key) const;  // of the live versions, sorted

  ActorId actor() const { return ActorId::of(node_, epoch_); }
  NodeId node() const { return node_; }
  PartitionId partition_of(std::string_view key) const { return partitioning_.of(key); }
  std::vector<PartitionId> partitions() const override;
  const FakePartition& partition(PartitionId id) const { return partitions_[id.value]; }
  bool quiet() const;
  std::size_t tombstones() const;  // stored entries without live versions

  // What time brings.
  void settle();                             // no logged dot is young any more
  void evict(Random& random, double share);  // so much of the dot log is forgotten
  void strip_all();                          // upkeep
  void deepen_tree();                        // as deep as the number of keys asks for

  // What may befall it.
  using Copy = std::vector<FakePartition>;
  Copy copy() const { return partitions_; }
  void restore(const Copy& copy);                // falls back to an older state, under a new actor
  void lose(const std::set<std::string>& keys);  // R9: entries are gone, and it has noticed
  void rot(std::string_view key);                // an entry is gone, and it has not noticed
  std::set<std::string> unreadable;              // keys whose entries cannot be read
  absl::Status merge_status;                     // what becomes of every merge; OK: it is done

  ReachedByKey reached(PartitionId id) const override { return partition(id).reached; }
  void arriving(std::shared_ptr<const ReachedByKey> reached) override {
    arriving_ = std::move(reached);
  }
  absl::Status add_up(PartitionId) override {
    return rotten_ ? absl::DataLossError("what is stored is not what the digests say")
                   : absl::OkStatus();
  }
  void reach(std::string_view key, const Reached& events);

 private:
  KeyedEntry write(std::string_view key, const std::optional<std::string>& value,
                   const std::optional<model::VersionVector>& context);
  void save(FakePartition& partition, const std::string& key, model::Entry entry);
  absl::Status merge_one(FakePartition& partition, KeyedEntry received);
  FakePartition& of(std::string_view key) { return partitions_[partition_of(key).value]; }

  const NodeId node_;
  const model::Partitioning partitioning_;
  const Flaw flaw_;
  std::uint64_t epoch_ = 1;
  std::vector<FakePartition> partitions_;
  std::vector<std::unique_ptr<FakeView>> live_;
  std::shared_ptr<const ReachedByKey> arriving_;
  bool rotten_ = false;
};

}  // namespace grapevine::gossip
