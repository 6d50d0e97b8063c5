#include "gossip/packet.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <optional>
#include <type_traits>

#include "gossip/member_codec.h"
#include "storage/base/check.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kHeaderBytes = 13;
constexpr std::size_t kMessagesMax = 256;

// The kind of a message is the place of its type in Message, from 1 on: append only.
struct BodyWriter {
  std::string& out;

  void operator()(const Ping& ping) const {
    model::put_varint(out, ping.number);
    model::put_fixed64(out, ping.to.value);
  }
  void operator()(const Ack& ack) const { model::put_varint(out, ack.number); }
  void operator()(const PingRequest& request) const {
    model::put_varint(out, request.number);
    model::put_fixed64(out, request.to.value);
    model::put_bytes(out, request.address);
  }
  void operator()(const Nack& nack) const { model::put_varint(out, nack.number); }
  void operator()(const MemberRecord& record) const { encode_record(record, out); }
  void operator()(const Suspect& suspect) const { accuse(suspect); }
  void operator()(const Down& down) const { accuse(down); }
  void operator()(const LoadReport& report) const {
    model::put_fixed64(out, report.node.value);
    model::put_varint(out, report.incarnation);
    model::put_varint(out, report.sequence);
    model::put_varint(out, report.load.queue_depth);
    model::put_varint(out, report.load.cpu_percent);
    model::put_varint(out, report.load.disk_free_mib);
  }
  void operator()(const Rumour& rumour) const {
    model::put_fixed64(out, rumour.id.origin.value);
    model::put_varint(out, rumour.id.sequence);
    model::put_varint(out, rumour.age_seconds);
    model::put_bytes(out, rumour.name);
    model::put_bytes(out, rumour.payload);
  }
  void operator()(const Summary& summary) const {
    model::put_fixed64(out, summary.roots.low);
    model::put_fixed64(out, summary.roots.high);
    model::put_fixed64(out, summary.clocks);
  }
  template <typename Accusation>
  void accuse(const Accusation& accusation) const {
    model::put_fixed64(out, accusation.node.value);
    model::put_varint(out, accusation.incarnation);
    model::put_fixed64(out, accusation.by.value);
  }
};

NodeId node(model::ByteReader& in) {
  const NodeId id{in.fixed64()};
  if (!id.valid()) in.fail();
  return id;
}

std::uint64_t incarnation(model::ByteReader& in) {
  const std::uint64_t value = in.varint();
  if (value > kIncarnationMax) in.fail();
  return value;
}

std::string text(model::ByteReader& in, std::size_t bytes_max) {
  const std::string_view bytes = in.bytes();
  if (bytes.size() > bytes_max) in.fail();
  return std::string(bytes.substr(0, bytes_max));
}

// (Braces evaluate from left to right.)
Message read(model::ByteReader& in, std::type_identity<Ping>) {
  return Ping{decode_varint32(in), node(in)};
}
Message read(model::ByteReader& in, std::type_identity<Ack>) {
  return Ack{decode_varint32(in)};
}
Message read(model::ByteReader& in, std::type_identity<PingRequest>) {
  return PingRequest{decode_varint32(in), node(in), text(in, kRecordTextBytesMax)};
}
Message read(model::ByteReader& in, std::type_identity<Nack>) {
  return Nack{decode_varint32(in)};
}
Message read(model::ByteReader& in, std::type_identity<MemberRecord>) {
  MemberRecord record = decode_record(in);
  if (!possible(record)) in.fail();
  return record;
}
Message read(model::ByteReader& in, std::type_identity<Suspect>) {
  return Suspect{node(in), incarnation(in), node(in)};
}
Message read(model::ByteReader& in, std::type_identity<Down>) {
  return Down{node(in), incarnation(in), node(in)};
}
Message read(model::ByteReader& in, std::type_identity<LoadReport>) {
  return LoadReport{node(in), incarnation(in), in.varint(),
                    Load{decode_varint32(in), decode_varint32(in), in.varint()}};
}
Message read(model::ByteReader& in, std::type_identity<Rumour>) {
  return Rumour{RumourId{node(in), in.varint()}, decode_varint32(in),
                text(in, Rumour::kNameBytesMax), text(in, Rumour::kPayloadBytesMax)};
}

Message read(model::ByteReader& in, std::type_identity<Summary>) {
  return Summary{{in.fixed64(), in.fixed64()}, in.fixed64()};
}

template <std::size_t... indices>
std::optional<Message> read_kind(std::size_t index, model::ByteReader& in,
                                 std::index_sequence<indices...>) {
  std::optional<Message> message;
  ((index == indices
        ? void(message =
                   read(in, std::type_identity<std::variant_alternative_t<indices, Message>>()))
        : void()),
   ...);
  return message;
}

absl::Status malformed(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("packet of another node: {}", what));
}

}  // namespace

std::string encode_message(const Message& message) {
  std::string body;
  std::visit(BodyWriter{body}, message);
  std::string out;
  out.push_back(static_cast<char>(message.index() + 1));
  model::put_bytes(out, body);
  return out;
}

PacketWriter::PacketWriter(std::uint32_t cluster, NodeId from, std::size_t bytes_max)
    : bytes_max_(bytes_max) {
  GRAPEVINE_CHECK(bytes_max > kHeaderBytes, "a packet has room for its header");
  bytes_.reserve(128);
  bytes_.push_back(kVersion);
  model::put_fixed32(bytes_, cluster);
  model::put_fixed64(bytes_, from.value);
}

bool PacketWriter::add(const Message& message) {
  return add_encoded(encode_message(message));
}

bool PacketWriter::add_encoded(std::string_view message) {
  if (message.size() > left()) return false;
  bytes_.append(message);
  return true;
}

bool PacketWriter::empty() const {
  return bytes_.size() <= kHeaderBytes;
}

std::uint32_t cluster_tag(std::string_view cluster_name) {
  return static_cast<std::uint32_t>(XXH3_64bits(cluster_name.data(), cluster_name.size()));
}

absl::StatusOr<Packet> decode_packet(std::string_view bytes, std::uint32_t cluster) {
  model::ByteReader in(bytes);
  if (in.byte() != kVersion) return malformed("another version of the format, or no packet");
  if (in.fixed32() != cluster) return malformed("of another cluster");
  Packet packet;
  packet.from = node(in);
  while (in.ok() && in.left() > 0) {
    if (packet.messages.size() >= kMessagesMax) return malformed("more messages than allowed");
    const std::size_t kind = in.byte();
    model::ByteReader body(in.bytes());
    if (!in.ok()) break;
    if (kind == 0 || kind > std::variant_size_v<Message>) continue;
    auto message =
        read_kind(kind - 1, body, std::make_index_sequence<std::variant_size_v<Message>>());
    if (!body.done()) return malformed(fmt::format("a message of kind {} is malformed", kind));
    packet.messages.push_back(*std::move(message));
  }
  if (!in.ok()) return malformed("cut short");
  return packet;
}

}  // namespace grapevine::gossip
