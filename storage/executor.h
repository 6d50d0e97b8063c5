// Port: where the storage engine's blocking work runs, so that the event loop never waits for a
// disk.
#pragma once

#include <functional>
#include <utility>

namespace grapevine::storage {

// A node has helper threads behind it, a test or simulator runs the work at once or when it likes.
// `work` touches nothing that the loop touches, but for RocksDB, which is thread-safe, and frozen
// views; it is destroyed before `done` is called.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `work` somewhere else, then `done` on the caller's loop. Works are done one after another,
  // in order.
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
  // The same for reads, which nothing else waits for: they may be done in any order, several at
  // once, and run() does not wait for them where there is more than one thread.
  virtual void run_read(std::function<void()> work, std::function<void()> done) {
    run(std::move(work), std::move(done));
  }
};

}  // namespace grapevine::storage
