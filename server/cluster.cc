#include "server/cluster.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "gossip/placement.h"
#include "rpc/errors.h"
#include "server/wire.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {
namespace {

constexpr const char* kMembersNote = "members";

// The list of the last life; empty when there is none or it cannot be read (seeds and callers bring
// it back).
std::vector<gossip::MemberRecord> remembered(const storage::Store& store) {
  const auto note = store.note(kMembersNote);
  if (!note.ok() || !note->has_value()) return {};
  auto records = gossip::MemberList::decode(**note);
  if (records.ok()) return *std::move(records);
  spdlog::warn("{}: forgotten, it is learnt anew", text_of(records.status()));
  return {};
}

}  // namespace

Cluster::Cluster(rpc::Loop& loop, storage::Store& store, PeerLinks& links, Random& random,
                 gossip::MemberRecord self, std::vector<std::string> seeds,
                 std::uint32_t replication_factor, Handlers handlers)
    : loop_(loop),
      store_(store),
      links_(links),
      replication_factor_(replication_factor),
      handlers_(std::move(handlers)),
      detector_(gossip::PingOptions{}, random),
      membership_(std::move(self), std::move(seeds), remembered(store), detector_, loop.now()),
      alarm_(loop, [this] {
        membership_.tick(loop_.now());
        drain();
      }) {
  recompute_owners();
}

void Cluster::start() {
  alarm_.set(loop_.now());
}

void Cluster::drain() {
  gossip::Membership::Output output = membership_.take_output();
  if (!output.changed.empty()) {
    recompute_owners();
    const absl::Status kept = store_.put_note(kMembersNote, members().encode());
    if (!kept.ok()) spdlog::warn("member list not kept: {}", text_of(kept));
    handlers_.on_changed();
  }
  for (gossip::Membership::Call& call : output.calls) make(std::move(call));
  for (const NodeId node : output.came_up) {
    spdlog::info("node {} ({}) is up", members().find(node)->name, to_string(node));
    handlers_.on_up(node);
  }
  for (const NodeId node : output.went_down) {
    spdlog::warn("node {} ({}) does not answer", members().find(node)->name, to_string(node));
    links_.drop(node);
    handlers_.on_down(node);
  }
  alarm_.set(membership_.next_deadline());
}

void Cluster::make(gossip::Membership::Call call) {
  auto late = loop_.after(kProbeTime).then([]() -> std::vector<gossip::MemberRecord> {
    kj::throwFatalException(rpc::to_exception(absl::UnavailableError("no answer in time")));
  });
  tasks_.spawn(links_.reach(call.address, call.to)
                   .then([records = std::move(call.records)](wire::Peer::Client peer) {
                     auto request = peer.syncRequest();
                     auto out = request.initMembers(static_cast<unsigned>(records.size()));
                     for (unsigned i = 0; i < out.size(); ++i) write(records[i], out[i]);
                     return request.send();
                   })
                   .then([](auto&& reply) {
                     std::vector<gossip::MemberRecord> answered;
                     for (const auto member : reply.getMembers()) answered.push_back(read(member));
                     return answered;
                   })
                   .exclusiveJoin(kj::mv(late))
                   .then(
                       [this, number = call.number, to = call.to,
                        begun = loop_.now()](std::vector<gossip::MemberRecord> answered) {
                         membership_.on_reply(number, answered, loop_.now());
                         drain();
                         if (to.has_value()) handlers_.on_told(*to, begun);
                       },
                       [this, number = call.number, to = call.to,
                        address = call.address](kj::Exception&& exception) {
                         const absl::Status status = rpc::to_status(exception);
                         if (absl::IsFailedPrecondition(status)) {
                           spdlog::error("{}", text_of(status));
                         } else {
                           spdlog::debug("probe of {}: {}", address, text_of(status));
                         }
                         membership_.on_failure(number, loop_.now());
                         // The link may lead nowhere, with nobody to say so: the next probe dials anew.
                         if (to.has_value() && !membership_.up(*to) &&
                             !GRAPEVINE_FLAW(keeps_links_to_nowhere)) {
                           links_.drop(*to);
                         }
                         drain();
                       }));
}

void Cluster::recompute_owners() {
  const std::vector<gossip::MemberRecord> all = members().all();
  owners_.clear();
  for (std::uint32_t i = 0; i < store_.partitioning().count(); ++i) {
    owners_.push_back(gossip::owners(PartitionId{i}, all, replication_factor_));
  }
}

bool Cluster::owns(NodeId node, PartitionId partition) const {
  const std::vector<NodeId>& list = owners(partition);
  return std::find(list.begin(), list.end(), node) != list.end();
}

std::vector<PartitionId> Cluster::shared_with(NodeId peer) const {
  std::vector<PartitionId> shared;
  for (std::uint32_t i = 0; i < owners_.size(); ++i) {
    const PartitionId partition{i};
    if (owns(self(), partition) && owns(peer, partition)) shared.push_back(partition);
  }
  return shared;
}

std::string Cluster::peer_address(NodeId node) const {
  const gossip::MemberRecord* const member = members().find(node);
  return member == nullptr ? std::string() : member->peer_address;
}

std::vector<gossip::MemberRecord> Cluster::on_call(
    NodeId from, const std::vector<gossip::MemberRecord>& records) {
  auto answer = membership_.on_call(from, records, loop_.now());
  drain();
  return answer;
}

void Cluster::on_connection_lost(NodeId node) {
  membership_.on_connection_lost(node, loop_.now());
  drain();
}

void Cluster::change_epoch(std::uint64_t epoch) {
  gossip::MemberRecord record = members().self();
  record.epoch = epoch;
  membership_.change_self(record);
  drain();
}

}  // namespace grapevine::server
