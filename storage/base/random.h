// Seeded random numbers: the only chance that the core knows. One seed gives one sequence, on every
// machine.
#pragma once

#include <cstdint>
#include <random>

namespace grapevine {

// Resource: one generator an owner (a node, a test), handed down by reference. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t next() { return engine_(); }
  // Uniform in [0, bound); bound > 0. (Rejection: std distributions differ between libraries.)
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t limit = engine_.max() - engine_.max() % bound;
    for (;;) {
      const std::uint64_t drawn = engine_();
      if (drawn < limit) return drawn % bound;
    }
  }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace grapevine
