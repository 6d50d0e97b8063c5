#include "storage/batch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/base/planted_flaws.h"
#include "storage/engine_rocksdb.h"
#include "storage/store.h"

namespace grapevine::storage {
namespace {

// What a writer may claim to have seen after its write `dot`. A vector that covers the dot covers
// every lower one of its actor; where one of those is a live sibling that the writer has not seen,
// the dot stays out: its next write then makes one sibling more, and overwrites none unseen.
model::VersionVector seen_after(model::VersionVector seen, model::Dot dot,
                                const model::Entry& entry) {
  for (const model::Version& version : entry.versions) {
    if (version.dot.actor == dot.actor && version.dot.counter < dot.counter &&
        !seen.covers(version.dot)) {
      return seen;
    }
  }
  seen.raise(dot);
  return seen;
}

// R7: `who`, a peer, knows more of this node's actor than this node itself.
absl::Status forgotten(std::string_view who, std::uint64_t top, ActorId actor) {
  if (top == model::kClosed) {
    return absl::FailedPreconditionError(
        fmt::format("{} has closed {}, which this node writes as: it goes on under a later epoch",
                    who, to_string(actor)));
  }
  return absl::FailedPreconditionError(
      fmt::format("{} holds write {} of node {}, which this node does not remember", who, top,
                  to_string(actor.node())));
}

}  // namespace

Batch::~Batch() {
  undo();
}

void Batch::undo() {
  for (const AddedDot& added : added_) {
    store_->partitions_[added.placed.partition.value]->clock.remove(added.placed.dot);
  }
  for (Adopted& adopted : adopted_) adopted.partition->clock = std::move(adopted.before);
  added_.clear();
  adopted_.clear();
  store_->batch_open_ = false;
}

absl::StatusOr<Batch::Pending*> Batch::pending(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) return found->second;
  GRAPEVINE_ASSIGN_OR_RETURN(auto stored,
                             store_->engine_->get(key, model::Values::kWithout, nullptr, reach_));
  auto fresh = std::make_unique<Pending>();
  fresh->key = std::string(key);
  fresh->token = model::token_of(key);
  fresh->partition = &store_->partition_of(fresh->token);
  if (stored.has_value()) {
    fresh->entry = *std::move(stored);
    fresh->before = model::share_of(store_->digester_, key, fresh->entry);
    fresh->apart = model::apart_dots(fresh->entry);
  }
  Pending* const placed = fresh.get();
  by_key_.emplace(placed->key, placed);
  pending_.push_back(std::move(fresh));
  return placed;
}

absl::Status Batch::need_values(const Pending& pending, model::Entry& entry, bool with_apart) {
  const auto is_needed = [&](const model::Version& version) {
    if (version.has_value) return false;
    return with_apart || std::find(pending.apart.begin(), pending.apart.end(), version.dot) ==
                             pending.apart.end();
  };
  if (std::none_of(entry.versions.begin(), entry.versions.end(), is_needed)) {
    return absl::OkStatus();
  }
  GRAPEVINE_ASSIGN_OR_RETURN(
      auto stored, store_->engine_->get(pending.key, model::Values::kWith, nullptr, reach_));
  for (model::Version& version : entry.versions) {
    if (version.has_value) continue;
    const model::Version* full = stored.has_value() ? stored->find(version.dot) : nullptr;
    if (full == nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("a version of a key of {} bytes came without its value", pending.key.size()));
    }
    version = *full;
  }
  return absl::OkStatus();
}

void Batch::add_dot(const Pending& pending, model::Dot dot) {
  GRAPEVINE_CHECK(adopted_.empty(), "a batch that adopts does nothing else");
  if (!pending.partition->clock.add(dot)) return;
  added_.push_back({{pending.partition->id, dot}, pending.key});
}

absl::StatusOr<WriteOutcome> Batch::write(WriteRequest request) {
  GRAPEVINE_ASSIGN_OR_RETURN(Pending * pending, this->pending(request.key));
  Partition& partition = *pending->partition;
  if (partition.clock.closed(store_->actor_)) {
    return forgotten("this node's clock", model::kClosed, store_->actor_);
  }
  if (store_->actor_.epoch() <= store_->outlived_) {
    return absl::FailedPreconditionError(fmt::format(
        "other members know this node in epoch {}, it writes as {}: it goes on under a later epoch",
        store_->outlived_, to_string(store_->actor_)));
  }
  model::Entry entry = pending->entry;
  model::fill(entry, partition.clock);
  const bool is_delete = !request.value.has_value();
  model::Version fresh;
  if (!is_delete) {
    fresh.written = request.written;
    fresh.expires = request.expires;
    fresh.write_id = model::short_write_id(request.write_id);
    fresh.checksum = model::value_checksum(*request.value);
    fresh.value_bytes = request.value->size();
    fresh.value = *std::move(request.value);
  }
  for (const model::Version& version : entry.versions) {
    if (!model::same_write(version, fresh)) continue;
    // An earlier attempt was written here, perhaps not elsewhere.
    GRAPEVINE_RETURN_IF_ERROR(need_values(*pending, pending->entry, /*with_apart=*/true));
    pending->replicate = true;
    // Named as an event, so that the others do not take it once this actor has ended (R8).
    if (version.dot.actor == store_->actor_) pending->events.push_back(version.dot);
    // Siblings may have come since: without its context it cannot be told which of them the writer
    // wanted overwritten.
    const bool alone = entry.versions.size() == 1;
    model::VersionVector seen =
        request.context.value_or(alone ? entry.vector : model::VersionVector{});
    return WriteOutcome{version.dot, seen_after(std::move(seen), version.dot, entry)};
  }

  model::VersionVector seen = request.context.value_or(entry.vector);
  if (!request.context.has_value()) seen.raise(request.also_seen);
  if (seen.of(store_->actor_) > partition.clock.top(store_->actor_)) {
    return absl::InvalidArgumentError(fmt::format(
        "context: has seen write {} of node {}, which never made it; read the key again",
        seen.of(store_->actor_), to_string(store_->node())));
  }
  const auto superseded = [&](const model::Version& version) { return seen.covers(version.dot); };
  entry.versions.erase(std::remove_if(entry.versions.begin(), entry.versions.end(), superseded),
                       entry.versions.end());
  GRAPEVINE_RETURN_IF_ERROR(need_values(*pending, entry, /*with_apart=*/true));
  entry.vector.raise(seen);

  const model::Dot dot{store_->actor_, partition.clock.top(store_->actor_) + 1};
  if (!is_delete) {
    fresh.dot = dot;
    entry.insert(std::move(fresh));
  }
  entry.vector.raise(dot);
  if (!is_delete || !GRAPEVINE_FLAW(leaves_out_dots_of_deletes)) {
    add_dot(*pending, dot);
  }

  WriteOutcome outcome{dot, seen_after(seen, dot, entry)};
  pending->entry = std::move(entry);
  pending->changed = true;
  pending->replicate = true;
  pending->events.push_back(dot);
  return outcome;
}

absl::Status Batch::receive(model::KeyedEntry received) {
  GRAPEVINE_ASSIGN_OR_RETURN(Pending * pending, this->pending(received.key));
  Partition& partition = *pending->partition;
  if (received.entry.vector.of(store_->actor_) > partition.clock.top(store_->actor_)) {
    return forgotten("an entry of a peer", received.entry.vector.of(store_->actor_),
                     store_->actor_);
  }
  for (const model::Version& version : received.entry.versions) {
    received.events.push_back(version.dot);
  }
  for (const model::Dot dot : received.events) {
    if (dot.counter == 0 || !received.entry.vector.covers(dot)) {
      return absl::InvalidArgumentError(
          fmt::format("entry of a peer: its vector does not cover its own event ({}, {})",
                      to_string(dot.actor), dot.counter));
    }
  }
  model::Entry local = pending->entry;
  model::fill(local, partition.clock);
  model::Entry joined = model::join(std::move(local), std::move(received.entry));
  GRAPEVINE_RETURN_IF_ERROR(need_values(*pending, joined, /*with_apart=*/pending->replicate));
  pending->entry = std::move(joined);
  pending->changed = true;
  for (const model::Dot dot : received.events) add_dot(*pending, dot);
  return absl::OkStatus();
}

absl::Status Batch::adopt(PartitionId id, const model::Clock& clock) {
  Partition& partition = *store_->partitions_[id.value];
  if (clock.top(store_->actor_) > partition.clock.top(store_->actor_)) {
    return forgotten("a peer's clock", clock.top(store_->actor_), store_->actor_);
  }
  GRAPEVINE_CHECK(pending_.empty(), "a batch that adopts does nothing else");
  adopted_.push_back({&partition, partition.clock});
  partition.clock.merge(clock);
  return absl::OkStatus();
}

absl::Status Batch::expire(std::string_view key, WallTime now) {
  GRAPEVINE_ASSIGN_OR_RETURN(Pending * pending, this->pending(key));
  model::Entry entry = pending->entry;
  model::fill(entry, pending->partition->clock);
  if (GRAPEVINE_FLAW(keeps_what_has_expired)) return absl::OkStatus();
  if (!model::drop_expired(entry, now)) return absl::OkStatus();
  GRAPEVINE_RETURN_IF_ERROR(need_values(*pending, entry, /*with_apart=*/false));
  pending->entry = std::move(entry);
  pending->changed = true;
  return absl::OkStatus();
}

absl::Status Batch::strip_again(std::string_view key) {
  GRAPEVINE_ASSIGN_OR_RETURN(Pending * pending, this->pending(key));
  GRAPEVINE_RETURN_IF_ERROR(need_values(*pending, pending->entry, /*with_apart=*/false));
  pending->changed = true;
  return absl::OkStatus();
}

absl::Status Batch::close(PartitionId id, NodeId node, std::uint64_t epoch) {
  model::Clock closed;
  closed.close(node, epoch);
  return adopt(id, closed);
}

}  // namespace grapevine::storage
