// Writes: here first, then to all other owners at once.
#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "gossip/responder.h"
#include "server/coordinator.h"
#include "storage/model/context.h"

namespace grapevine::server {
namespace {

// `entry`: what the coordinator holds after the write, which it replicates whole: who gets the write
// reaches all of it.
model::Seen seen_after_write(const model::Seen& before, const model::Entry& entry) {
  model::Seen after = model::seen_of(entry);
  if (before.exact) return model::join(before, after);
  if (after.vector.covers(before.vector)) return after;
  after.exact = false;
  after.live.clear();
  after.vector.raise(before.vector);
  return after;
}

}  // namespace

void Coordinator::start_writes(Request& request, std::vector<std::size_t> indices,
                               storage::Reach reach) {
  if (!queued_.empty() || !try_writes(request, indices, reach)) queue_writes(request, indices);
}

// Writes, parks or refuses them. False when the store is stalled: then nothing was written, and
// those that stay in `indices` are to be tried again.
bool Coordinator::try_writes(Request& request, std::vector<std::size_t>& indices,
                             storage::Reach reach) {
  storage::Committed committed;
  const absl::Status status = write_here(request, indices, reach, committed);
  if (storage::is_stalled(status)) return false;
  if (!status.ok()) {
    for (const std::size_t index : indices) resolve(request, index, status);
    return true;
  }
  if (indices.empty()) return true;
  for (const std::size_t index : indices) {
    request.states[index].outstanding = 1;  // this node, until its log is durable
    not_durable_.emplace(committed.number, std::pair(request.id, index));
  }
  output_.wait_durable = committed.number;
  replicate(request, indices, std::move(committed.to_replicate));
  return true;
}

absl::Status Coordinator::overloaded_error(const std::string& how) {
  return absl::ResourceExhaustedError(
      fmt::format("overloaded: this node's disk lags behind the writes{}; nothing was written, try "
                  "again in 100 ms, or another node",
                  how));
}

// The store is stalled, or others that came earlier wait for it.
void Coordinator::queue_writes(Request& request, const std::vector<std::size_t>& indices) {
  Group group{request.id, {}};
  for (const std::size_t index : indices) {
    const Operation& operation = request.operations[index];
    const std::size_t bytes = operation.key.size() + operation.value.size();
    if (queued_writes_ == kQueuedWritesMax || queued_bytes_ + bytes > kQueuedBytesMax) {
      resolve(request, index,
              overloaded_error(fmt::format(", and {} writes wait for it", queued_writes_)));
      ++counters_.overloaded;
      continue;
    }
    request.states[index].queued = true;
    group.operations.push_back(index);
    group.bytes += bytes;
    ++queued_writes_;
    queued_bytes_ += bytes;
  }
  counters_.queued += group.operations.size();
  if (!group.operations.empty()) queued_.push_back(std::move(group));
}

void Coordinator::try_queued(Instant now) {
  const bool due = try_queued_at_.has_value() && *try_queued_at_ <= now;
  while (due && !queued_.empty()) {
    const Group& oldest = queued_.front();
    Request& request = *requests_.find(oldest.request)->second;
    // To the disk: parked now, they would be overtaken by what waits behind them.
    std::vector<std::size_t> indices = oldest.operations;
    // An earlier try may have refused some of them.
    std::erase_if(indices, [&](std::size_t index) { return request.states[index].resolved; });
    if (!try_writes(request, indices, storage::Reach::kDisk)) break;
    for (const std::size_t index : oldest.operations) request.states[index].queued = false;
    queued_bytes_ -= oldest.bytes;
    queued_writes_ -= oldest.operations.size();
    queued_.pop_front();
    finish_if_done(request);
  }
  if (queued_.empty()) {
    try_queued_at_.reset();
  } else if (due || !try_queued_at_.has_value()) {
    try_queued_at_ = now + kStallPause;
  }
}

// Takes from `indices` the operations that are refused or parked; those that stay are written, all
// or, with an error, none.
absl::Status Coordinator::write_here(Request& request, std::vector<std::size_t>& indices,
                                     storage::Reach reach, storage::Committed& committed) {
  if (!writes_refused_because_.empty()) {
    return absl::UnavailableError(
        fmt::format("this node takes no writes yet: {}; nothing was written, try again or "
                    "another node",
                    writes_refused_because_));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin(reach));
  std::vector<std::size_t> cold;
  absl::flat_hash_set<std::string_view> cold_keys;
  const auto refused = [&](std::size_t index) {
    const Operation& operation = request.operations[index];
    if (!cold.empty() && cold_keys.contains(operation.key)) {
      cold.push_back(index);  // in order, behind the one that is parked
      return true;
    }
    storage::WriteRequest write;
    write.key = operation.key;
    if (operation.kind == OperationKind::kPut) write.value = operation.value;
    write.written = request.wall;
    write.write_id = operation.write_id;
    if (operation.ttl_ms != 0) {
      write.expires.unix_ms = request.wall.unix_ms + static_cast<std::int64_t>(operation.ttl_ms);
    }
    if (operation.context.has_value()) {
      auto context = model::decode_context(operation.key, *operation.context);
      if (!context.ok()) {
        resolve(request, index, context.status());
        return true;
      }
      write.context = *std::move(context);
    }
    const std::optional<model::Seen>& seen = request.states[index].seen;
    if (seen.has_value() && seen->exact) write.also_seen = seen->vector;
    auto outcome = batch->write(std::move(write));
    if (storage::is_cold(outcome.status())) {
      cold.push_back(index);
      cold_keys.insert(operation.key);
      return true;
    }
    if (!outcome.ok()) {
      if (absl::IsFailedPrecondition(outcome.status())) output_.must_renew_actor = true;
      resolve(request, index, outcome.status());
      return true;
    }
    request.states[index].written = {
        outcome->dot, model::encode_context(operation.key, outcome->seen), {}};
    return false;
  };
  indices.erase(std::remove_if(indices.begin(), indices.end(), refused), indices.end());
  park(request, cold);
  if (indices.empty()) return absl::OkStatus();
  GRAPEVINE_ASSIGN_OR_RETURN(committed, store_.commit(std::move(batch)));
  return absl::OkStatus();
}

void Coordinator::replicate(Request& request, const std::vector<std::size_t>& indices,
                            std::vector<model::KeyedEntry> entries) {
  struct Written {
    std::shared_ptr<const model::KeyedEntry> entry;
    absl::InlinedVector<std::size_t, 1> operations;
  };
  struct Part {
    ReplicateCall body;
    std::size_t bytes = 0;
    std::vector<std::size_t> operations;
  };
  absl::flat_hash_map<std::string_view, Written> by_key;
  for (model::KeyedEntry& entry : entries) {
    auto shared = std::make_shared<const model::KeyedEntry>(std::move(entry));
    const std::string_view key = shared->key;
    by_key.emplace(key, Written{std::move(shared), {}});
  }
  std::vector<const Written*> in_order;
  for (const std::size_t index : indices) {
    OperationState& state = request.states[index];
    const std::string& key = request.operations[index].key;
    Written& written = by_key.at(key);
    if (written.operations.empty()) in_order.push_back(&written);
    written.operations.push_back(index);
    if (!state.seen.has_value()) continue;
    state.written.session =
        model::encode_seen(scope(), key, seen_after_write(*state.seen, written.entry->entry));
  }
  absl::btree_map<NodeId, std::vector<Part>> peers;
  for (const Written* const written : in_order) {
    const std::size_t bytes = gossip::wire_bytes(*written->entry);
    for (const NodeId owner : request.states[written->operations.front()].owners) {
      if (owner == ring_.self() || !ring_.reachable(owner)) continue;
      std::vector<Part>& parts = peers[owner];
      if (parts.empty() || parts.back().bytes + bytes > kReplicateBytesMax) parts.emplace_back();
      Part& part = parts.back();
      part.body.entries.push_back(written->entry);
      part.bytes += bytes;
      for (const std::size_t index : written->operations) {
        part.operations.push_back(index);
        ++request.states[index].outstanding;
      }
    }
  }
  for (auto& [owner, parts] : peers) {
    for (Part& part : parts) {
      send(owner, std::move(part.body),
           {request.id, owner, Call::Kind::kReplicate, std::move(part.operations)});
    }
  }
}

void Coordinator::write_answered(Request& request, std::size_t index, bool confirmed) {
  OperationState& state = request.states[index];
  --state.outstanding;
  if (confirmed) ++state.confirmed;
  if (state.resolved) return;
  if (state.durable_here && state.confirmed >= state.needed) {
    resolve(request, index, std::move(state.written));
  } else if (state.confirmed + state.outstanding < state.needed) {
    resolve(request, index,
            outcome_unknown_error(fmt::format(
                "{} of {} owners confirmed the write before others failed: it is not rolled back "
                "and may spread; read the key before writing again",
                state.confirmed, state.needed)));
  }
}

}  // namespace grapevine::server
