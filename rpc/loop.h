// The event loop of one thread: an Asio io_context with KJ's event loop on it.
//
// Resource. Everything on it runs one thing at a time, so what lives on a loop needs no lock.
//
// Bounds: what is posted waits in a queue without a limit; whoever posts bounds what it has under
// way. Not promised: that what is posted after stop() runs. Functions and tasks that are left when
// the loop is destroyed are destroyed unrun, while KJ's loop still exists.
//
// Owner and thread: the thread that creates it runs it and destroys it, and has no other KJ loop.
// Sockets, listeners and connections go before it. post() and stop() may be called from any thread
// that ends before the loop is destroyed.
#pragma once

#include <kj/async.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "rpc/event_port.h"
#include "rpc/real_time.h"
#include "storage/base/status.h"

namespace grapevine::rpc {

class Loop final : private kj::TaskSet::ErrorHandler {
 public:
  using ErrorHandler = std::function<void(const absl::Status&)>;

  // `on_task_error` learns of failures that nobody else waits for: of spawned tasks and of posted
  // functions.
  explicit Loop(ErrorHandler on_task_error);
  ~Loop() noexcept;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop() is called; a stop() before run() counts. May be called again.
  void run();
  void stop();  // any thread

  // Runs `function` on the loop, in the order of the calls, never inside the call. Any thread.
  void post(absl::AnyInvocable<void()> function);

  // Keeps `task` going until it ends or the loop is destroyed.
  void spawn(kj::Promise<void> task);

  Instant now() const { return time_.now(); }
  const TimeSource& time() const { return time_; }
  kj::Promise<void> after(Duration delay);

  // Runs the loop until `promise` is done; throws kj::Exception when it fails. For tests and simple
  // programs. REQUIRES: neither run() nor run_until() is on the stack.
  template <typename T>
  T run_until(kj::Promise<T> promise) {
    AsioEventPort::Driven driven(port_);
    return promise.wait(wait_scope_);
  }

  asio::io_context& io() { return io_; }
  AsioEventPort& port() { return port_; }

 private:
  void taskFailed(kj::Exception&& exception) override;
  void run_posted();

  const ErrorHandler on_task_error_;
  const RealTime time_;
  asio::io_context io_{1};  // one thread runs it
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  AsioEventPort port_{io_};
  kj::EventLoop loop_{port_};
  kj::WaitScope wait_scope_{loop_};
  std::atomic<bool> stop_requested_{false};

  std::mutex posted_mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_;  // guarded by posted_mutex_

  kj::TaskSet tasks_{*this};
};

}  // namespace grapevine::rpc
