#include "rpc/asio_loop.h"

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <memory>

#include "rpc/errors.h"
#include "rpc/tcp_connect.h"
#include "rpc/tcp_listener.h"
#include "rpc/udp_socket.h"

namespace grapevine::rpc {
namespace {

// A timer as a promise. Asio may still call back after the promise was dropped, so what it sees is
// owned by both.
class Delay {
 public:
  Delay(kj::PromiseFulfiller<void>& fulfiller, asio::io_context& io, Duration delay)
      : fulfiller_(std::make_shared<kj::PromiseFulfiller<void>*>(&fulfiller)), timer_(io, delay) {
    timer_.async_wait([shared = fulfiller_](const std::error_code& error) {
      if (*shared != nullptr && !error) (*shared)->fulfill();
    });
  }
  ~Delay() { *fulfiller_ = nullptr; }
  Delay(const Delay&) = delete;
  Delay& operator=(const Delay&) = delete;

 private:
  const std::shared_ptr<kj::PromiseFulfiller<void>*> fulfiller_;
  asio::steady_timer timer_;
};

}  // namespace

AsioLoop::AsioLoop(ErrorHandler on_task_error) : on_task_error_(std::move(on_task_error)) {
  port_.attach(loop_, wait_scope_);
}

AsioLoop::~AsioLoop() noexcept = default;

void AsioLoop::run() {
  while (!stop_requested_.exchange(false)) {
    io_.run();
    io_.restart();
  }
}

void AsioLoop::stop() {
  stop_requested_ = true;
  io_.stop();
}

void AsioLoop::post(absl::AnyInvocable<void()> function) {
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(function));
  }
  if (first) asio::post(io_, [this] { run_posted(); });
}

void AsioLoop::run_posted() {
  std::vector<absl::AnyInvocable<void()>> functions;
  {
    const std::lock_guard lock(posted_mutex_);
    functions.swap(posted_);
  }
  for (auto& function : functions) {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { function(); })) {
      on_task_error_(to_status(*exception));
    }
  }
}

void AsioLoop::spawn(kj::Promise<void> task) {
  tasks_.add(kj::mv(task));
}

kj::Promise<void> AsioLoop::after(Duration delay) {
  return kj::newAdaptedPromise<void, Delay>(io_, delay);
}

absl::StatusOr<std::unique_ptr<Listener>> AsioLoop::listen(const Address& address,
                                                           ListenOptions options) {
  return TcpListener::bind(*this, address, std::move(options));
}

kj::Promise<kj::Own<kj::AsyncIoStream>> AsioLoop::connect(const Address& address,
                                                          ConnectOptions options) {
  return tcp_connect(*this, address, std::move(options));
}

absl::StatusOr<std::unique_ptr<Datagrams>> AsioLoop::bind_datagrams(const Address& address,
                                                                    const std::string& flag) {
  return UdpSocket::bind(*this, address, flag);
}

void AsioLoop::taskFailed(kj::Exception&& exception) {
  on_task_error_(to_status(exception));
}

}  // namespace grapevine::rpc
