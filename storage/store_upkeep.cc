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
  if (next_expiry_ <= time_.wall_now()) {
    GRAPEVINE_ASSIGN_OR_RETURN(const std::size_t expired, expire_some(keys_budget));
    if (expired >= keys_budget) return true;
    keys_budget -= expired;
  }
  std::size_t idle = 0;
  while (idle < partitions_.size()) {
    Partition& partition = *partitions_[upkeep_next_];
    std::size_t done = 0;
    if (wants_growth(partition)) {
      GRAPEVINE_ASSIGN_OR_RETURN(done, grow_tree(partition, keys_budget));
    } else if (wants_strip(partition)) {
      GRAPEVINE_ASSIGN_OR_RETURN(done, strip_some(partition, keys_budget));
    } else {
      ++idle;
      upkeep_next_ = (upkeep_next_ + 1) % partitions_.size();
      continue;
    }
    idle = 0;
    // A step costs something even where it meets no key.
    const std::size_t spent = done + 1;
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
    GRAPEVINE_ASSIGN_OR_RETURN(auto batch, begin());
    for (auto& [note, key] : due) {
      GRAPEVINE_RETURN_IF_ERROR(batch->expire(key, now));
      batch->spent_notes_.push_back(std::move(note));
    }
    const auto committed = commit(std::move(batch));
    if (!committed.ok()) return committed.status();
  }
  next_expiry_ = next;
  return due.size();
}

absl::StatusOr<std::size_t> Store::grow_tree(Partition& partition, std::size_t keys_budget) {
  model::DigestTree& tree = partition.tree;
  if (!tree.growing()) tree.begin_growth();
  std::vector<std::pair<model::Token, model::DigestShare>> met;
  std::optional<model::Token> next;  // where the scan stopped, between two tokens
  GRAPEVINE_RETURN_IF_ERROR(
      engine_->scan({tree.growth_cursor(), tree.token_range().last}, std::nullopt,
                    model::Values::kWithout, nullptr, /*fill_cache=*/false,
                    [&](model::Token token, std::string_view key, const model::Entry& stored) {
                      if (met.size() >= keys_budget && token != met.back().first) {
                        next = token;
                        return false;
                      }
                      met.emplace_back(token, model::share_of(digester_, key, stored));
                      return true;
                    }));
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
  GRAPEVINE_RETURN_IF_ERROR(engine_->scan(
      *leaf, partition.strip_after, model::Values::kWithout, nullptr, /*fill_cache=*/true,
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
      }));
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
