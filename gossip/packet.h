// What members say to each other in datagrams, and its bytes (README.md, Packets).
//
// Values. A packet is a header and messages; an update is a message that travels on, from member to
// member, on whatever packet has room for it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossip/member.h"
#include "gossip/summary.h"
#include "storage/base/ids.h"
#include "storage/base/status.h"

namespace grapevine::gossip {

// ---- probing ----

using ProbeNumber = std::uint32_t;

struct Ping {
  ProbeNumber number = 0;
  NodeId to;  // another node that lives at the address keeps silent
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Ack {
  ProbeNumber number = 0;
  friend bool operator==(const Ack&, const Ack&) = default;
};
// Ping `to` for me, and tell me with this number what came of it.
struct PingRequest {
  ProbeNumber number = 0;
  NodeId to;
  std::string address;
  friend bool operator==(const PingRequest&, const PingRequest&) = default;
};
// I did as you asked and heard nothing so far: it is not your own network that fails.
struct Nack {
  ProbeNumber number = 0;
  friend bool operator==(const Nack&, const Nack&) = default;
};

// ---- updates ----
// A member record is an update too: it says that the node lives, has left or was removed.

// Observations about a node as it was at an incarnation of its record. `by` made them.
struct Suspect {
  NodeId node;
  std::uint64_t incarnation = 0;
  NodeId by;
  friend bool operator==(const Suspect&, const Suspect&) = default;
};
struct Down {
  NodeId node;
  std::uint64_t incarnation = 0;
  NodeId by;  // itself: it stops, and says so
  friend bool operator==(const Down&, const Down&) = default;
};

struct Load {
  std::uint32_t queue_depth = 0;  // requests that wait
  std::uint32_t cpu_percent = 0;  // of all cores
  std::uint64_t disk_free_mib = 0;
  friend bool operator==(const Load&, const Load&) = default;
};
// The higher pair (incarnation, sequence) is the newer one.
struct LoadReport {
  NodeId node;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  Load load;
  friend bool operator==(const LoadReport&, const LoadReport&) = default;
};

struct RumourId {
  NodeId origin;
  std::uint64_t sequence = 0;  // rises at its origin
  friend auto operator<=>(const RumourId&, const RumourId&) = default;
};
struct Rumour {
  static constexpr std::size_t kNameBytesMax = 64;
  static constexpr std::size_t kPayloadBytesMax = 1024;

  RumourId id;
  std::uint32_t age_seconds = 0;  // since its origin told it, as far as whoever sends it knows
  std::string name;               // tells receivers what it is about
  std::string payload;
  friend bool operator==(const Rumour&, const Rumour&) = default;
};

// ---- packets ----

using Message = std::variant<Ping, Ack, PingRequest, Nack, MemberRecord, Suspect, Down, LoadReport,
                             Rumour, Summary>;

// Of the kinds of Message the Summary stands beside an Ack: what the sender holds of what it shares
// with the receiver, so that a pair that is equal is proven so by the probes that there are anyway.

struct Packet {
  NodeId from;
  std::vector<Message> messages;
};

// With Ethernet's 1,500 bytes a sealed packet of this size (rpc/seal.h) fits into one IPv6 frame.
inline constexpr std::size_t kPacketBytesMax = 1'400;

// One message with its frame, as it stands in a packet.
std::string encode_message(const Message& message);

// Packs messages into one packet. Resource of one use.
class PacketWriter {
 public:
  // `cluster`: a number that tells clusters apart, see cluster_tag.
  PacketWriter(std::uint32_t cluster, NodeId from, std::size_t bytes_max);

  bool add(const Message& message);            // false when it does not fit; nothing was added
  bool add_encoded(std::string_view message);  // of encode_message
  std::size_t left() const { return bytes_max_ - bytes_.size(); }
  bool empty() const;  // it has no message yet
  std::string take() { return std::move(bytes_); }

 private:
  const std::size_t bytes_max_;
  std::string bytes_;
};

// For clusters that are not sealed and share a network: keeps packets that went astray out. Not a
// secret.
std::uint32_t cluster_tag(std::string_view cluster_name);

// InvalidArgument says what is wrong: another version or cluster, malformed, beyond a limit.
// Messages of kinds that this version does not know are left out.
absl::StatusOr<Packet> decode_packet(std::string_view bytes, std::uint32_t cluster);

}  // namespace grapevine::gossip
