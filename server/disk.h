// Port: the executor of a node's disk, whose idleness can be awaited. DiskThread stands behind it, or
// a simulation's disk.
#pragma once

#include <kj/async.h>

#include "storage/executor.h"

namespace grapevine::server {

// Destroying it finishes the works under way and drops the rest; what was done but not yet reported
// is reported to nobody. All that works and reports hold is gone afterwards.
class Disk : public storage::Executor {
 public:
  virtual bool idle() const = 0;
  // Done when nothing is waiting, under way or unreported. Loop thread; one caller at a time.
  virtual kj::Promise<void> when_idle() = 0;
};

}  // namespace grapevine::server
