// When to move to a node that is less busy.
//
// The power of two choices: the node in use is compared with one other, drawn by chance
// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996). What nodes say of
// their load is a second or two old, and all clients hear the same; so that they do not all move at
// once, and all back again, a client moves only for a difference of kSteps, then with a chance of
// that difference's share of the load in kReluctance, and stays for kStay looks at least.
//
// A machine: the caller looks (look) in equal intervals, then moves if told to. Costs: O(nodes) a
// look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/base/random.h"

namespace grapevine::client {

class Balance {
 public:
  static constexpr std::uint32_t kSteps = 2;
  static constexpr std::uint64_t kReluctance = 8;
  static constexpr std::uint32_t kStay = 5;

  explicit Balance(std::uint64_t seed) : random_(seed) {}

  // How busy a node says it is, in the steps of server/cluster.h; nullopt: it cannot be used, or
  // nothing is known of it.
  using Busy = std::vector<std::optional<std::uint32_t>>;
  // Which of `nodes` to use from now on; nullopt: stay with `current`.
  std::optional<std::size_t> look(const Busy& nodes, std::size_t current);

 private:
  Random random_;
  std::uint32_t stay_ = 0;  // for so many looks more
};

}  // namespace grapevine::client
