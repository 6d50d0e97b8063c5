// What requests of peers are checked for.
#pragma once

#include <cstddef>

#include <fmt/format.h>

#include "storage/base/status.h"

namespace grapevine::gossip {

inline absl::Status check_count(const char* what, std::size_t count, std::size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("request of a peer: {} {}, the limit is {}", count, what, limit));
}

}  // namespace grapevine::gossip
