// Writes: here first, then to all other owners at once.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/coordinator.h"
#include "storage/model/context.h"

namespace grapevine::server {

void Coordinator::start_writes(Request& request, const std::vector<std::size_t>& indices) {
  counters_.writes += indices.size();
  std::vector<std::size_t> written = indices;
  storage::Committed committed;
  if (absl::Status status = write_here(request, written, committed); !status.ok()) {
    for (const std::size_t index : written) resolve(request, index, status);
    return;
  }
  if (written.empty()) return;
  for (const std::size_t index : written) {
    request.states[index].outstanding = 1;  // this node, until its log is durable
    not_durable_.emplace(committed.number, std::pair(request.id, index));
  }
  output_.wait_durable = committed.number;
  replicate(request, written, std::move(committed.to_replicate));
}

// Takes from `indices` the operations that are refused; those that stay are written, all or, with
// an error, none.
absl::Status Coordinator::write_here(Request& request, std::vector<std::size_t>& indices,
                                     storage::Committed& committed) {
  if (!writes_refused_because_.empty()) {
    return absl::UnavailableError(
        fmt::format("this node takes no writes yet: {}; nothing was written, try again or "
                    "another node",
                    writes_refused_because_));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_.begin());
  const auto refused = [&](std::size_t index) {
    const Operation& operation = request.operations[index];
    storage::WriteRequest write;
    write.key = operation.key;
    if (operation.kind == OperationKind::kPut) write.value = operation.value;
    write.written = request.wall;
    write.write_id = operation.write_id;
    if (operation.context.has_value()) {
      auto context = model::decode_context(operation.key, *operation.context);
      if (!context.ok()) {
        resolve(request, index, context.status());
        return true;
      }
      write.context = *std::move(context);
    }
    auto outcome = batch->write(std::move(write));
    if (!outcome.ok()) {
      if (absl::IsFailedPrecondition(outcome.status())) output_.must_renew_actor = true;
      resolve(request, index, outcome.status());
      return true;
    }
    request.states[index].written = {outcome->dot,
                                     model::encode_context(operation.key, outcome->seen)};
    return false;
  };
  indices.erase(std::remove_if(indices.begin(), indices.end(), refused), indices.end());
  if (indices.empty()) return absl::OkStatus();
  GRAPEVINE_ASSIGN_OR_RETURN(committed, store_.commit(std::move(batch)));
  return absl::OkStatus();
}

void Coordinator::replicate(Request& request, const std::vector<std::size_t>& indices,
                            std::vector<model::KeyedEntry> entries) {
  struct ForPeer {
    ReplicateCall body;
    std::vector<std::size_t> operations;
  };
  absl::flat_hash_map<std::string, std::shared_ptr<const model::KeyedEntry>> by_key;
  for (model::KeyedEntry& entry : entries) {
    auto shared = std::make_shared<const model::KeyedEntry>(std::move(entry));
    by_key.emplace(shared->key, shared);
  }
  absl::btree_map<NodeId, ForPeer> peers;
  absl::flat_hash_set<const model::KeyedEntry*> sent;
  for (const std::size_t index : indices) {
    OperationState& state = request.states[index];
    const auto& entry = by_key.at(request.operations[index].key);
    const bool is_new = sent.insert(entry.get()).second;
    for (const NodeId owner : state.owners) {
      if (owner == ring_.self() || !ring_.reachable(owner)) continue;
      ForPeer& peer = peers[owner];
      if (is_new) peer.body.entries.push_back(entry);
      peer.operations.push_back(index);
      ++state.outstanding;
    }
  }
  for (auto& [owner, peer] : peers) {
    send(owner, std::move(peer.body),
         {request.id, owner, Call::Kind::kReplicate, std::move(peer.operations)});
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
