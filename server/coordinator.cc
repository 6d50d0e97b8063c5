#include "server/coordinator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/base/planted_flaws.h"
#include "storage/model/token.h"

namespace grapevine::server {

absl::StatusOr<RequestId> Coordinator::execute(std::vector<Operation> operations, bool may_forward,
                                               Instant deadline, WallTime wall_now) {
  if (requests_.size() >= kRequestsMax) {
    return absl::ResourceExhaustedError(fmt::format(
        "overloaded: {} requests are under way; try again in a moment", requests_.size()));
  }
  auto fresh = std::make_unique<Request>();
  Request& request = *fresh;
  request.id = {++last_request_};
  request.operations = std::move(operations);
  request.states.resize(request.operations.size());
  request.answers.resize(request.operations.size());
  request.waves = cut_into_waves(request.operations);
  request.may_forward = may_forward;
  request.deadline = deadline;
  request.wall = wall_now;
  const RequestId id = request.id;
  requests_.emplace(id, std::move(fresh));
  deadlines_.emplace(deadline, id);
  start_wave(request);
  finish_if_done(request);
  return id;
}

// A wave holds no write of a key that an earlier operation of the same wave reads, and no read of
// one that it writes: those are done one after the other. So are reads of one key in a session.
std::vector<std::vector<std::size_t>> Coordinator::cut_into_waves(
    const std::vector<Operation>& ops) {
  std::vector<std::vector<std::size_t>> waves;
  absl::flat_hash_map<std::string, bool> writes;  // key -> whether this wave writes it
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const auto [place, is_new] = writes.try_emplace(ops[i].key, ops[i].writes());
    const bool in_session = ops[i].session.has_value() && !ops[i].writes();
    const bool clash = !is_new && (place->second != ops[i].writes() || in_session);
    if (waves.empty() || clash) {
      waves.emplace_back();
      if (clash) {
        writes.clear();
        writes.emplace(ops[i].key, ops[i].writes());
      }
    }
    waves.back().push_back(i);
  }
  return waves;
}

void Coordinator::start_wave(Request& request) {
  if (request.wave == request.waves.size()) return;
  const std::vector<std::size_t>& wave = request.waves[request.wave];
  request.unresolved = wave.size();
  std::vector<std::size_t> reads;
  std::vector<std::size_t> writes;
  std::vector<std::size_t> elsewhere;
  for (const std::size_t index : wave) {
    const Operation& operation = request.operations[index];
    if (absl::Status status = check_limits(operation); !status.ok()) {
      resolve(request, index, std::move(status));
      continue;
    }
    OperationState& state = request.states[index];
    if (operation.session.has_value()) {
      auto seen = seen_by_session(request, operation);
      if (!seen.ok()) {
        resolve(request, index, seen.status());
        continue;
      }
      state.seen = *std::move(seen);
    }
    state.partition = store_.partitioning().of(operation.key);
    const std::vector<NodeId>& owners = ring_.owners(state.partition);
    state.owners.assign(owners.begin(), owners.end());
    state.needed = owners_needed(operation.consistency, owners.size());
    if (!served_here(state)) {
      elsewhere.push_back(index);
    } else if (reachable_owners(state) < state.needed) {
      resolve(request, index,
              absl::UnavailableError(fmt::format(
                  "{} of {} owners of the key must answer and {} can be reached: nothing was {}; "
                  "try again later, or with a lower consistency",
                  state.needed, owners.size(), reachable_owners(state),
                  operation.writes() ? "written" : "read")));
    } else {
      (operation.writes() ? writes : reads).push_back(index);
    }
  }
  if (!elsewhere.empty()) forward(request, elsewhere);
  counters_.writes += writes.size();
  counters_.reads += reads.size();
  if (!writes.empty()) start_writes(request, std::move(writes), storage::Reach::kMemory);
  if (!reads.empty()) start_reads(request, reads, storage::Reach::kMemory);
}

// Their keys are not in memory.
void Coordinator::park(Request& request, const std::vector<std::size_t>& indices) {
  if (indices.empty()) return;
  counters_.cold += indices.size();
  CoordinatorOutput::Warm warm{{++last_warm_}, {}};
  for (const std::size_t index : indices) warm.keys.push_back(request.operations[index].key);
  std::sort(warm.keys.begin(), warm.keys.end());
  warm.keys.erase(std::unique(warm.keys.begin(), warm.keys.end()), warm.keys.end());
  parked_.emplace(warm.id, Group{request.id, indices});
  output_.warms.push_back(std::move(warm));
}

// A key that is cold again already is read from the disk here and now: parked again and again it
// might never have its turn.
void Coordinator::on_warm(WarmId id) {
  const auto parked = parked_.find(id);
  if (parked == parked_.end()) return;
  const Group group = std::move(parked->second);
  parked_.erase(parked);
  const auto found = requests_.find(group.request);
  if (found == requests_.end()) return;
  Request& request = *found->second;
  std::vector<std::size_t> reads;
  std::vector<std::size_t> writes;
  for (const std::size_t index : group.operations) {
    (request.operations[index].writes() ? writes : reads).push_back(index);
  }
  if (!writes.empty()) start_writes(request, std::move(writes), storage::Reach::kDisk);
  if (!reads.empty()) start_reads(request, reads, storage::Reach::kDisk);
  finish_if_done(request);
}

// Answers the request when every wave is through; starts the next one when this one is. May destroy
// the request.
void Coordinator::finish_if_done(Request& request) {
  while (request.unresolved == 0) {
    if (request.wave + 1 < request.waves.size()) {
      ++request.wave;
      start_wave(request);
      continue;
    }
    const RequestId id = request.id;
    output_.answers.push_back({id, std::move(request.answers)});
    const auto [begin, end] = deadlines_.equal_range(request.deadline);
    deadlines_.erase(std::find_if(begin, end, [&](const auto& due) { return due.second == id; }));
    requests_.erase(id);
    return;
  }
}

void Coordinator::resolve(Request& request, std::size_t index, OperationAnswer answer) {
  OperationState& state = request.states[index];
  if (state.resolved) return;
  state.resolved = true;
  if (std::holds_alternative<absl::Status>(answer)) ++counters_.failed;
  if (state.seen.has_value() && request.wave + 1 < request.waves.size()) {
    note_session(request, request.operations[index].key, answer);
  }
  request.answers[index] = std::move(answer);
  --request.unresolved;
}

// For operations of later waves on the same key.
void Coordinator::note_session(Request& request, const std::string& key,
                               const OperationAnswer& answer) {
  const auto* read = std::get_if<ReadAnswer>(&answer);
  const auto* written = std::get_if<WriteAnswer>(&answer);
  if (read == nullptr && written == nullptr) return;
  const auto told = model::Session::decode(read != nullptr ? read->session : written->session);
  // A peer's answer that cannot be read is the client's to complain about.
  if (told.ok()) request.sessions[key].join(*told).IgnoreError();
}

model::SessionScope Coordinator::scope() const {
  return {store_.digester().key_hash(""), store_.partitioning().count()};
}

absl::StatusOr<model::Seen> Coordinator::seen_by_session(const Request& request,
                                                         const Operation& operation) const {
  GRAPEVINE_ASSIGN_OR_RETURN(const auto told, model::Session::decode(*operation.session));
  model::Session session(scope());
  GRAPEVINE_RETURN_IF_ERROR(session.join(told));
  const auto earlier = request.sessions.find(operation.key);
  if (earlier != request.sessions.end()) {
    GRAPEVINE_RETURN_IF_ERROR(session.join(earlier->second));
  }
  return session.of(operation.key);
}

CallId Coordinator::send(NodeId to, std::variant<ReplicateCall, ReadCall, ForwardCall> body,
                         Call call) {
  const CallId id{++last_call_};
  calls_.emplace(id, std::move(call));
  output_.calls.push_back({id, to, std::move(body)});
  return id;
}

std::size_t Coordinator::reachable_owners(const OperationState& state) const {
  return static_cast<std::size_t>(
      std::count_if(state.owners.begin(), state.owners.end(),
                    [&](NodeId owner) { return ring_.reachable(owner); }));
}

bool Coordinator::served_here(const OperationState& state) const {
  return !store_.suspect(state.partition) &&
         std::find(state.owners.begin(), state.owners.end(), ring_.self()) != state.owners.end();
}

void Coordinator::forward(Request& request, const std::vector<std::size_t>& indices) {
  absl::btree_map<NodeId, std::vector<std::size_t>> by_owner;
  for (const std::size_t index : indices) {
    const OperationState& state = request.states[index];
    const auto may_be_asked = [&](NodeId node) {
      return node != ring_.self() && ring_.reachable(node);
    };
    auto owner = std::find_if(state.owners.begin(), state.owners.end(), may_be_asked);
    // The less busy of two: among all, everybody would choose the same one.
    if (owner != state.owners.end()) {
      const auto other = std::find_if(std::next(owner), state.owners.end(), may_be_asked);
      if (other != state.owners.end() && ring_.busy(*other) < ring_.busy(*owner)) owner = other;
    }
    if (!request.may_forward || owner == state.owners.end()) {
      resolve(request, index,
              absl::UnavailableError(fmt::format(
                  "{}: nothing was {}; try again later",
                  request.may_forward ? "no owner of the key can be reached"
                                      : "the key was forwarded to a node that does not serve it",
                  request.operations[index].writes() ? "written" : "read")));
      continue;
    }
    request.states[index].forwarded = true;
    by_owner[*owner].push_back(index);
  }
  for (auto& [owner, group] : by_owner) {
    ForwardCall body;
    body.deadline = request.deadline;
    for (const std::size_t index : group) {
      Operation& operation = body.operations.emplace_back(request.operations[index]);
      const auto& seen = request.states[index].seen;
      if (seen.has_value()) operation.session = model::encode_seen(scope(), operation.key, *seen);
    }
    counters_.forwarded += group.size();
    send(owner, std::move(body), {request.id, owner, Call::Kind::kForward, std::move(group)});
  }
}

void Coordinator::on_reply(CallId id, PeerReply reply) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const Call call = std::move(found->second);
  calls_.erase(found);
  const auto owner_request = requests_.find(call.request);
  if (owner_request == requests_.end()) return;
  Request& request = *owner_request->second;
  if (auto* read = std::get_if<ReadReply>(&reply)) {
    on_read(request, call, std::move(*read));
  } else if (auto* forwarded = std::get_if<ForwardReply>(&reply)) {
    on_forwarded(request, call, std::move(*forwarded));
  } else {
    for (const std::size_t index : call.operations) write_answered(request, index, true);
  }
  finish_if_done(request);
}

void Coordinator::on_forwarded(Request& request, const Call& call, ForwardReply reply) {
  for (std::size_t i = 0; i < call.operations.size(); ++i) {
    const std::size_t index = call.operations[i];
    if (i < reply.answers.size()) {
      const auto* read = std::get_if<ReadAnswer>(&reply.answers[i]);
      if (read != nullptr && request.states[index].seen.has_value() && read->session.empty()) {
        resolve(request, index,
                absl::UnavailableError(fmt::format(
                    "{}, which the read was forwarded to, knows no sessions: bring it to this "
                    "node's version, or read without a session",
                    to_string(call.to))));
      } else {
        resolve(request, index, std::move(reply.answers[i]));
      }
    } else if (request.operations[index].writes()) {
      resolve(request, index,
              outcome_unknown_error("the owner that the write was forwarded to answered "
                                    "incompletely: it may or may not have happened; read the "
                                    "key before writing again"));
    } else {
      resolve(request, index,
              absl::UnavailableError("the owner that the read was forwarded to answered "
                                     "incompletely; read again"));
    }
  }
}

void Coordinator::forward_failed(Request& request, const Call& call, const absl::Status& status) {
  // Both are said before anything is written: by an owner that refuses the whole call, by the link
  // to it.
  const bool overloaded = absl::IsResourceExhausted(status);
  const bool refused = absl::IsFailedPrecondition(status);
  for (const std::size_t index : call.operations) {
    const bool writes = request.operations[index].writes();
    if (overloaded) {
      resolve(request, index, status);
    } else if (refused) {
      resolve(request, index,
              absl::UnavailableError(fmt::format(
                  "the owner of the key cannot be used ({}): nothing was {}; try again later",
                  text_of(status), writes ? "written" : "read")));
    } else if (writes) {
      resolve(request, index,
              outcome_unknown_error(fmt::format(
                  "the owner that the write was forwarded to stopped answering ({}): it may or "
                  "may not have happened; read the key before writing again",
                  text_of(status))));
    } else {
      resolve(request, index,
              absl::UnavailableError(fmt::format("the owner that the read was forwarded to "
                                                 "stopped answering ({}); read again",
                                                 text_of(status))));
    }
  }
}

void Coordinator::on_failure(CallId id, const absl::Status& status) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const Call call = std::move(found->second);
  calls_.erase(found);
  if (call.kind == Call::Kind::kReplicate) output_.lagging.push_back(call.to);
  const auto owner_request = requests_.find(call.request);
  if (owner_request == requests_.end()) return;
  Request& request = *owner_request->second;
  switch (call.kind) {
    case Call::Kind::kReplicate:
      for (const std::size_t index : call.operations) {
        write_answered(request, index, GRAPEVINE_FLAW(counts_failed_owners));
      }
      break;
    case Call::Kind::kRead:
    case Call::Kind::kFetch: on_read(request, call, {}); break;
    case Call::Kind::kForward: forward_failed(request, call, status); break;
    case Call::Kind::kRepair: break;
  }
  finish_if_done(request);
}

void Coordinator::on_durable(storage::CommitNumber number) {
  std::vector<RequestId> touched;
  while (!not_durable_.empty() && not_durable_.begin()->first <= number) {
    const auto [id, index] = not_durable_.begin()->second;
    not_durable_.erase(not_durable_.begin());
    const auto found = requests_.find(id);
    if (found == requests_.end()) continue;
    found->second->states[index].durable_here = true;
    write_answered(*found->second, index, true);
    if (touched.empty() || touched.back() != id) touched.push_back(id);
  }
  for (const RequestId id : touched) {
    const auto found = requests_.find(id);
    if (found != requests_.end()) finish_if_done(*found->second);
  }
}

void Coordinator::tick(Instant now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Request& request = *requests_.find(deadlines_.begin()->second)->second;
    for (; request.wave < request.waves.size(); ++request.wave) {
      for (const std::size_t index : request.waves[request.wave]) {
        const OperationState& state = request.states[index];
        if (state.resolved) continue;
        if (state.queued) {
          resolve(request, index, overloaded_error(", and did until the deadline"));
          ++counters_.overloaded;
          continue;
        }
        const bool under_way = state.outstanding > 0 || state.confirmed > 0 || state.forwarded;
        if (GRAPEVINE_FLAW(takes_timeouts_for_success) && state.outstanding > 0 &&
            request.operations[index].writes()) {
          resolve(request, index, std::move(state.written));
          continue;
        }
        if (request.operations[index].writes() && under_way) {
          resolve(
              request, index,
              outcome_unknown_error(fmt::format(
                  "{} of {} owners confirmed the write in time{}: it is not rolled back and may "
                  "spread; read the key before writing again",
                  state.confirmed, state.needed,
                  state.confirmed < state.needed ? "" : ", but not this node's own disk")));
        } else {
          resolve(request, index,
                  absl::UnavailableError(fmt::format(
                      "the owners did not answer in time: nothing was {}; try again, or with a "
                      "longer timeout",
                      request.operations[index].writes() ? "written" : "read")));
        }
      }
    }
    std::erase_if(queued_, [&](const Group& group) {
      if (group.request != request.id) return false;
      queued_bytes_ -= group.bytes;
      queued_writes_ -= group.operations.size();
      return true;
    });
    request.wave = request.waves.size();
    request.unresolved = 0;
    finish_if_done(request);
  }
  if (!queued_.empty()) try_queued(now);
}

std::optional<Instant> Coordinator::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  const Instant deadline = deadlines_.begin()->first;
  return queued_.empty() ? deadline : std::min(deadline, try_queued_at_.value_or(Instant{}));
}

}  // namespace grapevine::server
