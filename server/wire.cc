#include "server/wire.h"

#include <fmt/format.h>

#include "rpc/wire_status.h"
#include "storage/base/limits.h"

namespace grapevine::server {
namespace {

template <typename Range>
unsigned count(const Range& range) {
  return static_cast<unsigned>(range.size());
}

void write(const model::Dot& dot, wire::Dot::Builder out) {
  out.setActor(dot.actor.value);
  out.setCounter(dot.counter);
}

model::Dot read(wire::Dot::Reader in) {
  return {ActorId{in.getActor()}, in.getCounter()};
}

absl::StatusOr<model::Dot> read_checked(wire::Dot::Reader in) {
  const model::Dot dot = read(in);
  if (dot.counter == 0 || dot.counter > model::kCounterMax) {
    return absl::InvalidArgumentError(
        fmt::format("entry of a peer: an impossible counter, {}", dot.counter));
  }
  return dot;
}

absl::StatusOr<model::Version> read(wire::Version::Reader in) {
  model::Version version;
  GRAPEVINE_ASSIGN_OR_RETURN(version.dot, read_checked(in.getDot()));
  version.written.unix_ms = in.getWrittenUnixMs();
  version.expires.unix_ms = in.getExpiresUnixMs();
  version.write_id = static_cast<std::uint32_t>(in.getWriteId());
  version.checksum = in.getChecksum();
  version.value_bytes = in.getValueBytes();
  version.has_value = in.getHasValue();
  if (version.value_bytes > kValueBytesMax && !version.has_value) {
    return absl::InvalidArgumentError(
        fmt::format("entry of a peer: a value of {} bytes, the limit is {}", version.value_bytes,
                    kValueBytesMax));
  }
  if (version.has_value) {
    version.value = view(in.getValue());
    if (version.value.size() > kValueBytesMax ||
        model::value_checksum(version.value) != version.checksum) {
      return absl::InvalidArgumentError("entry of a peer: a value does not match its checksum");
    }
    version.value_bytes = version.value.size();
  }
  return version;
}

}  // namespace

void write(const absl::Status& status, wire::Status::Builder out) {
  rpc::write_status(status, out);
}

absl::Status read(wire::Status::Reader in) {
  return rpc::read_status(in);
}

void write(const model::Entry& entry, wire::Entry::Builder out) {
  auto versions = out.initVersions(count(entry.versions));
  for (unsigned i = 0; i < versions.size(); ++i) {
    const model::Version& version = entry.versions[i];
    auto to = versions[i];
    write(version.dot, to.initDot());
    to.setWrittenUnixMs(version.written.unix_ms);
    to.setExpiresUnixMs(version.expires.unix_ms);
    to.setWriteId(version.write_id);
    to.setChecksum(version.checksum);
    to.setValueBytes(version.value_bytes);
    to.setHasValue(version.has_value);
    if (version.has_value) to.setValue(bytes_of(version.value));
  }
  auto items = out.initVector().initItems(count(entry.vector.items()));
  for (unsigned i = 0; i < items.size(); ++i) {
    const auto& [actor, counter] = entry.vector.items()[i];
    write(model::Dot{actor, counter}, items[i]);
  }
}

absl::StatusOr<model::Entry> read(wire::Entry::Reader in) {
  model::Entry entry;
  for (const auto item : in.getVector().getItems()) {
    const model::Dot top = read(item);
    if (top.counter == 0 || top.counter > model::kClosed) {
      return absl::InvalidArgumentError("entry of a peer: its vector holds an impossible counter");
    }
    entry.vector.raise(top);
  }
  for (const auto from : in.getVersions()) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto version, read(from));
    if (entry.find(version.dot) != nullptr || !entry.vector.covers(version.dot)) {
      return absl::InvalidArgumentError(
          "entry of a peer: a version twice, or not covered by the entry's vector");
    }
    entry.insert(std::move(version));
  }
  return entry;
}

void write(const model::KeyedEntry& keyed, wire::KeyedEntry::Builder out) {
  out.setKey(bytes_of(keyed.key));
  write(keyed.entry, out.initEntry());
  auto events = out.initEvents(count(keyed.events));
  for (unsigned i = 0; i < events.size(); ++i) write(keyed.events[i], events[i]);
}

absl::StatusOr<model::KeyedEntry> read(wire::KeyedEntry::Reader in) {
  model::KeyedEntry keyed;
  keyed.key = view(in.getKey());
  if (keyed.key.empty() || keyed.key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("entry of a peer: key of {} bytes", keyed.key.size()));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(keyed.entry, read(in.getEntry()));
  for (const auto from : in.getEvents()) {
    GRAPEVINE_ASSIGN_OR_RETURN(const model::Dot event, read_checked(from));
    keyed.events.push_back(event);
  }
  return keyed;
}

void write(const model::DotRange& range, wire::DotRange::Builder out) {
  out.setActor(range.actor.value);
  out.setFirst(range.first);
  out.setLast(range.last);
}

absl::StatusOr<std::vector<model::DotRange>> read(capnp::List<wire::DotRange>::Reader in) {
  std::vector<model::DotRange> ranges;
  for (const auto from : in) {
    const model::DotRange range{ActorId{from.getActor()}, from.getFirst(), from.getLast()};
    if (range.first == 0 || range.last < range.first || range.last > model::kCounterMax) {
      return absl::InvalidArgumentError("dots of a peer: an impossible range");
    }
    ranges.push_back(range);
  }
  return ranges;
}

void write(const model::TokenRange& range, wire::TokenRange::Builder out) {
  out.setFirst(range.first.value);
  out.setLast(range.last.value);
}

model::TokenRange read(wire::TokenRange::Reader in) {
  return {{in.getFirst()}, {in.getLast()}};
}

void write(const model::DigestShare& share, wire::DigestShare::Builder out) {
  out.setSumLow(share.sum.low);
  out.setSumHigh(share.sum.high);
  out.setKeys(share.keys);
  out.setUnquiet(share.unquiet);
}

model::DigestShare read(wire::DigestShare::Reader in) {
  return {{in.getSumLow(), in.getSumHigh()}, in.getKeys(), in.getUnquiet()};
}

void write(const model::Item& item, wire::Item::Builder out) {
  if (!item.key.empty()) out.setKey(bytes_of(item.key));
  out.setKeyHash(item.key_hash);
  out.setDigest(item.digest);
  out.setUnquiet(item.unquiet);
}

model::Item read(wire::Item::Reader in) {
  return {std::string(view(in.getKey())), in.getKeyHash(), in.getDigest(), in.getUnquiet()};
}

void write(const gossip::PartitionState& state, wire::PartitionState::Builder out) {
  out.setPartition(state.partition.value);
  std::string clock;
  state.clock.encode(clock);
  out.setClock(bytes_of(clock));
  write(state.root, out.initRoot());
}

absl::StatusOr<gossip::PartitionState> read(wire::PartitionState::Reader in) {
  gossip::PartitionState state;
  state.partition = {in.getPartition()};
  if (state.partition.value >= kPartitionsMax) {
    return absl::InvalidArgumentError("state of a peer: a partition that cannot exist");
  }
  GRAPEVINE_ASSIGN_OR_RETURN(state.clock, model::Clock::decode(view(in.getClock())));
  state.root = read(in.getRoot());
  return state;
}

void write(const gossip::Summary& summary, wire::Peer::Summary::Builder out) {
  out.setRootsLow(summary.roots.low);
  out.setRootsHigh(summary.roots.high);
  out.setClocks(summary.clocks);
}

gossip::Summary read(wire::Peer::Summary::Reader in) {
  return {{in.getRootsLow(), in.getRootsHigh()}, in.getClocks()};
}

void write(const gossip::MemberRecord& record, wire::Member::Builder out) {
  out.setId(record.id.value);
  out.setEpoch(record.epoch);
  out.setName(record.name);
  out.setPeerAddress(record.peer_address);
  out.setClientAddress(record.client_address);
  out.setHttpAddress(record.http_address);
  out.setZone(record.zone);
  out.setWeight(record.weight);
  out.setState(static_cast<wire::MemberState>(record.state));
  out.setIncarnation(record.incarnation);
  out.setProtocolMin(record.protocols.min);
  out.setProtocolMax(record.protocols.max);
  out.setVersion(record.version);
  out.setPlace(record.place.value);
}

gossip::MemberRecord read(wire::Member::Reader in) {
  gossip::MemberRecord record;
  record.id = {in.getId()};
  record.epoch = in.getEpoch();
  record.name = view(in.getName());
  record.peer_address = view(in.getPeerAddress());
  record.client_address = view(in.getClientAddress());
  record.http_address = view(in.getHttpAddress());
  record.zone = view(in.getZone());
  record.weight = in.getWeight();
  const auto state = static_cast<std::uint8_t>(in.getState());
  record.state = state <= static_cast<std::uint8_t>(gossip::MemberState::kRemoved)
                     ? static_cast<gossip::MemberState>(state)
                     : gossip::MemberState::kUp;
  record.incarnation = in.getIncarnation();
  record.protocols = {in.getProtocolMin(), in.getProtocolMax()};
  record.version = view(in.getVersion());
  record.place = {in.getPlace()};
  return record;
}

void write(const Operation& operation, wire::Operation::Builder out) {
  out.setKey(bytes_of(operation.key));
  out.setConsistency(operation.consistency == Consistency::kOne   ? wire::Consistency::ONE
                     : operation.consistency == Consistency::kAll ? wire::Consistency::ALL
                                                                  : wire::Consistency::QUORUM);
  if (operation.session.has_value()) out.getSession().setSeen(bytes_of(*operation.session));
  if (!operation.writes()) {
    out.setGet();
    return;
  }
  auto to = operation.kind == OperationKind::kPut ? out.initPut() : out.initRemove();
  to.setValue(bytes_of(operation.value));
  to.setWriteId(operation.write_id);
  to.setTtlMs(operation.ttl_ms);
  if (operation.context.has_value()) {
    to.getContext().setSeen(bytes_of(*operation.context));
  } else {
    to.getContext().setCurrent();
  }
}

Operation read(wire::Operation::Reader in) {
  Operation operation;
  operation.key = view(in.getKey());
  operation.consistency = in.getConsistency() == wire::Consistency::ONE   ? Consistency::kOne
                          : in.getConsistency() == wire::Consistency::ALL ? Consistency::kAll
                                                                          : Consistency::kQuorum;
  if (in.getSession().isSeen()) operation.session = view(in.getSession().getSeen());
  if (in.isGet()) return operation;
  operation.kind = in.isPut() ? OperationKind::kPut : OperationKind::kRemove;
  const auto from = in.isPut() ? in.getPut() : in.getRemove();
  operation.value = view(from.getValue());
  operation.write_id = from.getWriteId();
  operation.ttl_ms = from.getTtlMs();
  if (from.getContext().isSeen()) operation.context = view(from.getContext().getSeen());
  return operation;
}

void write(const model::Version& version, wire::Sibling::Builder out) {
  if (version.has_value) out.setValue(bytes_of(version.value));
  write(version.dot, out.initDot());
  out.setWrittenUnixMs(version.written.unix_ms);
  out.setExpiresUnixMs(version.expires.unix_ms);
  out.setValueBytes(version.value_bytes);
}

model::Version read(wire::Sibling::Reader in) {
  model::Version version;
  version.dot = read(in.getDot());
  version.written.unix_ms = in.getWrittenUnixMs();
  version.expires.unix_ms = in.getExpiresUnixMs();
  version.value_bytes = in.getValueBytes();
  version.has_value = in.hasValue();
  version.value = view(in.getValue());
  return version;
}

void write(const ScannedKey& key, wire::ScanItem::Builder out) {
  out.setKey(bytes_of(key.key));
  write(key.versions, [&](unsigned count) { return out.initSiblings(count); });
}

void write(const OperationAnswer& answer, wire::Result::Builder out) {
  if (const auto* error = std::get_if<absl::Status>(&answer)) {
    write(*error, out.initError());
  } else if (const auto* found = std::get_if<ReadAnswer>(&answer)) {
    auto to = out.initRead();
    auto siblings = to.initSiblings(count(found->siblings));
    for (unsigned i = 0; i < siblings.size(); ++i) write(found->siblings[i], siblings[i]);
    to.setContext(bytes_of(found->context));
    if (!found->session.empty()) out.setSession(bytes_of(found->session));
  } else {
    const auto& written = std::get<WriteAnswer>(answer);
    auto to = out.initWritten();
    write(written.dot, to.initDot());
    to.setContext(bytes_of(written.context));
    if (!written.session.empty()) out.setSession(bytes_of(written.session));
  }
}

OperationAnswer read(wire::Result::Reader in) {
  switch (in.which()) {
    case wire::Result::ERROR: return read(in.getError());
    case wire::Result::READ: {
      ReadAnswer answer;
      for (const auto from : in.getRead().getSiblings()) {
        answer.siblings.push_back(read(from));
      }
      answer.context = view(in.getRead().getContext());
      answer.session = view(in.getSession());
      return answer;
    }
    case wire::Result::WRITTEN:
      return WriteAnswer{read(in.getWritten().getDot()),
                         std::string(view(in.getWritten().getContext())),
                         std::string(view(in.getSession()))};
  }
  return absl::InternalError("a peer answered with a result of an unknown kind");
}

}  // namespace grapevine::server
