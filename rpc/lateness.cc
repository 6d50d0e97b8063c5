#include "rpc/lateness.h"

#include <algorithm>

#include <fmt/format.h>

namespace grapevine::rpc {

Duration Lateness::of(std::uint64_t sent, Instant now) {
  constexpr std::uint64_t kSentMax = std::uint64_t{1} << 42;  // 139 years: nobody's clock
  if (sent == 0 || sent > kSentMax) return Duration::zero();
  const Duration difference =
      now.since_start - std::chrono::milliseconds(static_cast<std::int64_t>(sent));
  if (!smallest_.has_value()) {
    smallest_ = difference;
  } else {
    const auto pause = std::chrono::duration_cast<std::chrono::seconds>(now - updated_);
    smallest_ = std::min(*smallest_ + pause.count() * kDriftPerSecond, difference);
  }
  updated_ = now;
  return difference - *smallest_;
}

absl::StatusOr<Duration> Lateness::left_of(Duration time, std::uint64_t sent, Instant now) {
  const Duration late = of(sent, now);
  if (late < time) return time - late;
  return absl::UnavailableError(fmt::format(
      "the request lay somewhere for {:.1f} s, and its time of {:.1f} s was over when it "
      "arrived: nothing was done; try again",
      std::chrono::duration<double>(late).count(), std::chrono::duration<double>(time).count()));
}

}  // namespace grapevine::rpc
