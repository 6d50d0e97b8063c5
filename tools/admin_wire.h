// From the messages of the admin protocol to plain values. What a node answers is not trusted: an
// answer that makes no sense becomes an Internal error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rpc/client.capnp.h"
#include "rpc/common.capnp.h"
#include "tools/admin.h"

namespace grapevine::tools {

namespace wire = ::grapevine::rpc::wire;

inline std::string to_string(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string to_string(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}
inline capnp::Data::Reader to_data(std::string_view bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

absl::Status read(wire::Status::Reader in);
NodeInfo read(wire::NodeInfo::Reader in);
NodeStatus read(wire::NodeStatus::Reader in);
gossip::MemberRecord read(wire::Member::Reader in);
std::vector<SeenPeer> read(capnp::List<wire::Reachability>::Reader in);
absl::StatusOr<gossip::PartitionState> read(wire::PartitionState::Reader in);
absl::StatusOr<std::vector<OwnedPartition>> read(
    capnp::List<wire::Admin::PartitionOwners>::Reader in);
Backup read(wire::Admin::Backup::Reader in);
NodeBackup read(wire::Admin::BackupReport::Reader in);
model::DigestShare read(wire::DigestShare::Reader in);
model::Item read(wire::Item::Reader in);
// Values are left out.
model::KeyedEntry read(wire::KeyedEntry::Reader in);
void write(const model::TokenRange& range, wire::TokenRange::Builder out);

}  // namespace grapevine::tools
