// Port: where the storage engine's blocking work runs, so that the event loop never waits for a
// disk.
#pragma once

#include <functional>

namespace grapevine::storage {

// A node has helper threads behind it, a test or simulator runs the work at once or when it likes.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `work` somewhere else, then `done` on the caller's loop. Works are done one after another,
  // in order. `work` touches nothing that the loop touches, but for RocksDB, which is thread-safe.
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace grapevine::storage
