#include "server/admin_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gossip/responder.h"
#include "rpc/errors.h"
#include "server/node.h"

namespace grapevine::server {
namespace {

class AdminService final : public wire::Admin::Server {
 public:
  explicit AdminService(Node& node) : node_(node) {}

  kj::Promise<void> status(StatusContext context) override {
    node_.fill_status(context.getResults().initStatus());
    return kj::READY_NOW;
  }

  kj::Promise<void> members(MembersContext context) override {
    auto results = context.getResults();
    write(node_.cluster().members().all(),
          [&](unsigned count) { return results.initMembers(count); });
    node_.fill_peers(results.initPeers(static_cast<unsigned>(node_.peer_count())));
    return kj::READY_NOW;
  }

  kj::Promise<void> states(StatesContext context) override {
    std::vector<PartitionId> owned;
    for (std::uint32_t i = 0; i < node_.store().partitioning().count(); ++i) {
      if (node_.cluster().owns(node_.cluster().self(), PartitionId{i})) owned.push_back({i});
    }
    auto out = context.getResults().initStates(static_cast<unsigned>(owned.size()));
    for (unsigned i = 0; i < out.size(); ++i) {
      write(gossip::state_of(node_.replica(), owned[i]), out[i].initState());
      const std::vector<NodeId>& owners = node_.cluster().owners(owned[i]);
      auto ids = out[i].initOwners(static_cast<unsigned>(owners.size()));
      for (unsigned j = 0; j < ids.size(); ++j) ids.set(j, owners[j].value);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> openView(OpenViewContext context) override {
    const PartitionId partition{context.getParams().getPartition()};
    auto results = context.getResults();
    if (partition.value >= node_.store().partitioning().count()) {
      write(absl::InvalidArgumentError(fmt::format("partition {}: does not exist, there are {}",
                                                   partition.value,
                                                   node_.store().partitioning().count())),
            results.initStatus());
      return kj::READY_NOW;
    }
    auto opened = node_.views().open(partition);
    write(opened.status(), results.initStatus());
    if (!opened.ok()) return kj::READY_NOW;
    write(gossip::state_of(*opened->frozen, partition), results.initState());
    results.setView(kj::mv(opened->view));
    return kj::READY_NOW;
  }

  kj::Promise<void> repair(RepairContext context) override {
    const std::uint32_t asked = context.getParams().getTimeoutMs();
    const Duration timeout =
        asked == 0 ? Duration(std::chrono::minutes(1)) : Duration(std::chrono::milliseconds(asked));
    return node_.anti_entropy().repair(timeout).then(
        [context](AntiEntropy::RepairReport report) mutable {
          auto results = context.getResults();
          write(report.finished ? absl::OkStatus()
                                : absl::UnavailableError("not every reachable peer was proven "
                                                         "equal in time; run repair again"),
                results.initStatus());
          auto out = results.initReport();
          out.setPeers(report.peers);
          out.setUnreachable(report.unreachable);
          out.setProvenEqual(report.proven_equal);
          out.setKeysPulled(report.keys_pulled);
          out.setBytesPulled(report.bytes_pulled);
        });
  }

 private:
  Node& node_;
};

}  // namespace

wire::Admin::Client make_admin(Node& node) {
  return kj::heap<AdminService>(node);
}

}  // namespace grapevine::server
