// Reads: join what R owners hold, and repair those that lag.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "server/coordinator.h"
#include "storage/base/planted_flaws.h"
#include "storage/model/context.h"
#include "storage/model/entry_codec.h"

namespace grapevine::server {
namespace {

bool lacks_value(const model::Version& version) {
  return !version.has_value;
}

// Versions that one retried write left under several dots are shown as one: the first.
std::vector<model::Version> as_shown(model::Entry entry) {
  std::vector<model::Version> shown;
  for (model::Version& version : entry.versions) {
    const bool again = std::any_of(shown.begin(), shown.end(), [&](const model::Version& earlier) {
      return model::same_write(earlier, version);
    });
    if (!again) shown.push_back(std::move(version));
  }
  return shown;
}

}  // namespace

void Coordinator::start_reads(Request& request, const std::vector<std::size_t>& indices,
                              storage::Reach reach) {
  std::vector<std::size_t> cold;
  std::vector<std::size_t> wanting;
  for (const std::size_t index : indices) {
    OperationState& state = request.states[index];
    auto entry = store_.load(request.operations[index].key, model::Values::kWith, reach);
    if (storage::is_cold(entry.status())) {
      cold.push_back(index);
      continue;
    }
    if (!entry.ok()) {
      resolve(request, index, entry.status());
      continue;
    }
    state.asked.push_back(ring_.self());
    state.answered.push_back({ring_.self(), *std::move(entry)});
    if (state.answered.size() < state.needed || !read_answered(request, index)) {
      wanting.push_back(index);
    }
  }
  if (!wanting.empty()) ask_more_owners(request, wanting);
  park(request, cold);
}

// Asks as many owners more as each of the reads still needs, all that are left if it is catching up;
// a read that can never have enough ends.
void Coordinator::ask_more_owners(Request& request, const std::vector<std::size_t>& indices) {
  struct ForPeer {
    ReadCall body;
    std::vector<std::size_t> operations;
  };
  absl::btree_map<NodeId, ForPeer> peers;
  for (const std::size_t index : indices) {
    OperationState& state = request.states[index];
    if (state.resolved || state.fetching) continue;
    std::size_t hoped_for = state.answered.size() + state.outstanding;
    for (const NodeId owner : state.owners) {
      if (hoped_for >= state.needed && !state.catching_up) break;
      if (!ring_.reachable(owner) ||
          std::find(state.asked.begin(), state.asked.end(), owner) != state.asked.end()) {
        continue;
      }
      state.asked.push_back(owner);
      ++state.outstanding;
      peers[owner].body.keys.push_back(request.operations[index].key);
      peers[owner].operations.push_back(index);
      ++hoped_for;
    }
    if (hoped_for < state.needed || state.outstanding == 0) resolve_too_few(request, index);
  }
  for (auto& [owner, peer] : peers) {
    send(owner, std::move(peer.body),
         {request.id, owner, Call::Kind::kRead, std::move(peer.operations)});
  }
}

void Coordinator::resolve_too_few(Request& request, std::size_t index) {
  const OperationState& state = request.states[index];
  if (state.answered.size() < state.needed) {
    resolve(request, index,
            absl::UnavailableError("too few owners of the key answered; try again later, or "
                                   "with a lower consistency"));
    return;
  }
  ++counters_.behind;
  std::string missing;
  for (const NodeId owner : state.owners) {
    const bool has_answered =
        std::any_of(state.answered.begin(), state.answered.end(),
                    [&](const OperationState::Answered& answer) { return answer.owner == owner; });
    if (has_answered) continue;
    missing += missing.empty() ? "" : ", ";
    missing += to_string(owner);
  }
  resolve(request, index,
          absl::UnavailableError(fmt::format(
              "the session has seen a write that {}: nothing was read; try again later, or begin a "
              "new session",
              missing.empty() ? std::string("no owner of the key has any more")
                              : fmt::format("only {}, which did not answer, may have", missing))));
}

void Coordinator::on_read(Request& request, const Call& call, ReadReply reply) {
  std::vector<std::size_t> wanting;
  for (std::size_t i = 0; i < call.operations.size(); ++i) {
    const std::size_t index = call.operations[i];
    OperationState& state = request.states[index];
    --state.outstanding;
    if (call.kind == Call::Kind::kFetch) state.fetching = false;
    if (state.resolved) continue;
    if (i < reply.entries.size() && reply.entries[i].ok()) {
      state.answered.push_back({call.to, *std::move(reply.entries[i])});
    }
    if (state.fetching) continue;
    if (state.answered.size() < state.needed || !read_answered(request, index)) {
      wanting.push_back(index);
    }
  }
  if (!wanting.empty()) ask_more_owners(request, wanting);
}

bool Coordinator::read_answered(Request& request, std::size_t index) {
  OperationState& state = request.states[index];
  model::Entry joined = state.answered.front().entry;
  for (std::size_t i = 1; i < state.answered.size(); ++i) {
    joined = model::join(std::move(joined), state.answered[i].entry);
  }
  if (state.seen.has_value() && !model::reaches(joined, *state.seen) &&
      !GRAPEVINE_FLAW(reads_what_lags_behind_a_session)) {
    if (!state.catching_up) ++counters_.caught_up;
    state.catching_up = true;
    return false;
  }
  if (std::any_of(joined.versions.begin(), joined.versions.end(), lacks_value)) {
    fetch_values(request, index, joined);
  } else {
    finish_read(request, index, std::move(joined));
  }
  return true;
}

// Asks an owner that holds a version whose value is missing for its whole entry.
void Coordinator::fetch_values(Request& request, std::size_t index, const model::Entry& joined) {
  OperationState& state = request.states[index];
  state.fetching = true;
  const auto wanted = std::find_if(joined.versions.begin(), joined.versions.end(), lacks_value);
  const auto holder = std::find_if(state.answered.begin(), state.answered.end(),
                                   [&](const OperationState::Answered& answer) {
                                     const model::Version* version = answer.entry.find(wanted->dot);
                                     return version != nullptr && !version->has_value;
                                   });
  ReadCall body;
  body.keys.push_back(request.operations[index].key);
  body.heads_only = false;
  const NodeId owner = holder->owner;
  // Its answer with values replaces the one without.
  state.answered.erase(holder);
  ++state.outstanding;
  send(owner, std::move(body), {request.id, owner, Call::Kind::kFetch, {index}});
}

void Coordinator::finish_read(Request& request, std::size_t index, model::Entry joined) {
  repair(request, index, joined);
  const std::optional<model::Seen>& seen = request.states[index].seen;
  if (seen.has_value() && !GRAPEVINE_FLAW(reads_what_lags_behind_a_session)) {
    joined = model::join_seen(std::move(joined), *seen);
  }
  if (!GRAPEVINE_FLAW(keeps_what_has_expired)) model::drop_expired(joined, request.wall);
  ReadAnswer answer;
  if (seen.has_value()) {
    answer.session =
        model::encode_seen(scope(), request.operations[index].key, model::seen_of(joined));
  }
  answer.context = model::encode_context(request.operations[index].key, joined.vector);
  answer.siblings = as_shown(std::move(joined));
  resolve(request, index, std::move(answer));
}

void Coordinator::repair(Request& request, std::size_t index, const model::Entry& joined) {
  const OperationState& state = request.states[index];
  std::shared_ptr<const model::KeyedEntry> shared;
  for (const auto& [owner, entry] : state.answered) {
    if (entry.same_dots(joined)) continue;
    ++counters_.read_repairs;
    if (shared == nullptr) {
      shared = std::make_shared<const model::KeyedEntry>(
          model::KeyedEntry{request.operations[index].key, joined, {}});
    }
    if (owner != ring_.self()) {
      send(owner, ReplicateCall{{shared}}, {request.id, owner, Call::Kind::kRepair, {}});
      continue;
    }
    auto batch = store_.begin(storage::Reach::kMemory);
    if (!batch.ok()) continue;
    const absl::Status received = (*batch)->receive(*shared);
    if (absl::IsFailedPrecondition(received)) output_.must_renew_actor = true;
    // What cannot be stored now anti-entropy brings later: the read itself is answered.
    if (received.ok()) static_cast<void>(store_.commit(*std::move(batch)));
  }
}

}  // namespace grapevine::server
