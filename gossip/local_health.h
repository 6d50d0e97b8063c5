// How far a node may trust what it does not hear (Lifeguard, section IV-A: the local health
// multiplier).
//
// Value. A node that is slow itself misses answers that were sent in time, and would accuse others
// of its own fault. So it counts what speaks against itself, and stretches its timeouts by it:
//
//   a probe was answered                                        -1
//   a probe was not, and nobody was asked to probe instead      +1
//   each asked one that sent neither an answer nor a nack       +1
//   it had to refute an accusation                              +1
//   it did nothing for a probe_interval when it was to          +1
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/base/time.h"

namespace grapevine::gossip {

class LocalHealth {
 public:
  // 0 <= score < max.
  explicit LocalHealth(std::uint32_t max) : max_(static_cast<int>(max)) {}

  void adjust(int by) { score_ = std::clamp(score_ + by, 0, max_ - 1); }
  std::uint32_t score() const { return static_cast<std::uint32_t>(score_); }
  Duration stretch(Duration duration) const { return duration * (score_ + 1); }

 private:
  int max_;
  int score_ = 0;  // 0: works as it should
};

}  // namespace grapevine::gossip
