// What the benchmarks share: result lines, medians, fixed data.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "storage/base/random.h"

namespace grapevine::benchmark {

// Prints a result: "BENCH <metric> <value> <unit>".
inline void report(const std::string& metric, double value, const std::string& unit) {
  fmt::print("BENCH {} {:.3f} {}\n", metric, value, unit);
  std::fflush(stdout);
}

// 0 <= p <= 1. REQUIRES: not empty.
inline double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(p * last + 0.5)];
}
inline double median(const std::vector<double>& values) {
  return percentile(values, 0.5);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Bytes that do not compress.
inline std::string random_bytes(Random& random, std::size_t count) {
  std::string bytes;
  bytes.reserve(count + 8);
  while (bytes.size() < count) {
    const std::uint64_t word = random.next();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  bytes.resize(count);
  return bytes;
}

}  // namespace grapevine::benchmark
