// Time as the machine tells it. Value without state; any thread.
#pragma once

#include "storage/base/time.h"

namespace grapevine::rpc {

class RealTime final : public TimeSource {
 public:
  Instant now() const override;
  WallTime wall_now() const override;
};

}  // namespace grapevine::rpc
