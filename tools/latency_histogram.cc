#include "tools/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace grapevine::tools {
namespace {

constexpr int kBits = LatencyHistogram::kBucketBits;
constexpr std::uint64_t kBucketsAPower = std::uint64_t{1} << kBits;

// Values below 2^kBits have a bucket each; then kBucketsAPower for each power of two.
std::size_t bucket_of(std::uint64_t value) {
  if (value < kBucketsAPower) return static_cast<std::size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kBits;
  return static_cast<std::size_t>((static_cast<std::uint64_t>(shift) << kBits) + (value >> shift));
}

// The highest value that falls into the bucket.
std::uint64_t top_of(std::size_t bucket) {
  if (bucket < kBucketsAPower) return bucket;
  const std::uint64_t shift = (bucket >> kBits) - 1;
  const std::uint64_t leading = bucket - (shift << kBits);
  return ((leading + 1) << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram()
    : buckets_(bucket_of(std::uint64_t{1} << 62) + kBucketsAPower) {}

void LatencyHistogram::add(std::chrono::nanoseconds duration) {
  const std::int64_t value = std::max<std::int64_t>(0, duration.count());
  ++buckets_[bucket_of(static_cast<std::uint64_t>(value))];
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = std::max(max_, value);
  ++count_;
}

std::chrono::nanoseconds LatencyHistogram::percentile(double percent) const {
  const auto wanted =
      static_cast<std::uint64_t>(std::ceil(percent / 100 * static_cast<double>(count_)));
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    passed += buckets_[i];
    if (passed >= wanted && passed > 0) {
      return std::chrono::nanoseconds(std::clamp(static_cast<std::int64_t>(top_of(i)), min_, max_));
    }
  }
  return max();
}

}  // namespace grapevine::tools
