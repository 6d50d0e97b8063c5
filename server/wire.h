// Between Cap'n Proto's messages and our own values. What arrives is hostile: a read function gives
// a Status for what no node of ours would send.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gossip/member.h"
#include "gossip/messages.h"
#include "rpc/client.capnp.h"
#include "rpc/common.capnp.h"
#include "rpc/peer.capnp.h"
#include "server/operation.h"
#include "server/scanned_key.h"
#include "storage/base/status.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"

namespace grapevine::server {

namespace wire = ::grapevine::rpc::wire;

inline std::string_view view(capnp::Data::Reader bytes) {
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}
inline std::string_view view(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}
inline capnp::Data::Reader bytes_of(std::string_view bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

void write(const absl::Status& status, wire::Status::Builder out);
absl::Status read(wire::Status::Reader in);

void write(const model::Entry& entry, wire::Entry::Builder out);  // values where the entry has them
absl::StatusOr<model::Entry> read(wire::Entry::Reader in);
void write(const model::KeyedEntry& keyed, wire::KeyedEntry::Builder out);
absl::StatusOr<model::KeyedEntry> read(wire::KeyedEntry::Reader in);

void write(const model::DotRange& range, wire::DotRange::Builder out);
absl::StatusOr<std::vector<model::DotRange>> read(capnp::List<wire::DotRange>::Reader in);
void write(const model::TokenRange& range, wire::TokenRange::Builder out);
model::TokenRange read(wire::TokenRange::Reader in);
void write(const model::DigestShare& share, wire::DigestShare::Builder out);
model::DigestShare read(wire::DigestShare::Reader in);
void write(const model::Item& item, wire::Item::Builder out);
model::Item read(wire::Item::Reader in);
void write(const gossip::PartitionState& state, wire::PartitionState::Builder out);
absl::StatusOr<gossip::PartitionState> read(wire::PartitionState::Reader in);

void write(const gossip::Summary& summary, wire::Peer::Summary::Builder out);
gossip::Summary read(wire::Peer::Summary::Reader in);

void write(const gossip::MemberRecord& record, wire::Member::Builder out);
gossip::MemberRecord read(wire::Member::Reader in);

void write(const Operation& operation, wire::Operation::Builder out);
Operation read(wire::Operation::Reader in);
void write(const model::Version& version, wire::Sibling::Builder out);
model::Version read(wire::Sibling::Reader in);
void write(const ScannedKey& key, wire::ScanItem::Builder out);
void write(const OperationAnswer& answer, wire::Result::Builder out);
// For answers of a peer to which operations were forwarded.
OperationAnswer read(wire::Result::Reader in);

// A list of any of these: `init(count)` makes the builder.
template <typename T, typename Init>
void write(const std::vector<T>& values, Init init) {
  auto out = init(static_cast<unsigned>(values.size()));
  for (unsigned i = 0; i < out.size(); ++i) write(values[i], out[i]);
}

}  // namespace grapevine::server
