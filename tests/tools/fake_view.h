// A replica of the whole token space in memory, as a ReplicaView, which counts what it is asked
// for.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/model/digest.h"
#include "storage/model/token.h"
#include "tools/replica_view.h"

namespace grapevine::tools {

class FakeView final : public ReplicaView {
 public:
  // Live versions by key: the counters of their dots, all of one actor. None: an entry that only
  // remembers a delete.
  using Content = std::map<std::string, std::vector<std::uint64_t>>;

  // Ranges of fewer than 2^resolved_bits tokens are not resolved.
  explicit FakeView(const Content& content, int resolved_bits = 40)
      : resolved_bits_(resolved_bits) {
    const model::Digester digester(7);
    for (const auto& [key, counters] : content) {
      model::Entry entry;
      for (const std::uint64_t counter : counters) {
        model::Version version;
        version.dot = {ActorId{1}, counter};
        version.value_bytes = counter;
        version.has_value = false;
        entry.insert(std::move(version));
      }
      if (counters.empty()) entry.vector.raise(ActorId{1}, 1);
      const model::DigestSum digest = digester.digest(key, entry);
      keys_[{model::token_of(key), key}] = {
          entry,
          {key, digester.key_hash(key), digest.low, counters.empty()},
          model::share_of(digester, key, entry)};
    }
    state_.root = share({});
  }

  const gossip::PartitionState& state() const override { return state_; }

  absl::StatusOr<std::vector<gossip::RangeDescent::Parts>> split(
      const std::vector<model::TokenRange>& ranges) override {
    splits += ranges.size();
    std::vector<gossip::RangeDescent::Parts> all;
    for (const auto& range : ranges) {
      gossip::RangeDescent::Parts parts;
      for (std::uint32_t i = 0; i < 16 && range.size_bits() - 4 >= resolved_bits_; ++i) {
        parts.push_back(share(range.part(i, 4)));
      }
      all.push_back(std::move(parts));
    }
    return all;
  }

  absl::StatusOr<std::vector<std::vector<model::Item>>> items(
      const std::vector<model::TokenRange>& ranges) override {
    std::vector<std::vector<model::Item>> all;
    for (const auto& range : ranges) {
      std::vector<model::Item> found;
      for (const auto& [place, key] : keys_) {
        if (range.contains(place.first)) found.push_back(key.item);
      }
      items_told += found.size();
      all.push_back(std::move(found));
    }
    return all;
  }

  absl::StatusOr<std::vector<model::KeyedEntry>> heads(
      const std::vector<std::string>& keys) override {
    std::vector<model::KeyedEntry> entries;
    for (const auto& key : keys) {
      const auto found = keys_.find({model::token_of(key), key});
      entries.push_back({key, found == keys_.end() ? model::Entry() : found->second.entry, {}});
    }
    return entries;
  }

  std::size_t splits = 0;
  std::size_t items_told = 0;

 private:
  struct Key {
    model::Entry entry;
    model::Item item;
    model::DigestShare share;
  };

  model::DigestShare share(const model::TokenRange& range) const {
    model::DigestShare sum;
    for (const auto& [place, key] : keys_) {
      if (range.contains(place.first)) sum += key.share;
    }
    return sum;
  }

  const int resolved_bits_;
  std::map<std::pair<model::Token, std::string>, Key> keys_;
  gossip::PartitionState state_;
};

}  // namespace grapevine::tools
