// Goal: percentiles are those of the sorted list, never too low and at most 1/128 too high.
// Method: beside a sorted list, as a property over durations of every size.
#include "tools/latency_histogram.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace grapevine::tools {
namespace {

using std::chrono::nanoseconds;

rc::Gen<std::int64_t> any_duration() {
  return rc::gen::map(
      rc::gen::pair(rc::gen::arbitrary<std::uint64_t>(), rc::gen::inRange(2, 64)),
      [](const auto& drawn) {
        return static_cast<std::int64_t>((drawn.first * 0x9e3779b97f4a7c15) >> drawn.second);
      });
}

RC_GTEST_PROP(LatencyHistogramLaw, PercentilesAreThoseOfTheSortedList, ()) {
  auto durations =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(any_duration()));
  LatencyHistogram histogram;
  for (const auto duration : durations) histogram.add(nanoseconds(duration));
  std::sort(durations.begin(), durations.end());
  RC_ASSERT(histogram.count() == durations.size());
  RC_ASSERT(histogram.min().count() == durations.front());
  RC_ASSERT(histogram.max().count() == durations.back());
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(durations.size())));
    const std::int64_t exact = durations[std::max<std::size_t>(rank, 1) - 1];
    const std::int64_t told = histogram.percentile(percent).count();
    RC_ASSERT(told >= exact);
    RC_ASSERT(told - exact <= exact / 128);
  }
}

TEST(LatencyHistogram, TakesTheShortestAndTheLongest) {
  LatencyHistogram histogram;
  histogram.add(nanoseconds(-5));
  histogram.add(nanoseconds::max());
  EXPECT_EQ(histogram.min(), nanoseconds(0));
  EXPECT_EQ(histogram.percentile(50), nanoseconds(0));
  EXPECT_EQ(histogram.percentile(100), nanoseconds::max());
}

}  // namespace
}  // namespace grapevine::tools
