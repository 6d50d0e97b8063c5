#include "rpc/real_time.h"

#include <chrono>

namespace grapevine::rpc {

Instant RealTime::now() const {
  return {std::chrono::steady_clock::now().time_since_epoch()};
}

WallTime RealTime::wall_now() const {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count()};
}

}  // namespace grapevine::rpc
