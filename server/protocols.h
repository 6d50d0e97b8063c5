// What nodes say to each other, by version. Each tells the range that it speaks in its member record
// and its hello; two talk by the highest version that both speak, and part where there is none.
// Whoever changes what travels between nodes so that an older one would not understand it raises
// `max` and says here what came with it; what a version brought is used only where both speak it.
//
//   1  the first
//   2  small messages on streams are packed (rpc/packing.h); summaries on the answers to probes
//      (gossip/summary.h); Peer.compare
#pragma once

#include <algorithm>
#include <cstdint>

#include "gossip/member.h"

namespace grapevine::server {

inline constexpr gossip::ProtocolRange kProtocols{1, 2};

// REQUIRES: they meet.
inline std::uint32_t common_protocol(const gossip::ProtocolRange& a,
                                     const gossip::ProtocolRange& b) {
  return std::min(a.max, b.max);
}

}  // namespace grapevine::server
