// The event loop of a process's thread: an Asio io_context with KJ's event loop on it, TCP and UDP.
//
// Resource. Functions and tasks that are left when it is destroyed are destroyed unrun, while KJ's
// loop still exists. Not promised: that what is posted after stop() runs.
//
// Owner and thread: the thread that creates it runs it and destroys it, and has no other KJ loop.
// Sockets, listeners and connections go before it. post() and stop() may be called from any thread
// that ends before the loop is destroyed.
#pragma once

#include <kj/async.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "rpc/event_port.h"
#include "rpc/loop.h"
#include "rpc/real_time.h"

namespace grapevine::rpc {

class AsioLoop final : public Loop, private Network, private kj::TaskSet::ErrorHandler {
 public:
  using ErrorHandler = Loop::ErrorHandler;

  explicit AsioLoop(ErrorHandler on_task_error);
  ~AsioLoop() noexcept;
  AsioLoop(const AsioLoop&) = delete;
  AsioLoop& operator=(const AsioLoop&) = delete;

  // Runs until stop() is called; a stop() before run() counts. May be called again.
  void run();
  void stop();  // any thread

  void post(absl::AnyInvocable<void()> function) override;
  void spawn(kj::Promise<void> task) override;
  const TimeSource& time() const override { return time_; }
  kj::Promise<void> after(Duration delay) override;
  Network& network() override { return *this; }

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
  absl::StatusOr<std::unique_ptr<Listener>> listen(const Address& address,
                                                   ListenOptions options) override;
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(const Address& address,
                                                  ConnectOptions options) override;
  absl::StatusOr<std::unique_ptr<Datagrams>> bind_datagrams(const Address& address,
                                                            const std::string& flag) override;
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
