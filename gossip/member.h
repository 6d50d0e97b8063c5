// A node as the others know it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/ids.h"

namespace grapevine::gossip {

// What a node says of itself, or is said of it once and for all. (Whether it answers at this moment
// is each node's own observation, not part of the record; see roster.h.)
enum class MemberState : std::uint8_t {
  kUp = 0,       // a member, and an owner of partitions, whether it answers or not
  kLeft = 1,     // has left by itself: owns nothing any more
  kRemoved = 2,  // was declared gone for good by an operator
};
std::string_view to_string(MemberState state);

struct ProtocolRange {
  std::uint32_t min = 1;
  std::uint32_t max = 1;
  friend bool operator==(const ProtocolRange&, const ProtocolRange&) = default;
};

// Value. Of two records of one id the one with the later epoch is true, then that with the higher
// incarnation, then that with the higher state; but if either says removed, the node is removed
// (member_list.h). So a node's epoch never goes back.
struct MemberRecord {
  NodeId id;
  std::uint64_t epoch = 0;  // of its current actor: lower ones have ended
  std::string name;
  std::string peer_address;    // HOST:PORT as the other nodes reach it
  std::string client_address;  // HOST:PORT as clients reach it
  std::string http_address;
  std::string zone;
  std::uint32_t weight = 100;  // capacity, relative
  MemberState state = MemberState::kUp;
  std::uint64_t incarnation = 0;  // raised by the node itself whenever it changes its record
  ProtocolRange protocols;
  std::string version;  // of the program
  NodeId place;  // in placement, when it has taken that of a node that is gone; else not valid

  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

}  // namespace grapevine::gossip
