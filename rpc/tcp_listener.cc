#include "rpc/tcp_listener.h"

#include <cerrno>
#include <utility>

#include "rpc/errors.h"
#include "rpc/resolve.h"

namespace grapevine::rpc {
namespace {

// Counts one connection as long as it is attached to its stream.
class Ticket {
 public:
  explicit Ticket(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
  ~Ticket() { --*count_; }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

 private:
  const std::shared_ptr<std::size_t> count_;
};

absl::Status cannot_listen(const Address& address, const std::error_code& error,
                           const std::string& flag) {
  std::string remedy = "choose another address with " + flag;
  if (error == asio::error::address_in_use) {
    remedy = "stop the other process or choose another port with " + flag;
  } else if (error.value() == EADDRNOTAVAIL) {
    remedy = "give an address of this machine with " + flag;
  } else if (error == asio::error::access_denied) {
    remedy = "choose a port above 1023 with " + flag;
  }
  const absl::Status status = to_status("cannot listen on " + to_string(address), error);
  return absl::FailedPreconditionError(std::string(text_of(status)) + "; " + remedy);
}

Address unmapped(const Endpoint& endpoint) {
  const asio::ip::address ip = endpoint.address();
  if (ip.is_v6() && ip.to_v6().is_v4_mapped()) {
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6()).to_string(),
            endpoint.port()};
  }
  return address_of(endpoint);
}

bool is_exhaustion(const std::error_code& error) {
  return absl::IsResourceExhausted(to_status("accept", error));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> TcpListener::bind(AsioLoop& loop, const Address& address,
                                                            ListenOptions options) {
  const auto endpoints = resolve_now(address);
  if (!endpoints.ok()) {
    return absl::FailedPreconditionError("cannot listen on " + to_string(address) + ": " +
                                         std::string(text_of(endpoints.status())) +
                                         "; choose another with " + options.flag);
  }
  const Endpoint& endpoint = endpoints->front();
  std::error_code error;
  Acceptor acceptor(loop.io());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(options.backlog, error);
  if (error) return cannot_listen(address, error, options.flag);
  const Address actual{address.host, acceptor.local_endpoint(error).port()};
  return std::unique_ptr<Listener>(
      new TcpListener(loop, std::move(options), std::move(acceptor), actual));
}

TcpListener::TcpListener(AsioLoop& loop, ListenOptions options, Acceptor acceptor, Address address)
    : loop_(loop),
      options_(std::move(options)),
      acceptor_(std::move(acceptor)),
      address_(std::move(address)),
      shared_(std::make_shared<Shared>(Shared{this})) {}

TcpListener::~TcpListener() noexcept(false) {
  shared_->listener = nullptr;
}

void TcpListener::start(AcceptHandler on_accept) {
  on_accept_ = kj::mv(on_accept);
  accept();
}

void TcpListener::stop() {
  std::error_code ignored;
  acceptor_.close(ignored);
  pause_ = kj::READY_NOW;
}

void TcpListener::accept() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_accept([shared = shared_](const std::error_code& error, Socket socket) {
    if (shared->listener != nullptr) shared->listener->accepted(error, std::move(socket));
  });
}

void TcpListener::accepted(const std::error_code& error, Socket socket) {
  if (error == asio::error::operation_aborted) return;
  if (!error) {
    out_of_descriptors_ = false;
    hand_out(std::move(socket));
  } else if (is_exhaustion(error)) {
    if (!std::exchange(out_of_descriptors_, true)) {
      loop_.spawn(connection_lost("cannot accept a connection on " + to_string(address_), error));
    }
    pause_ = loop_.after(kAcceptPause).then([this] { accept(); }).eagerlyEvaluate(nullptr);
    return;
  }
  accept();  // any other error is that of one connection which ended before it was accepted
}

void TcpListener::hand_out(Socket socket) {
  std::error_code error;
  const PeerInfo peer{unmapped(socket.remote_endpoint(error))};
  if (error) return;  // it is gone already
  if (*connections_ >= options_.connections_max) {
    ++refused_;
    return;
  }
  auto stream = make_stream(loop_, std::move(socket)).attach(kj::heap<Ticket>(connections_));
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { on_accept_(kj::mv(stream), peer); })) {
    loop_.spawn(kj::mv(*exception));
  }
}

}  // namespace grapevine::rpc
