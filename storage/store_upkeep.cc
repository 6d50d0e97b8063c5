// The work of a store that can wait for a quiet moment.
#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "storage/engine_rocksdb.h"
#include "storage/store.h"

namespace grapevine::storage {
namespace {

constexpr WallTime kNever{std::numeric_limits<std::int64_t>::max()};

bool wants_strip(const Partition& partition) {
  return partition.tree.root().unquiet > 0 &&
         (partition.strip_cursor > partition.tree.token_range().first ||
          partition.strip_after.has_value() ||
          partition.stripped_version != partition.clock_version);
}

bool wants_growth(const Partition& partition) {
  return partition.tree.growing() || partition.tree.wants_to_grow();
}

}  // namespace

absl::StatusOr<bool> Store::upkeep(std::size_t keys_budget) {
  if (const auto damage = engine_->damage(); damage.has_value() && !failed_) {
    fail(absl::DataLossError(*damage));
  }
  if (write_failed_) GRAPEVINE_RETURN_IF_ERROR(recover_from_failed_write());
  if (upkeep_warmth_ == Warmth::kWarming) return true;
  if (next_expiry_ <= time_.wall_now()) {
    const auto expired = expire_some(keys_budget);
    if (is_cold(expired.status())) return true;
    upkeep_warmth_ = Warmth::kUnknown;
    if (is_stalled(expired.status())) return true;
    if (!expired.ok()) return expired.status();
    if (*expired >= keys_budget) return true;
    keys_budget -= *expired;
  }
  std::size_t idle = 0;
  while (idle < partitions_.size()) {
    Partition& partition = *partitions_[upkeep_next_];
    if (!wants_growth(partition) && !wants_strip(partition)) {
      ++idle;
      upkeep_next_ = (upkeep_next_ + 1) % partitions_.size();
      continue;
    }
    idle = 0;
    const auto done = upkeep_step(partition, keys_budget);
    if (is_cold(done.status())) return true;
    upkeep_warmth_ = Warmth::kUnknown;
    if (is_stalled(done.status())) return true;
    if (!done.ok()) return done.status();
    // A step costs something even where it meets no key.
    const std::size_t spent = *done + 1;
    if (spent >= keys_budget) return true;
    keys_budget -= spent;
  }
  return false;
}

absl::StatusOr<std::size_t> Store::expire_some(std::size_t keys_budget) {
  const WallTime now = time_.wall_now();
  std::vector<std::pair<std::string, std::string>> due;  // note, key
  WallTime next = kNever;
  GRAPEVINE_RETURN_IF_ERROR(
      engine_->scan_expired([&](WallTime at, std::string_view note, std::string_view key) {
        if (at > now || due.size() == keys_budget) {
          next = at;
          return false;
        }
        due.emplace_back(note, key);
        return true;
      }));
  if (!due.empty()) {
    const Reach reach = upkeep_warmth_ == Warmth::kWarmed ? Reach::kDisk : Reach::kMemory;
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, begin(reach));
    for (auto& [note, key] : due) {
      const absl::Status expired = batch->expire(key, now);
      if (is_cold(expired)) {
        std::vector<std::string> keys;
        for (const auto& [other_note, other_key] : due) keys.push_back(other_key);
        upkeep_warmth_ = Warmth::kWarming;
        warm(std::move(keys), [this] { upkeep_warmth_ = Warmth::kWarmed; });
      }
      GRAPEVINE_RETURN_IF_ERROR(expired);
      batch->spent_notes_.push_back(std::move(note));
    }
    const auto committed = commit(std::move(batch));
    if (!committed.ok()) return committed.status();
  }
  next_expiry_ = next;
  return due.size();
}

// One step that finds its keys cold has them warmed, for the next call.
absl::StatusOr<std::size_t> Store::upkeep_step(Partition& partition, std::size_t keys_budget) {
  return wants_growth(partition) ? grow_tree(partition, keys_budget)
                                 : strip_some(partition, keys_budget);
}

void Store::warm_for_upkeep(const model::TokenRange& range, std::optional<std::string> after_key,
                            std::size_t keys_budget) {
  upkeep_warmth_ = Warmth::kWarming;
  warm(std::vector{range}, std::move(after_key), keys_budget,
       [this] { upkeep_warmth_ = Warmth::kWarmed; });
}

absl::StatusOr<std::size_t> Store::grow_tree(Partition& partition, std::size_t keys_budget) {
  model::DigestTree& tree = partition.tree;
  if (!tree.growing()) tree.begin_growth();
  std::vector<std::pair<model::Token, model::DigestShare>> met;
  std::optional<model::Token> next;  // where the scan stopped, between two tokens
  const Reach reach = upkeep_warmth_ == Warmth::kWarmed ? Reach::kDisk : Reach::kMemory;
  const model::TokenRange rest{tree.growth_cursor(), tree.token_range().last};
  const absl::Status scanned = engine_->scan(
      rest, std::nullopt, model::Values::kWithout, nullptr, /*fill_cache=*/false, reach,
      [&](model::Token token, std::string_view key, const model::Entry& stored) {
        if (met.size() >= keys_budget && token != met.back().first) {
          next = token;
          return false;
        }
        met.emplace_back(token, model::share_of(digester_, key, stored));
        return true;
      });
  if (is_cold(scanned)) warm_for_upkeep(rest, std::nullopt, keys_budget);
  if (!scanned.ok()) return scanned;
  // Not before the scan went well: what a failed one had met will be met again.
  for (const auto& [token, share] : met) tree.grow(token, share);
  if (next.has_value()) {
    tree.advance_growth(*next);
  } else {
    tree.finish_growth();
  }
  return met.size();
}

absl::StatusOr<std::size_t> Store::strip_some(Partition& partition, std::size_t keys_budget) {
  const model::TokenRange range = partition.tree.token_range();
  if (partition.strip_cursor <= range.first && !partition.strip_after.has_value()) {
    partition.strip_cursor = range.first;
    partition.passing_version = partition.clock_version;
  }
  const auto leaf = partition.tree.next_unquiet(partition.strip_cursor);
  if (!leaf.has_value()) {
    partition.strip_cursor = range.first;
    partition.strip_after.reset();
    partition.stripped_version = partition.passing_version;
    return 0;
  }
  if (leaf->first > partition.strip_cursor) partition.strip_after.reset();

  std::size_t met = 0;
  bool through = true;
  std::string last;
  std::vector<std::string> to_strip;
  const Reach reach = upkeep_warmth_ == Warmth::kWarmed ? Reach::kDisk : Reach::kMemory;
  const absl::Status scanned = engine_->scan(
      *leaf, partition.strip_after, model::Values::kWithout, nullptr, /*fill_cache=*/true, reach,
      [&](model::Token, std::string_view key, const model::Entry& stored) {
        if (met == keys_budget) {
          through = false;
          return false;
        }
        ++met;
        last = key;
        model::Entry stripped = stored;
        model::strip(stripped, partition.clock);
        if (stripped.vector != stored.vector) to_strip.push_back(last);
        return true;
      });
  if (is_cold(scanned)) warm_for_upkeep(*leaf, partition.strip_after, keys_budget);
  if (!scanned.ok()) return scanned;
  if (!to_strip.empty()) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, begin());
    for (const std::string& key : to_strip) {
      GRAPEVINE_RETURN_IF_ERROR(batch->strip_again(key));
    }
    const auto committed = commit(std::move(batch));
    if (!committed.ok()) return committed.status();
  }
  if (!through) {
    partition.strip_cursor = leaf->first;
    partition.strip_after = last;
  } else if (leaf->last == range.last) {
    partition.strip_cursor = range.first;
    partition.strip_after.reset();
    partition.stripped_version = partition.passing_version;
  } else {
    partition.strip_cursor = model::Token{leaf->last.value + 1};
    partition.strip_after.reset();
  }
  return met;
}

}  // namespace grapevine::storage
