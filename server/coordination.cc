#include "server/coordination.h"

#include <algorithm>
#include <utility>

#include "rpc/errors.h"
#include "rpc/lateness.h"

namespace grapevine::server {
namespace {

std::uint32_t timeout_ms(Instant deadline, Instant now) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(left, 1));
}

}  // namespace

Coordination::Coordination(rpc::Loop& loop, storage::Store& store, const Ring& ring,
                           PeerLinks& links, Handlers handlers)
    : loop_(loop),
      store_(store),
      links_(links),
      handlers_(std::move(handlers)),
      coordinator_(store, ring),
      alarm_(loop, [this] {
        coordinator_.tick(loop_.now());
        drain();
      }) {}

kj::Promise<Coordination::Answers> Coordination::execute(std::vector<Operation> operations,
                                                         bool may_forward, Duration timeout) {
  const auto request = coordinator_.execute(std::move(operations), may_forward,
                                            loop_.now() + timeout, loop_.time().wall_now());
  if (!request.ok()) return rpc::to_exception(request.status());
  auto answer = kj::newPromiseAndFulfiller<Answers>();
  waiting_.emplace(*request, kj::mv(answer.fulfiller));
  drain();
  return kj::mv(answer.promise);
}

// Carries out what the coordinator wants until it wants no more. What it hears meanwhile only adds
// to that.
void Coordination::drain() {
  if (draining_) return;
  draining_ = true;
  for (;;) {
    CoordinatorOutput output = coordinator_.take_output();
    if (output.calls.empty() && output.answers.empty() && output.warms.empty() &&
        output.wait_durable == 0 && output.lagging.empty() && !output.must_renew_actor) {
      break;
    }
    for (PeerCall& call : output.calls) make(std::move(call));
    for (CoordinatorOutput::Warm& warm : output.warms) {
      store_.warm(std::move(warm.keys), [this, id = warm.id] {
        coordinator_.on_warm(id);
        drain();
      });
    }
    if (output.wait_durable != 0) {
      store_.when_durable(output.wait_durable, [this, number = output.wait_durable] {
        coordinator_.on_durable(number);
        drain();
      });
    }
    for (auto& answer : output.answers) {
      const auto waiting = waiting_.find(answer.request);
      waiting->second->fulfill(std::move(answer.answers));
      waiting_.erase(waiting);
    }
    for (const NodeId node : output.lagging) handlers_.on_lagging(node);
    if (output.must_renew_actor) handlers_.renew_actor();
  }
  draining_ = false;
  if (const auto next = coordinator_.next_deadline()) alarm_.set(*next);
}

void Coordination::make(PeerCall call) {
  const CallId id = call.id;
  const NodeId to = call.to;
  note_carried(call);
  tasks_.spawn(links_.reach(handlers_.peer_address(to), to)
                   .then([this, call = std::move(call)](wire::Peer::Client peer) {
                     return carry_out(kj::mv(peer), call);
                   })
                   .then(
                       [this, id, to](PeerReply reply) {
                         end(to, id);
                         coordinator_.on_reply(id, std::move(reply));
                         drain();
                       },
                       [this, id, to](kj::Exception&& exception) {
                         end(to, id);
                         coordinator_.on_failure(id, rpc::to_status(exception));
                         drain();
                       }));
}

void Coordination::note_carried(const PeerCall& call) {
  const auto* const replicate = std::get_if<ReplicateCall>(&call.body);
  if (replicate == nullptr) return;
  std::vector<PlacedDot>& dots = replicating_[call.to][call.id];
  for (const auto& keyed : replicate->entries) {
    const PartitionId partition = store_.partitioning().of(keyed->key);
    for (const model::Dot dot : keyed->events) dots.emplace_back(partition, dot);
  }
}

void Coordination::end(NodeId to, CallId call) {
  const auto calls = replicating_.find(to);
  if (calls == replicating_.end()) return;
  calls->second.erase(call);
  if (calls->second.empty()) replicating_.erase(calls);
}

std::vector<Coordination::PlacedDot> Coordination::on_their_way(NodeId to) const {
  std::vector<PlacedDot> all;
  const auto calls = replicating_.find(to);
  if (calls == replicating_.end()) return all;
  for (const auto& [call, dots] : calls->second) all.insert(all.end(), dots.begin(), dots.end());
  std::sort(all.begin(), all.end());
  return all;
}

kj::Promise<PeerReply> Coordination::carry_out(wire::Peer::Client peer, const PeerCall& call) {
  if (const auto* replicate = std::get_if<ReplicateCall>(&call.body)) {
    auto request = peer.replicateRequest();
    auto entries = request.initEntries(static_cast<unsigned>(replicate->entries.size()));
    for (unsigned i = 0; i < entries.size(); ++i) write(*replicate->entries[i], entries[i]);
    return request.send().then([](auto&&) -> PeerReply { return ReplicateReply{}; });
  }
  if (const auto* read_call = std::get_if<ReadCall>(&call.body)) {
    auto request = peer.readRequest();
    auto keys = request.initKeys(static_cast<unsigned>(read_call->keys.size()));
    for (unsigned i = 0; i < keys.size(); ++i) keys.set(i, bytes_of(read_call->keys[i]));
    request.setHeadsOnly(read_call->heads_only);
    return request.send().then([](auto&& reply) -> PeerReply {
      ReadReply answer;
      for (const auto result : reply.getResults()) {
        const absl::Status status = read(result.getStatus());
        answer.entries.push_back(status.ok() ? read(result.getEntry())
                                             : absl::StatusOr<model::Entry>(status));
      }
      return answer;
    });
  }
  const auto& forward = std::get<ForwardCall>(call.body);
  auto request = peer.forwardRequest();
  auto operations = request.initOperations(static_cast<unsigned>(forward.operations.size()));
  for (unsigned i = 0; i < operations.size(); ++i) write(forward.operations[i], operations[i]);
  request.setTimeoutMs(timeout_ms(forward.deadline, loop_.now()));
  request.setSentMs(rpc::sent_ms(loop_.now()));
  return request.send().then([](auto&& reply) -> PeerReply {
    ForwardReply answer;
    for (const auto result : reply.getResults()) answer.answers.push_back(read(result));
    return answer;
  });
}

}  // namespace grapevine::server
