// Runs the coordinator: its calls over the links to peers, its answers as promises, its deadlines
// by the loop's timer.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rpc/loop.h"
#include "server/alarm.h"
#include "server/coordinator.h"
#include "server/peer_links.h"
#include "server/tasks.h"
#include "storage/store.h"

namespace grapevine::server {

// Resource, loop thread.
class Coordination {
 public:
  struct Handlers {
    std::function<std::string(NodeId)> peer_address;  // empty when it is unknown
    std::function<void(NodeId)> on_lagging;           // missed a write
    std::function<void()> renew_actor;                // R7
  };

  Coordination(rpc::Loop& loop, storage::Store& store, const Ring& ring, PeerLinks& links,
               Handlers handlers);

  // One answer an operation, in order. An error of the whole is an exception with a Status in it.
  kj::Promise<std::vector<OperationAnswer>> execute(std::vector<Operation> operations,
                                                    bool may_forward, Duration timeout);
  Coordinator& coordinator() { return coordinator_; }

  // What calls that wait for the answer of `to` carry there, sorted. O(n log n).
  using PlacedDot = std::pair<PartitionId, model::Dot>;
  std::vector<PlacedDot> on_their_way(NodeId to) const;

 private:
  using Answers = std::vector<OperationAnswer>;

  void drain();
  void make(PeerCall call);
  void note_carried(const PeerCall& call);
  void end(NodeId to, CallId call);
  kj::Promise<PeerReply> carry_out(wire::Peer::Client peer, const PeerCall& call);

  rpc::Loop& loop_;
  storage::Store& store_;
  PeerLinks& links_;
  const Handlers handlers_;
  Coordinator coordinator_;
  std::map<NodeId, std::map<CallId, std::vector<PlacedDot>>> replicating_;
  std::map<RequestId, kj::Own<kj::PromiseFulfiller<Answers>>> waiting_;
  bool draining_ = false;
  Alarm alarm_;
  Tasks tasks_;
};

}  // namespace grapevine::server
