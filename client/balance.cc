#include "client/balance.h"

namespace grapevine::client {

std::optional<std::size_t> Balance::look(const Busy& nodes, std::size_t current) {
  if (stay_ > 0) --stay_;
  if (stay_ > 0 || nodes.size() < 2 || !nodes[current].has_value()) return std::nullopt;
  const std::size_t other =
      (current + 1 + static_cast<std::size_t>(random_.below(nodes.size() - 1))) % nodes.size();
  if (!nodes[other].has_value() || *nodes[current] < *nodes[other] + kSteps) return std::nullopt;
  const std::uint64_t busy = *nodes[current];
  if (random_.below(kReluctance * busy) >= busy - *nodes[other]) return std::nullopt;
  stay_ = kStay;
  return other;
}

}  // namespace grapevine::client
