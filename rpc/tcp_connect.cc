#include "rpc/tcp_connect.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "rpc/errors.h"
#include "rpc/resolve.h"
#include "rpc/stream.h"

namespace grapevine::rpc {
namespace {

// What the attempts to reach one address share.
struct Plan {
  AsioLoop& loop;
  Address address;
  ConnectOptions options;
  Instant deadline;
  std::vector<Endpoint> endpoints;

  std::string action() const { return "cannot connect to " + to_string(address); }
};

kj::Exception timed_out(const Plan& plan) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(plan.options.timeout).count();
  return connection_lost(plan.action() + ": no answer within " + std::to_string(ms) + " ms");
}

// Binds the outgoing socket to the host of `from`. No error when `from` leaves the choice to the
// kernel.
std::error_code bind_host(Socket& socket, const Endpoint& target, const Address& from) {
  std::error_code error;
  const asio::ip::address ip = asio::ip::make_address(from.host, error);
  if (error || ip.is_unspecified() || ip.is_v4() != target.address().is_v4()) return {};
  const int on = 1;  // the port is chosen at connect, where the same one may serve several targets
  ::setsockopt(socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  socket.bind(Endpoint(ip, 0), error);
  return error;
}

// One attempt at one endpoint, as a promise.
class Dial {
 public:
  using Fulfiller = kj::PromiseFulfiller<kj::Own<kj::AsyncIoStream>>;

  Dial(Fulfiller& fulfiller, const Plan& plan, const Endpoint& endpoint)
      : shared_(std::make_shared<Shared>(fulfiller, plan.loop)) {
    std::error_code error;
    Socket& socket = shared_->socket;
    socket.open(endpoint.protocol(), error);
    std::string action = plan.action();
    if (!error && plan.options.from.has_value()) {
      error = bind_host(socket, endpoint, *plan.options.from);
      if (error) action += " from " + plan.options.from->host;
    }
    if (error) {
      fulfiller.reject(connection_lost(action, error));
      return;
    }
    socket.async_connect(endpoint, [shared = shared_, action](const std::error_code& failed) {
      if (shared->fulfiller != nullptr) shared->finish(action, failed);
    });
  }
  ~Dial() {
    shared_->fulfiller = nullptr;
    std::error_code ignored;
    if (shared_->socket.is_open()) shared_->socket.close(ignored);
  }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  // What Asio's callback may touch.
  struct Shared {
    Shared(Fulfiller& the_fulfiller, AsioLoop& the_loop)
        : fulfiller(&the_fulfiller), loop(&the_loop), socket(the_loop.io()) {}

    Fulfiller* fulfiller;
    AsioLoop* loop;
    Socket socket;

    void finish(const std::string& action, std::error_code error) {
      // A port of this machine on which nobody listens can end up connected to itself (simultaneous
      // open).
      std::error_code ignored;
      if (!error && socket.local_endpoint(ignored) == socket.remote_endpoint(ignored)) {
        error = asio::error::connection_refused;
      }
      if (error) {
        fulfiller->reject(connection_lost(action, error));
      } else {
        fulfiller->fulfill(make_stream(*loop, std::move(socket)));
      }
    }
  };

  const std::shared_ptr<Shared> shared_;
};

kj::Promise<kj::Own<kj::AsyncIoStream>> try_from(std::shared_ptr<const Plan> plan,
                                                 std::size_t index) {
  const std::size_t left = plan->endpoints.size() - index;
  const Duration share = (plan->deadline - plan->loop.now()) / static_cast<Duration::rep>(left);
  auto too_late = plan->loop.after(share).then(
      [plan]() -> kj::Promise<kj::Own<kj::AsyncIoStream>> { return timed_out(*plan); });
  auto attempt =
      kj::newAdaptedPromise<kj::Own<kj::AsyncIoStream>, Dial>(*plan, plan->endpoints[index])
          .exclusiveJoin(kj::mv(too_late));
  if (left == 1) return attempt;
  return attempt.catch_([plan, index](kj::Exception&&) { return try_from(plan, index + 1); });
}

}  // namespace

kj::Promise<kj::Own<kj::AsyncIoStream>> tcp_connect(AsioLoop& loop, const Address& address,
                                                    ConnectOptions options) {
  const Instant deadline = loop.now() + options.timeout;
  auto plan = std::make_shared<Plan>(Plan{loop, address, std::move(options), deadline, {}});
  auto too_late =
      loop.after(plan->options.timeout).then([plan]() -> kj::Promise<std::vector<Endpoint>> {
        return timed_out(*plan);
      });
  return resolve(loop, address)
      .exclusiveJoin(kj::mv(too_late))
      .then([plan](std::vector<Endpoint>&& endpoints) {
        plan->endpoints = std::move(endpoints);
        return try_from(plan, 0);
      });
}

}  // namespace grapevine::rpc
