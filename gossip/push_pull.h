// What two members tell each other over a stream, so that both know what either knew.
//
// Values. A call says in two hashes what its sender holds. Where they differ from what the answerer
// holds, the answer brings all of it, and the caller calls once more to say what the answer lacked:
//
//   caller                                  answerer
//   hashes (a joiner: all it knows)  --->   takes over what is there
//                                    <---   for each hash that differs: everything
//   what was lacking, if anything    --->
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossip/packet.h"

namespace grapevine::gossip {

// Whether a member answers, as a node sees it. Of two beliefs that of the higher incarnation
// counts; at equal ones the later in this order.
enum class Belief : std::uint8_t {
  kUnknown = 0,  // known from an earlier life, not heard of in this one
  kUp = 1,
  kSuspect = 2,  // did not answer; still taken for up, until it refutes or its time is over
  kDown = 3,
};

struct MemberView {
  MemberRecord record;
  Belief belief = Belief::kUnknown;
  std::uint64_t incarnation = 0;  // that the belief is about

  friend bool operator==(const MemberView&, const MemberView&) = default;
};

struct PushPull {
  NodeId from;
  std::uint64_t members_hash = 0;
  std::uint64_t rumours_hash = 0;
  bool wants_answer = false;
  std::vector<MemberView> members;
  std::vector<Rumour> rumours;

  friend bool operator==(const PushPull&, const PushPull&) = default;
};

// For wires that know bytes only; README.md, Push-pull. Decoding: InvalidArgument for what cannot
// be.
std::string encode_push_pull(const PushPull& state);
absl::StatusOr<PushPull> decode_push_pull(std::string_view bytes);

}  // namespace grapevine::gossip
