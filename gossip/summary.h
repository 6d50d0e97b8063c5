// What a node holds of the partitions that it shares with another one, in few bytes.
#pragma once

#include <cstdint>

#include "storage/model/digest.h"

namespace grapevine::gossip {

// Two nodes whose summaries of what they share are equal hold the same live versions under the same
// clocks. (Entries that are not quiet do not show: exchange.h.) Value; 24 bytes on the wire.
struct Summary {
  model::DigestSum roots;    // of the root digests
  std::uint64_t clocks = 0;  // a hash of the partitions' numbers and their clocks, in order

  friend bool operator==(const Summary&, const Summary&) = default;
};

}  // namespace grapevine::gossip
