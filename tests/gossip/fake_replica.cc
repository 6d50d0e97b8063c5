#include "tests/gossip/fake_replica.h"

#include <algorithm>
#include <utility>

namespace grapevine::gossip {
namespace {

const model::Digester kDigester{7};

FakePartition::Place place_of(std::string_view key) {
  return {model::token_of(key), std::string(key)};
}

}  // namespace

// ---- a view ----

std::optional<model::DigestShare> FakeView::share(const model::TokenRange& range) const {
  if (!state_.tree.resolves(range)) return std::nullopt;
  model::DigestShare share = state_.tree.range(range);
  if (flaw_ == Flaw::kHidesUnquiet) share.unquiet = 0;
  return share;
}

absl::StatusOr<std::vector<Item>> FakeView::items(
    const model::TokenRange& range, std::size_t limit,
    const std::optional<std::string>& after_key) const {
  std::vector<Item> items;
  const FakePartition::Place first{range.first, ""};
  auto at = state_.stored.lower_bound(first);
  if (after_key.has_value() && place_of(*after_key) >= first) {
    at = state_.stored.upper_bound(place_of(*after_key));
  }
  for (; at != state_.stored.end() && at->first.first <= range.last; ++at) {
    if (items.size() == limit) break;
    const auto& [place, entry] = *at;
    items.push_back({place.second, kDigester.key_hash(place.second),
                     kDigester.digest(place.second, entry).low,
                     flaw_ != Flaw::kHidesUnquiet && !entry.quiet()});
  }
  return items;
}

absl::StatusOr<model::Entry> FakeView::load(std::string_view key) const {
  if (unreadable_.contains(std::string(key))) return absl::DataLossError("entry cannot be read");
  const auto found = state_.stored.find(place_of(key));
  model::Entry entry = found == state_.stored.end() ? model::Entry{} : found->second;
  model::fill(entry, state_.clock);
  return entry;
}

// ---- the ports ----

FakeReplica::FakeReplica(NodeId node, std::uint32_t partitions, Flaw flaw)
    : node_(node), partitioning_(partitions), flaw_(flaw) {
  for (std::uint32_t i = 0; i < partitions; ++i) {
    partitions_.emplace_back(partitioning_.range(PartitionId{i}));
  }
  for (const FakePartition& partition : partitions_) {
    live_.push_back(std::make_unique<FakeView>(partition, unreadable, flaw_));
  }
}

const PartitionView& FakeReplica::live(PartitionId partition) const {
  return *live_.at(partition.value);
}

std::unique_ptr<PartitionView> FakeReplica::freeze(PartitionId partition) const {
  return std::make_unique<FakeView>(
      std::make_unique<FakePartition>(partitions_.at(partition.value)), unreadable, flaw_);
}

Replica::NamedDots FakeReplica::name_dots(PartitionId partition,
                                          const std::vector<model::DotRange>& dots, bool with_young,
                                          std::size_t limit) const {
  NamedDots answer;
  if (flaw_ == Flaw::kForgetsGained && with_young) return answer;
  const FakePartition& mine = partitions_.at(partition.value);
  for (const model::DotRange& range : dots) {
    if (range.closes()) {
      answer.complete = false;
      return answer;
    }
    for (std::uint64_t counter = range.first; counter <= range.last; ++counter) {
      const auto logged = mine.log.find({range.actor, counter});
      if (logged == mine.log.end()) {
        answer.complete = false;
        return answer;
      }
      if (logged->second.young && !with_young) {
        ++answer.in_flight;
      } else if (answer.named.size() < limit) {
        answer.named.push_back({logged->first, logged->second.key});
      } else {
        return answer;
      }
    }
  }
  return answer;
}

bool FakeReplica::reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const {
  const FakePartition& mine = partitions_.at(partition.value);
  for (const model::DotRange& range : dots) {
    if (range.closes()) return false;
    for (std::uint64_t counter = range.first; counter <= range.last; ++counter) {
      if (!mine.log.contains({range.actor, counter})) return false;
    }
  }
  return true;
}

std::uint64_t FakeReplica::digest(std::string_view key, const model::Entry& entry) const {
  return kDigester.digest(key, entry).low;
}

absl::Status FakeReplica::merge(PartitionId partition, std::vector<KeyedEntry> entries) {
  GRAPEVINE_RETURN_IF_ERROR(merge_status);
  for (KeyedEntry& received : entries) {
    if (partition_of(received.key) != partition) {
      return absl::InvalidArgumentError("entry of a peer: its key is not of this partition");
    }
    GRAPEVINE_RETURN_IF_ERROR(merge_one(partitions_.at(partition.value), std::move(received)));
  }
  return absl::OkStatus();
}

// R3.
absl::Status FakeReplica::merge_one(FakePartition& partition, KeyedEntry received) {
  if (received.entry.vector.of(actor()) > partition.clock.top(actor())) {
    return absl::FailedPreconditionError("a peer has seen a write that this actor has not made");
  }
  for (const model::Version& version : received.entry.versions) {
    received.events.push_back(version.dot);
  }
  for (const model::Dot dot : received.events) {
    if (!received.entry.vector.covers(dot)) {
      return absl::InvalidArgumentError("entry of a peer: its vector does not cover its own event");
    }
  }
  if (arriving_ != nullptr) {
    const auto ghost = arriving_->find(received.key);
    if (ghost != arriving_->end()) partition.reached[received.key] |= ghost->second;
  }
  model::Entry local;
  const auto found = partition.stored.find(place_of(received.key));
  if (found != partition.stored.end()) local = found->second;
  if (flaw_ != Flaw::kJoinsUnfilled) model::fill(local, partition.clock);
  model::Entry joined = model::join(std::move(local), received.entry);
  for (const model::Dot dot : received.events) {
    if (partition.clock.add(dot))
      partition.log.try_emplace(dot, FakePartition::Logged{received.key});
  }
  if (flaw_ == Flaw::kTrustsVectors) {
    for (const auto& [actor, counter] : received.entry.vector.items()) {
      partition.clock.add(model::DotRange{actor, 1, counter});
    }
  }
  save(partition, received.key, std::move(joined));
  return absl::OkStatus();
}

absl::Status FakeReplica::adopt(PartitionId id, const model::Clock& clock) {
  GRAPEVINE_RETURN_IF_ERROR(merge_status);
  FakePartition& partition = partitions_.at(id.value);
  if (clock.top(actor()) > partition.clock.top(actor())) {
    return absl::FailedPreconditionError("a peer's clock knows more of this actor than itself");
  }
  partition.clock.merge(clock);
  if (arriving_ != nullptr) {
    for (const auto& [key, events] : *arriving_) {
      if (partition_of(key) == id) partition.reached[key] |= events;
    }
  }
  return absl::OkStatus();
}

// R8.
absl::Status FakeReplica::close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) {
  if (node == node_ && epoch >= epoch_) {
    return absl::FailedPreconditionError("that would close this replica's own actor");
  }
  partitions_.at(partition.value).clock.close(node, epoch);
  return absl::OkStatus();
}

// Strips and stores, and keeps the tree true.
void FakeReplica::save(FakePartition& partition, const std::string& key, model::Entry entry) {
  const FakePartition::Place place = place_of(key);
  model::DigestShare before;
  const auto found = partition.stored.find(place);
  if (found != partition.stored.end()) before = model::share_of(kDigester, key, found->second);
  model::strip(entry, partition.clock);
  const model::DigestShare after = model::share_of(kDigester, key, entry);
  partition.tree.change(place.first, before, after);
  partition.sketch.change(place.first, before.sum, after.sum);
  if (entry.void_of_all()) {
    partition.stored.erase(place);
  } else {
    partition.stored[place] = std::move(entry);
  }
}

// ---- users ----

// R1.
KeyedEntry FakeReplica::write(std::string_view key, const std::optional<std::string>& value,
                              const std::optional<model::VersionVector>& context) {
  FakePartition& partition = of(key);
  model::Entry entry = load(key);
  const model::VersionVector seen = context.value_or(entry.vector);
  entry.versions.erase(
      std::remove_if(entry.versions.begin(), entry.versions.end(),
                     [&](const auto& version) { return seen.covers(version.dot); }),
      entry.versions.end());
  entry.vector.raise(seen);
  const model::Dot dot{actor(), partition.clock.top(actor()) + 1};
  if (value.has_value()) {
    model::Version version;
    version.dot = dot;
    version.checksum = model::value_checksum(*value);
    version.value_bytes = value->size();
    version.value = *value;
    entry.insert(std::move(version));
  }
  entry.vector.raise(dot);
  partition.clock.add(dot);
  partition.log.try_emplace(dot, FakePartition::Logged{std::string(key)});
  save(partition, std::string(key), entry);
  return {std::string(key), std::move(entry), {dot}};
}

KeyedEntry FakeReplica::put(std::string_view key, std::string_view value,
                            const std::optional<model::VersionVector>& context) {
  return write(key, std::string(value), context);
}

KeyedEntry FakeReplica::remove(std::string_view key,
                               const std::optional<model::VersionVector>& context) {
  return write(key, std::nullopt, context);
}

model::Entry FakeReplica::load(std::string_view key) const {
  return *live(partition_of(key)).load(key);
}

std::vector<std::string> FakeReplica::values(std::string_view key) const {
  std::vector<std::string> values;
  for (const model::Version& version : load(key).versions) values.push_back(version.value);
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<PartitionId> FakeReplica::partitions() const {
  std::vector<PartitionId> ids;
  for (std::uint32_t i = 0; i < partitions_.size(); ++i) ids.push_back({i});
  return ids;
}

bool FakeReplica::quiet() const {
  return std::all_of(partitions_.begin(), partitions_.end(), [](const FakePartition& partition) {
    return partition.tree.root().unquiet == 0;
  });
}

std::size_t FakeReplica::tombstones() const {
  std::size_t count = 0;
  for (const FakePartition& partition : partitions_) {
    for (const auto& [place, entry] : partition.stored) count += entry.versions.empty() ? 1U : 0U;
  }
  return count;
}

void FakeReplica::reach(std::string_view key, const Reached& events) {
  of(key).reached[std::string(key)] |= events;
}

// ---- time and misfortune ----

void FakeReplica::settle() {
  for (FakePartition& partition : partitions_) {
    for (auto& [dot, logged] : partition.log) logged.young = false;
  }
}

void FakeReplica::evict(Random& random, double share) {
  for (FakePartition& partition : partitions_) {
    std::erase_if(partition.log, [&](const auto&) { return random.chance(share); });
  }
}

void FakeReplica::strip_all() {
  for (FakePartition& partition : partitions_) {
    const auto stored = partition.stored;
    for (const auto& [place, entry] : stored) {
      if (!entry.quiet()) save(partition, place.second, entry);
    }
  }
}

void FakeReplica::deepen_tree() {
  for (FakePartition& partition : partitions_) {
    std::vector<std::pair<model::Token, model::DigestShare>> shares;
    for (const auto& [place, entry] : partition.stored) {
      shares.emplace_back(place.first, model::share_of(kDigester, place.second, entry));
    }
    partition.tree = model::DigestTree::build(partition.range, shares);
  }
}

void FakeReplica::restore(const Copy& copy) {
  // In place: the live views stay valid.
  std::copy(copy.begin(), copy.end(), partitions_.begin());
  for (FakePartition& partition : partitions_) partition.log.clear();
  ++epoch_;
}

void FakeReplica::lose(const std::set<std::string>& keys) {
  for (FakePartition& partition : partitions_) {
    const FakePartition before = partition;
    partition = FakePartition(before.range);
    for (const auto& [place, entry] : before.stored) {
      if (keys.contains(place.second)) continue;
      for (const model::Version& version : entry.versions) partition.clock.add(version.dot);
    }
    for (const auto& [place, entry] : before.stored) {
      if (keys.contains(place.second)) continue;
      model::Entry filled = entry;
      model::fill(filled, before.clock);
      save(partition, place.second, std::move(filled));
      const auto ghost = before.reached.find(place.second);
      if (ghost != before.reached.end()) partition.reached.insert(*ghost);
    }
  }
  ++epoch_;
}

void FakeReplica::rot(std::string_view key) {
  FakePartition& partition = of(key);
  save(partition, std::string(key), model::Entry{});
  rotten_ = true;
}

}  // namespace grapevine::gossip
