// The opening of a node's store on a thread of its own, while the loop goes on.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "storage/base/random.h"
#include "storage/executor.h"
#include "storage/store.h"

namespace grapevine::server {

// Resource, loop thread.
class Opening {
 public:
  using Done = std::function<void(absl::StatusOr<std::unique_ptr<storage::Store>>)>;

  // Begins at once, on `executor`, which the store will use, too. `done` is called on the loop, once,
  // unless this object has gone before. `seed` is for the chance that opening needs.
  Opening(storage::StoreOptions options, storage::Executor& executor, const TimeSource& time,
          std::uint64_t seed, std::function<void(absl::Status)> on_fatal, Done done);
  // Gives up soon; a store that was opened is closed as a crash would. REQUIRES: `executor` has gone
  // before, or `done` was called.
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  // Any thread. `done` gets Cancelled, unless it was too late.
  void give_up() { shared_->given_up = true; }
  // "opening the data directory: 37 % of the keys read"
  std::string progress() const;

 private:
  struct Shared {
    std::atomic<double> fraction = 0;
    std::atomic<bool> given_up = false;
    absl::StatusOr<std::unique_ptr<storage::Store>> store;
  };
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace grapevine::server
