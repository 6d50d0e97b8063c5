#include "server/handover.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "gossip/partition_states.h"
#include "gossip/states_codec.h"
#include "rpc/errors.h"
#include "server/wire.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {

Handover::Handover(rpc::Loop& loop, StoreReplica& replica, Cluster& cluster, PeerLinks& links,
                   Duration interval)
    : loop_(loop),
      replica_(replica),
      cluster_(cluster),
      links_(links),
      interval_(interval),
      alarm_(loop, [this] { tick(); }) {}

bool Handover::lacks(NodeId owner, PartitionId partition) const {
  if (GRAPEVINE_FLAW(hands_nothing_over)) return false;
  const auto known = handed_over_.find(partition);
  if (known == handed_over_.end()) return true;
  const auto hash = known->second.find(owner);
  return hash == known->second.end() || hash->second != replica_.live(partition).clock().hash();
}

bool Handover::done() const {
  for (std::uint32_t i = 0; i < cluster_.partition_count(); ++i) {
    const PartitionId partition{i};
    if (cluster_.owns(cluster_.self(), partition) || replica_.live(partition).clock().empty()) {
      continue;
    }
    for (const NodeId owner : cluster_.owners(partition)) {
      if (cluster_.reachable(owner) && lacks(owner, partition)) return false;
    }
  }
  return true;
}

kj::Promise<void> Handover::when_done() {
  if (done()) return kj::READY_NOW;
  return loop_.after(interval_).then([this] { return when_done(); });
}

void Handover::tick() {
  alarm_.set(loop_.now() + interval_);
  std::map<NodeId, std::vector<gossip::PartitionState>> offers;
  for (std::uint32_t i = 0; i < cluster_.partition_count(); ++i) {
    const PartitionId partition{i};
    if (cluster_.owns(cluster_.self(), partition)) {
      handed_over_.erase(partition);
      continue;
    }
    if (replica_.live(partition).clock().empty()) continue;
    for (const NodeId owner : cluster_.owners(partition)) {
      if (!cluster_.reachable(owner) || offering_.contains(owner) || !lacks(owner, partition)) {
        continue;
      }
      auto& states = offers[owner];
      if (states.size() < kPartitionsAtOnce) {
        states.push_back(gossip::state_of(replica_, partition));
      }
    }
  }
  for (auto& [owner, states] : offers) offer(owner, std::move(states));
}

void Handover::offer(NodeId owner, std::vector<gossip::PartitionState> states) {
  offering_.insert(owner);
  auto late = loop_.after(kOfferTime).then([] {
    kj::throwFatalException(rpc::to_exception(absl::UnavailableError("no answer in time")));
  });
  tasks_.spawn(links_.reach(cluster_.peer_address(owner), owner)
                   .then([states](wire::Peer::Client link) {
                     auto call = link.statesRequest();
                     call.setStates(bytes_of(gossip::encode_states(states)));
                     return call.send();
                   })
                   .then([this, owner, states](auto&& reply) {
                     const auto answered = gossip::decode_states(view(reply.getStates()));
                     rpc::throw_if_error(answered.status());
                     for (const gossip::PartitionState& theirs : *answered) {
                       for (const gossip::PartitionState& offered : states) {
                         if (offered.partition != theirs.partition) continue;
                         if (!theirs.clock.covers(offered.clock)) continue;
                         handed_over_[offered.partition][owner] = offered.clock.hash();
                       }
                     }
                   })
                   .exclusiveJoin(kj::mv(late))
                   .then([this, owner] { offering_.erase(owner); },
                         [this, owner](kj::Exception&& exception) {
                           offering_.erase(owner);
                           spdlog::debug("offer to {}: {}", to_string(owner),
                                         text_of(rpc::to_status(exception)));
                         }));
}

}  // namespace grapevine::server
