#include "tools/admin_wire.h"

#include <utility>

#include "rpc/wire_status.h"
#include "storage/base/limits.h"

namespace grapevine::tools {
namespace {

milliseconds to_ms(std::uint64_t count) {
  return milliseconds(static_cast<std::int64_t>(count));
}

model::Dot read_dot(wire::Dot::Reader in) {
  return {ActorId{in.getActor()}, in.getCounter()};
}

}  // namespace

absl::Status read(wire::Status::Reader in) {
  return rpc::read_status(in);
}

NodeInfo read(wire::NodeInfo::Reader in) {
  return {.id = {in.getId()},
          .name = to_string(in.getName()),
          .cluster = to_string(in.getCluster()),
          .version = to_string(in.getVersion()),
          .partitions = in.getPartitions(),
          .replication_factor = in.getReplicationFactor()};
}

NodeStatus read(wire::NodeStatus::Reader in) {
  return {.info = read(in.getInfo()),
          .ready = in.getReady(),
          .not_ready_because = to_string(in.getNotReadyBecause()),
          .uptime = to_ms(in.getUptimeMs()),
          .keys = in.getKeys(),
          .disk_bytes = in.getDiskBytes(),
          .partitions_owned = in.getPartitionsOwned(),
          .peers = read(in.getPeers())};
}

gossip::MemberRecord read(wire::Member::Reader in) {
  gossip::MemberRecord record;
  record.id = {in.getId()};
  record.epoch = in.getEpoch();
  record.name = to_string(in.getName());
  record.peer_address = to_string(in.getPeerAddress());
  record.client_address = to_string(in.getClientAddress());
  record.http_address = to_string(in.getHttpAddress());
  record.zone = to_string(in.getZone());
  record.weight = in.getWeight();
  switch (in.getState()) {
    case wire::MemberState::UP: record.state = gossip::MemberState::kUp; break;
    case wire::MemberState::LEFT: record.state = gossip::MemberState::kLeft; break;
    case wire::MemberState::REMOVED: record.state = gossip::MemberState::kRemoved; break;
  }
  record.incarnation = in.getIncarnation();
  record.protocols = {in.getProtocolMin(), in.getProtocolMax()};
  record.version = to_string(in.getVersion());
  record.place = {in.getPlace()};
  return record;
}

std::vector<SeenPeer> read(capnp::List<wire::Reachability>::Reader in) {
  std::vector<SeenPeer> peers;
  for (const auto from : in) {
    SeenPeer peer{.node = {from.getNode()},
                  .reachable = from.getReachable(),
                  .since = to_ms(from.getSinceMs())};
    if (from.getProvenEqualAgoMs() >= 0)
      peer.proven_equal_ago = milliseconds(from.getProvenEqualAgoMs());
    peers.push_back(peer);
  }
  return peers;
}

absl::StatusOr<gossip::PartitionState> read(wire::PartitionState::Reader in) {
  gossip::PartitionState state;
  state.partition = {in.getPartition()};
  if (state.partition.value >= kPartitionsMax)
    return absl::InternalError("names a partition that cannot exist");
  const std::string clock = to_string(in.getClock());
  GRAPEVINE_ASSIGN_OR_RETURN(state.clock, model::Clock::decode(clock));
  state.root = read(in.getRoot());
  return state;
}

absl::StatusOr<std::vector<OwnedPartition>> read(
    capnp::List<wire::Admin::PartitionOwners>::Reader in) {
  std::vector<OwnedPartition> partitions;
  for (const auto from : in) {
    OwnedPartition owned;
    GRAPEVINE_ASSIGN_OR_RETURN(owned.state, read(from.getState()));
    for (const std::uint64_t owner : from.getOwners()) owned.owners.push_back({owner});
    partitions.push_back(std::move(owned));
  }
  return partitions;
}

Backup read(wire::Admin::Backup::Reader in) {
  return {.number = in.getNumber(),
          .unix_seconds = in.getUnixSeconds(),
          .bytes = in.getBytes(),
          .files = in.getFiles(),
          .epoch = in.getEpoch()};
}

NodeBackup read(wire::Admin::BackupReport::Reader in) {
  return {.directory = to_string(in.getDirectory()),
          .made = read(in.getMade()),
          .files_new = in.getFilesNew(),
          .bytes_new = in.getBytesNew(),
          .deleted = in.getDeleted(),
          .took = milliseconds(in.getMilliseconds())};
}

model::DigestShare read(wire::DigestShare::Reader in) {
  return {{in.getSumLow(), in.getSumHigh()}, in.getKeys(), in.getUnquiet()};
}

model::Item read(wire::Item::Reader in) {
  return {to_string(in.getKey()), in.getKeyHash(), in.getDigest(), in.getUnquiet()};
}

model::KeyedEntry read(wire::KeyedEntry::Reader in) {
  model::KeyedEntry keyed;
  keyed.key = to_string(in.getKey());
  for (const auto from : in.getEntry().getVersions()) {
    model::Version version;
    version.dot = read_dot(from.getDot());
    version.written = {from.getWrittenUnixMs()};
    version.write_id = static_cast<std::uint32_t>(from.getWriteId());
    version.checksum = from.getChecksum();
    version.value_bytes = from.getValueBytes();
    version.has_value = false;
    if (keyed.entry.find(version.dot) == nullptr) keyed.entry.insert(std::move(version));
  }
  return keyed;
}

void write(const model::TokenRange& range, wire::TokenRange::Builder out) {
  out.setFirst(range.first.value);
  out.setLast(range.last.value);
}

}  // namespace grapevine::tools
