// How fast entries may be pulled: a token bucket over bytes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/base/time.h"

namespace grapevine::gossip {

// Value. How much an answer brings is known only afterwards: a request takes kBytesExpected when it
// goes out, the rest is settled when the answer is there, and the budget may go into debt: the next
// request waits until that is paid. Credit grows by bytes_per_second, to at most one second's
// worth; it begins with none.
class ByteBudget {
 public:
  static constexpr std::uint64_t kBytesExpected = std::uint64_t{64} * 1024;

  // bytes_per_second 0: no limit.
  explicit ByteBudget(std::uint64_t bytes_per_second, Instant now)
      : bytes_per_second_(static_cast<double>(bytes_per_second)), at_(now) {}

  // How long to wait before the next request may go out; zero: it goes out now, and is charged for.
  Duration ask(Instant now) {
    if (bytes_per_second_ == 0) return Duration::zero();
    credit_ += bytes_per_second_ * std::chrono::duration<double>(now - at_).count();
    credit_ = std::min(credit_, bytes_per_second_);
    at_ = now;
    if (credit_ > 0) {
      credit_ -= static_cast<double>(kBytesExpected);
      return Duration::zero();
    }
    const std::chrono::duration<double> until_paid(-credit_ / bytes_per_second_);
    return std::chrono::duration_cast<Duration>(until_paid) + std::chrono::milliseconds(1);
  }
  void settle(std::uint64_t bytes_answered) {
    credit_ -= static_cast<double>(bytes_answered) - static_cast<double>(kBytesExpected);
  }

 private:
  double bytes_per_second_;
  double credit_ = 0;
  Instant at_;
};

}  // namespace grapevine::gossip
