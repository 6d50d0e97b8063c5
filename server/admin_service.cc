#include "server/admin_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gossip/partition_states.h"
#include "rpc/errors.h"
#include "server/node.h"

namespace grapevine::server {
namespace {

constexpr Duration kEventsTime = std::chrono::minutes(1);

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

  kj::Promise<void> ages(AgesContext context) override {
    const auto of = context.getParams().getOf();
    auto results = context.getResults();
    auto out = results.initAges(of.size());
    for (unsigned i = 0; i < of.size(); ++i) {
      const PartitionId partition{of[i].getPartition()};
      const auto dots = server::read(of[i].getDots());
      if (partition.value >= node_.store().partitioning().count() || !dots.ok()) {
        write(dots.ok() ? absl::InvalidArgumentError(
                              fmt::format("partition {}: does not exist, there are {}",
                                          partition.value, node_.store().partitioning().count()))
                        : dots.status(),
              results.initStatus());
        return kj::READY_NOW;
      }
      const auto ages = node_.store().ages(partition, *dots);
      out[i].setInFlight(ages.in_flight);
      out[i].setOldestMs(-1);
      if (ages.complete && ages.oldest.has_value()) {
        out[i].setOldestMs(
            std::chrono::duration_cast<std::chrono::milliseconds>(node_.loop().now() - *ages.oldest)
                .count());
      }
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

  kj::Promise<void> leave(LeaveContext context) override {
    const std::uint32_t asked = context.getParams().getTimeoutMs();
    const Duration timeout =
        asked == 0 ? Duration(std::chrono::minutes(1)) : Duration(std::chrono::milliseconds(asked));
    return node_.leave(timeout).then([context](const absl::Status& status) mutable {
      write(status, context.getResults().initStatus());
    });
  }

  kj::Promise<void> remove(RemoveContext context) override {
    const NodeId node{context.getParams().getNode()};
    write(node_.cluster().remove(node), context.getResults().initStatus());
    return kj::READY_NOW;
  }

  kj::Promise<void> replace(ReplaceContext context) override {
    const NodeId node{context.getParams().getNode()};
    write(node_.cluster().replace(node), context.getResults().initStatus());
    return kj::READY_NOW;
  }

  kj::Promise<void> tell(TellContext context) override {
    const auto params = context.getParams();
    write(node_.cluster().tell(std::string(view(params.getName())),
                               std::string(view(params.getPayload()))),
          context.getResults().initStatus());
    return kj::READY_NOW;
  }

  kj::Promise<void> events(EventsContext context) override {
    const auto params = context.getParams();
    const std::uint64_t after = params.getAfter();
    auto answer = [this, context, after]() mutable {
      auto results = context.getResults();
      const auto events = node_.events().after(after);
      auto out = results.initEvents(static_cast<unsigned>(events.size()));
      for (unsigned i = 0; i < out.size(); ++i) {
        const gossip::Rumour& rumour = events[i].rumour;
        out[i].setName(rumour.name);
        out[i].setPayload(bytes_of(rumour.payload));
        out[i].setOrigin(rumour.id.origin.value);
        out[i].setSequence(rumour.id.sequence);
      }
      results.setLast(node_.events().last());
    };
    if (after > node_.events().last()) {
      answer();
      return kj::READY_NOW;
    }
    const Duration timeout =
        std::min<Duration>(std::chrono::milliseconds(params.getTimeoutMs()), kEventsTime);
    return node_.events()
        .any_after(after)
        .exclusiveJoin(node_.loop().after(timeout))
        .then(kj::mv(answer));
  }

  kj::Promise<void> backup(BackupContext context) override {
    const auto params = context.getParams();
    return node_.backups()
        .make(std::string(view(params.getDirectory())), params.getKeep(),
              params.getBytesPerSecond())
        .then([context](absl::StatusOr<Backups::Made> made) mutable {
          auto results = context.getResults();
          write(made.status(), results.initStatus());
          if (!made.ok()) return;
          auto report = results.initReport();
          report.setDirectory(made->directory);
          fill(made->report.made, report.initMade());
          report.setFilesNew(made->report.files_new);
          report.setBytesNew(made->report.bytes_new);
          report.setDeleted(made->report.deleted);
          report.setMilliseconds(static_cast<std::uint64_t>(
              std::chrono::duration_cast<std::chrono::milliseconds>(made->took).count()));
        });
  }

  kj::Promise<void> backupProgress(BackupProgressContext context) override {
    auto results = context.getResults();
    results.setUnderWay(node_.backups().under_way());
    results.setBytesCopied(node_.backups().bytes_copied());
    return kj::READY_NOW;
  }

  kj::Promise<void> backups(BackupsContext context) override {
    return node_.backups()
        .list(std::string(view(context.getParams().getDirectory())))
        .then([context](absl::StatusOr<Backups::Listed> listed) mutable {
          auto results = context.getResults();
          write(listed.status(), results.initStatus());
          if (!listed.ok()) return;
          results.setDirectory(listed->directory);
          auto out = results.initBackups(static_cast<unsigned>(listed->backups.size()));
          for (unsigned i = 0; i < out.size(); ++i) fill(listed->backups[i], out[i]);
        });
  }

 private:
  static void fill(const storage::BackupInfo& backup, wire::Admin::Backup::Builder out) {
    out.setNumber(backup.number);
    out.setUnixSeconds(backup.unix_seconds);
    out.setBytes(backup.bytes);
    out.setFiles(backup.files);
    out.setEpoch(backup.owner.actor.epoch());
  }

  Node& node_;
};

}  // namespace

wire::Admin::Client make_admin(Node& node) {
  return kj::heap<AdminService>(node);
}

}  // namespace grapevine::server
