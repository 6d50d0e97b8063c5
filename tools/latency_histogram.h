// Counts durations, for percentiles.
//
// Value. Buckets grow with what they hold, as in HdrHistogram: 128 equal ones for each power of
// two, so that a percentile is too high by at most 1/128 of itself, never too low. Cost: O(1) to
// add, 57 KiB whatever is added.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace grapevine::tools {

class LatencyHistogram {
 public:
  static constexpr int kBucketBits = 7;

  LatencyHistogram();

  // Below zero counts as zero.
  void add(std::chrono::nanoseconds duration);
  std::uint64_t count() const { return count_; }
  // Exact. REQUIRES: count() > 0.
  std::chrono::nanoseconds min() const { return std::chrono::nanoseconds(min_); }
  std::chrono::nanoseconds max() const { return std::chrono::nanoseconds(max_); }
  // The smallest duration, to the precision above, that at least `percent` of all are not longer
  // than. REQUIRES: count() > 0, 0 < percent <= 100.
  std::chrono::nanoseconds percentile(double percent) const;

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::int64_t min_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace grapevine::tools
