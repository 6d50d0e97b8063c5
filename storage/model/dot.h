// Dots: the names of writes.
#pragma once

#include <compare>
#include <cstdint>

#include "storage/base/ids.h"

namespace grapevine::model {

// The highest counter. Decoders refuse more, so that sums of two counters never overflow.
inline constexpr std::uint64_t kCounterMax = ~std::uint64_t{0} / 2;
// One above every counter. As the base of (node, epoch) in a clock, or as its counter in a version
// vector, it is the *marker* that closes (R8): every dot of that actor and of the node's earlier
// epochs counts as seen. No item of these epochs stands beside it.
inline constexpr std::uint64_t kClosed = kCounterMax + 1;

// Names one write within one partition. An actor's counters run 1, 2, 3, …; a dot is never issued
// twice. Value.
struct Dot {
  ActorId actor;
  std::uint64_t counter = 0;

  friend auto operator<=>(const Dot&, const Dot&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Dot& dot) {
    return H::combine(std::move(state), dot.actor, dot.counter);
  }
};

// The dots first..last of one actor; 1 <= first <= last <= kClosed. One that ends at kClosed
// *closes*: it stands for all dots from `first` on, and for those of the node's earlier epochs. So
// many have no names, and are never enumerated. Value.
struct DotRange {
  ActorId actor;
  std::uint64_t first = 1;
  std::uint64_t last = 1;

  bool closes() const { return last == kClosed; }
  std::uint64_t count() const { return last - first + 1; }
  friend auto operator<=>(const DotRange&, const DotRange&) = default;
};

}  // namespace grapevine::model
