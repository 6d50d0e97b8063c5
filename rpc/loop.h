// Port: the event loop of one thread, with time and network. AsioLoop stands behind it, or one
// machine of a simulation.
//
// Everything on a loop runs one thing at a time, so what lives there needs no lock. KJ's promises
// run on it.
//
// Bounds: what is posted waits in a queue without a limit; whoever posts bounds what it has under
// way.
#pragma once

#include <kj/async.h>

#include <functional>

#include "absl/functional/any_invocable.h"
#include "rpc/network.h"
#include "storage/base/status.h"
#include "storage/base/time.h"

namespace grapevine::rpc {

class Loop {
 public:
  // Learns of failures that nobody else waits for: of spawned tasks and of posted functions.
  using ErrorHandler = std::function<void(const absl::Status&)>;

  // Runs `function` on the loop, in the order of the calls, never inside the call. Any thread.
  virtual void post(absl::AnyInvocable<void()> function) = 0;
  // Keeps `task` going until it ends or the loop is destroyed.
  virtual void spawn(kj::Promise<void> task) = 0;

  virtual const TimeSource& time() const = 0;
  Instant now() const { return time().now(); }
  virtual kj::Promise<void> after(Duration delay) = 0;

  virtual Network& network() = 0;

 protected:
  ~Loop() noexcept = default;
};

}  // namespace grapevine::rpc
