// Time as the core sees it: it comes in from outside, so that a simulator can move it by hand.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace grapevine {

using Duration = std::chrono::nanoseconds;

// A point on a clock that never goes back, counted from an arbitrary start; comparable only within
// one process. Value.
struct Instant {
  Duration since_start{0};

  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Instant operator+(Instant at, Duration by) { return {at.since_start + by}; }
  friend Instant operator-(Instant at, Duration by) { return {at.since_start - by}; }
  friend Duration operator-(Instant later, Instant earlier) {
    return later.since_start - earlier.since_start;
  }
};

// Time of day, in milliseconds since 1970-01-01 UTC. It decorates versions for people and for the
// conflict policy `latest`; causality never looks at it. Value.
struct WallTime {
  std::int64_t unix_ms = 0;

  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

// Port: where a node gets its time from.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall_now() const = 0;
};

}  // namespace grapevine
