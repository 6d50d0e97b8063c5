// How late the requests of one connection arrive, by two clocks that nobody has set by each other.
//
// A request can lie in a cut network, or in the buffers of a process that is stopped, long after its
// sender has given it up and asked elsewhere. A write carried out then would undo what was written
// since. So each sender writes its own clock (one that never goes back) into what it sends. The
// smallest difference seen between arrival and sending is that of a message that was hardly delayed;
// what a later one has beyond that, it was late. As clocks drift apart the smallest difference is
// let rise by kDriftPerSecond.
//
// Value. Not promised: more than an estimate. The first message counts as not delayed, so lateness is
// underrated by as much as that was (those who greet give up after some seconds), and by what was let
// rise while nothing came.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/base/status.h"
#include "storage/base/time.h"

namespace grapevine::rpc {

// What a sender writes; never 0, which stands for a sender that tells nothing.
inline std::uint64_t sent_ms(Instant now) {
  return 1 + static_cast<std::uint64_t>(
                 std::chrono::duration_cast<std::chrono::milliseconds>(now.since_start).count());
}

class Lateness {
 public:
  static constexpr Duration kDriftPerSecond = std::chrono::microseconds(200);

  // Of a message that says `sent` and arrives now. Zero when the sender tells nothing.
  Duration of(std::uint64_t sent, Instant now);
  // What of `time` is left to such a message; Unavailable when it is over.
  absl::StatusOr<Duration> left_of(Duration time, std::uint64_t sent, Instant now);

 private:
  std::optional<Duration> smallest_;
  Instant updated_;
};

}  // namespace grapevine::rpc
