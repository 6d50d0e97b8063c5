// Member records for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include "gossip/member.h"

namespace grapevine::gossip {

inline MemberRecord member(std::uint64_t id, std::uint64_t incarnation = 0,
                           MemberState state = MemberState::kUp) {
  MemberRecord record;
  record.id = NodeId{id};
  record.name = fmt::format("n{}", id);
  record.peer_address = fmt::format("host{}:4741", id);
  record.state = state;
  record.incarnation = incarnation;
  return record;
}

inline std::vector<MemberRecord> members(std::uint64_t count) {
  std::vector<MemberRecord> records;
  for (std::uint64_t id = 1; id <= count; ++id) records.push_back(member(id));
  return records;
}

}  // namespace grapevine::gossip
