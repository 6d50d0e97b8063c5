// What a node says of itself.
#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "rpc/lateness.h"
#include "server/node.h"
#include "storage/base/version.h"

namespace grapevine::server {
namespace {

std::uint64_t in_ms(Duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// Whether each of two nodes can open what the other one seals.
bool share_keys(capnp::List<std::uint64_t>::Reader theirs,
                const std::vector<rpc::ClusterKey>& mine) {
  if (theirs.size() == 0) return false;
  const auto have_i = [&](std::uint64_t print) {
    return std::any_of(mine.begin(), mine.end(),
                       [&](const rpc::ClusterKey& key) { return rpc::print_of(key) == print; });
  };
  const std::uint64_t own = rpc::print_of(mine.front());
  bool have_they = false;
  for (const std::uint64_t print : theirs) have_they = have_they || print == own;
  return have_they && have_i(theirs[0]);
}

}  // namespace

void Node::fill_info(wire::NodeInfo::Builder out) const {
  out.setId(store_->node().value);
  out.setName(config_.name);
  out.setCluster(config_.cluster_name);
  out.setVersion(kVersion);
  out.setPartitions(config_.partitions);
  out.setReplicationFactor(config_.replication_factor);
}

void Node::fill_hello(wire::Hello::Builder out) const {
  out.setCluster(config_.cluster_name);
  out.setPartitions(config_.partitions);
  out.setReplicationFactor(config_.replication_factor);
  out.setSentMs(rpc::sent_ms(loop_.now()));
  write(cluster_->members().self(), out.initMember());
  out.setProcess(process_);
  out.setUptimeMs(in_ms(loop_.now() - started_));
  const std::vector<rpc::ClusterKey> keys = sealing_keys(config_);
  auto prints = out.initKeyPrints(static_cast<unsigned>(keys.size()));
  for (unsigned i = 0; i < prints.size(); ++i) prints.set(i, rpc::print_of(keys[i]));
}

absl::Status Node::check_hello(wire::Hello::Reader hello) const {
  const gossip::MemberRecord member = read(hello.getMember());
  const std::string who =
      fmt::format("node {} ({}) at {}", member.name, to_string(member.id), member.peer_address);
  const auto refuse = [&](const std::string& why) {
    return absl::FailedPreconditionError(fmt::format("{} {}", who, why));
  };
  const std::string cluster(view(hello.getCluster()));
  if (cluster != config_.cluster_name) {
    return refuse(
        fmt::format("is of cluster \"{}\", this one is of \"{}\"; check --join and "
                    "--cluster-name",
                    cluster, config_.cluster_name));
  }
  if (!share_keys(hello.getKeyPrints(), sealing_keys(config_))) {
    return refuse(
        "has another cluster key, or only one of the two has one; start both with the same "
        "--cluster-key-file");
  }
  if (hello.getPartitions() != config_.partitions) {
    return refuse(
        fmt::format("has {} partitions, this one {}; start both with the same "
                    "--partitions",
                    hello.getPartitions(), config_.partitions));
  }
  if (hello.getReplicationFactor() != config_.replication_factor) {
    return refuse(
        fmt::format("has replication factor {}, this one {}; start both with the same "
                    "--replication-factor",
                    hello.getReplicationFactor(), config_.replication_factor));
  }
  const gossip::ProtocolRange mine = cluster_->members().self().protocols;
  if (member.protocols.min > mine.max || member.protocols.max < mine.min) {
    return refuse(
        fmt::format("speaks peer protocols {} to {}, this one {} to {}; upgrade the "
                    "older one",
                    member.protocols.min, member.protocols.max, mine.min, mine.max));
  }
  if (!member.id.valid()) return refuse("has no valid id");
  if (member.id == store_->node() && hello.getProcess() == process_) {
    return refuse("is this node itself; leave it out of its own --join list");
  }
  if (member.id == store_->node()) {
    return refuse(
        "has this node's own id: a data directory was copied; give each node a directory of its "
        "own");
  }
  if (cluster_->removed(member.id)) {
    return refuse(
        "was removed from the cluster for good; to bring the machine back, start it with an empty "
        "--data-dir");
  }
  return absl::OkStatus();
}

absl::Status Node::may_call(NodeId peer) const {
  if (stopping_) return absl::UnavailableError("this node stops; ask another one");
  if (!cluster_->removed(peer)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("node {} was removed from the cluster for good", to_string(peer)));
}

void Node::say_refused(const absl::Status& status) {
  const std::string text(text_of(status));
  if (complaints_.worth_saying(text, loop_.now())) spdlog::warn("refused: {}", text);
}

std::size_t Node::peer_count() const {
  return cluster_->members().size() - 1;
}

void Node::fill_peers(capnp::List<wire::Reachability>::Builder out) const {
  unsigned i = 0;
  for (const gossip::MemberRecord& member : cluster_->members().all()) {
    if (member.id == store_->node()) continue;
    auto peer = out[i++];
    peer.setNode(member.id.value);
    peer.setReachable(cluster_->reachable(member.id));
    peer.setSinceMs(in_ms(cluster_->since(member.id)));
    peer.setProvenEqualAgoMs(-1);
    const auto compared = anti_entropy_->peers().find(member.id);
    if (compared != anti_entropy_->peers().end() && compared->second.proven_equal.has_value()) {
      peer.setProvenEqualAgoMs(
          static_cast<std::int64_t>(in_ms(loop_.now() - *compared->second.proven_equal)));
    }
  }
}

void Node::fill_status(wire::NodeStatus::Builder out) const {
  const storage::StoreStatistics store = store_->statistics();
  fill_info(out.initInfo());
  out.setReady(not_ready_because_.empty());
  out.setNotReadyBecause(not_ready_because_);
  out.setUptimeMs(in_ms(loop_.now() - started_));
  out.setEpoch(store_->actor().epoch());
  out.setKeys(store.keys);
  out.setDiskBytes(store.disk_bytes);
  out.setUnquiet(store.unquiet);
  out.setDotLogEntries(store.dot_log_entries);
  std::uint32_t owned = 0;
  for (std::uint32_t i = 0; i < store_->partitioning().count(); ++i) {
    owned += cluster_->owns(store_->node(), PartitionId{i}) ? 1 : 0;
  }
  out.setPartitionsOwned(owned);
  fill_peers(out.initPeers(static_cast<unsigned>(peer_count())));

  const CoordinatorCounters& requests = coordination_->coordinator().counters();
  const AntiEntropyCounters& exchanges = anti_entropy_->counters();
  const std::pair<const char*, std::uint64_t> counters[] = {
      {"reads", requests.reads},
      {"writes", requests.writes},
      {"operations_failed", requests.failed},
      {"operations_forwarded", requests.forwarded},
      {"read_repairs", requests.read_repairs},
      {"session_reads_caught_up", requests.caught_up},
      {"session_reads_refused", requests.behind},
      {"cold_operations", requests.cold},
      {"queued_writes", requests.queued},
      {"overloaded_writes", requests.overloaded},
      {"warmed_keys", store.keys_warmed},
      {"warmed_ranges", store.ranges_warmed},
      {"write_stalls", store.write_stalls},
      {"exchanges", exchanges.exchanges},
      {"exchanges_failed", exchanges.failed},
      {"exchanges_proven_equal", exchanges.proven_equal},
      {"comparisons_with_keys", exchanges.comparisons},
      {"delta_pulls", exchanges.delta_pulls},
      {"digest_pulls", exchanges.digest_pulls},
      {"sketch_pulls", exchanges.sketch_pulls},
      {"sketches_undecoded", exchanges.sketches_undecoded},
      {"equal_root_pulls", exchanges.equal_roots},
      {"keys_pulled", exchanges.keys_pulled},
      {"bytes_pulled", exchanges.bytes_pulled},
      {"damage_suspected", exchanges.damage_suspected},
      {"differences_settled", exchanges.differences_settled},
      {"actors_closed", exchanges.actors_closed},
      {"partitions_recovered", exchanges.partitions_recovered},
      {"damage_found", store_->findings().size()},
      {"keys_scrubbed", store.keys_scrubbed},
      {"client_connections", client_server_->connections()},
      {"peer_connections", peer_server_->connections()},
      {"views_open", views_->size()},
      {"member_packets_sent", cluster_->counters().packets_sent},
      {"member_packets_received", cluster_->counters().packets_received},
      {"member_packets_unsealed", cluster_->counters().packets_unsealed},
      {"member_packets_refused", cluster_->swim_counters().packets_refused},
      {"member_probes_missed", cluster_->swim_counters().probes_missed},
      {"member_probes_helped", cluster_->swim_counters().probes_helped},
      {"member_refutations", cluster_->swim_counters().refutations}};
  auto list = out.initCounters(static_cast<unsigned>(std::size(counters)));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setName(counters[i].first);
    list[i].setValue(counters[i].second);
  }
}

}  // namespace grapevine::server
