#include "rpc/udp_socket.h"

#include <asio/buffer.hpp>
#include <asio/ip/v6_only.hpp>
#include <cerrno>
#include <utility>

#include "rpc/errors.h"

namespace grapevine::rpc {
namespace {

constexpr std::size_t kDatagramBytesMax = 65'536;

absl::Status cannot_bind(const Address& address, const std::error_code& error,
                         const std::string& flag) {
  std::string remedy = "choose another address with " + flag;
  if (error == asio::error::address_in_use) {
    remedy = "stop the other process or choose another port with " + flag;
  } else if (error.value() == EADDRNOTAVAIL) {
    remedy = "give an address of this machine with " + flag;
  } else if (error == asio::error::access_denied) {
    remedy = "choose a port above 1023 with " + flag;
  }
  const absl::Status status = to_status("cannot receive UDP on " + to_string(address), error);
  return absl::FailedPreconditionError(std::string(text_of(status)) + "; " + remedy);
}

Address address_of_sender(const asio::ip::udp::endpoint& sender) {
  const asio::ip::address ip = sender.address();
  if (ip.is_v6() && ip.to_v6().is_v4_mapped()) {
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6()).to_string(), sender.port()};
  }
  return {ip.to_string(), sender.port()};
}

}  // namespace

absl::StatusOr<std::unique_ptr<UdpSocket>> UdpSocket::bind(AsioLoop& loop, const Address& address,
                                                           const std::string& flag) {
  const auto endpoints = resolve_now(address);
  if (!endpoints.ok()) {
    return absl::FailedPreconditionError("cannot receive UDP on " + to_string(address) + ": " +
                                         std::string(text_of(endpoints.status())) +
                                         "; choose another with " + flag);
  }
  const Udp::endpoint endpoint(endpoints->front().address(), endpoints->front().port());
  std::error_code error;
  Socket socket(loop.io());
  socket.open(endpoint.protocol(), error);
  if (!error && endpoint.address().is_v6() && endpoint.address().is_unspecified()) {
    socket.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) socket.bind(endpoint, error);
  if (!error) socket.non_blocking(true, error);
  if (error) return cannot_bind(address, error, flag);
  const Address actual{address.host, socket.local_endpoint(error).port()};
  return std::unique_ptr<UdpSocket>(new UdpSocket(loop, std::move(socket), actual));
}

UdpSocket::UdpSocket(AsioLoop& loop, Socket socket, Address address)
    : loop_(loop),
      socket_(std::move(socket)),
      address_(std::move(address)),
      v6_(socket_.local_endpoint().protocol() == Udp::v6()),
      buffer_(kDatagramBytesMax),
      shared_(std::make_shared<Shared>(Shared{this})) {}

UdpSocket::~UdpSocket() noexcept(false) {
  shared_->socket = nullptr;
}

// ---- receiving ----

void UdpSocket::start(Handler on_packet) {
  on_packet_ = std::move(on_packet);
  await();
}

void UdpSocket::stop() {
  std::error_code ignored;
  socket_.close(ignored);
  names_.clear();
}

void UdpSocket::await() {
  socket_.async_wait(Socket::wait_read, [shared = shared_](const std::error_code& error) {
    if (shared->socket != nullptr && !error) shared->socket->receive();
  });
}

void UdpSocket::receive() {
  const std::shared_ptr<Shared> shared = shared_;  // the handler may destroy this
  for (std::size_t i = 0; i < kBurst && socket_.is_open(); ++i) {
    Udp::endpoint sender;
    std::error_code error;
    const std::size_t size = socket_.receive_from(asio::buffer(buffer_), sender, 0, error);
    if (error == asio::error::would_block) break;
    if (error) continue;  // of a packet that was sent before
    on_packet_(address_of_sender(sender), {buffer_.data(), size});
    if (shared->socket == nullptr) return;
  }
  if (socket_.is_open()) await();
}

// ---- sending ----

void UdpSocket::send(const std::string& to, std::string_view bytes) {
  const auto address = parse_address(to);
  if (!address.ok() || !socket_.is_open()) {
    ++dropped_;
    return;
  }
  std::error_code error;
  const asio::ip::address ip = asio::ip::make_address(address->host, error);
  if (error) return send_to_name(to, *address, bytes);
  if (const auto endpoint = reachable(ip, address->port)) {
    transmit(*endpoint, bytes);
  } else {
    ++dropped_;
  }
}

void UdpSocket::transmit(const Udp::endpoint& to, std::string_view bytes) {
  std::error_code error;
  socket_.send_to(asio::buffer(bytes.data(), bytes.size()), to, 0, error);
  if (error) ++dropped_;
}

void UdpSocket::send_to_name(const std::string& text, const Address& to, std::string_view bytes) {
  const auto known = names_.find(text);
  if (known != names_.end()) {
    Name& name = known->second;
    if (!name.known_until.has_value()) {
      if (!std::exchange(name.waiting, std::string(bytes)).empty()) ++dropped_;
      return;
    }
    if (loop_.now() < *name.known_until) {
      return send_to(name, bytes);
    }
    names_.erase(known);
  }
  if (names_.size() >= kNamesMax) names_.erase(names_.begin());
  Name& name = names_[text];
  name.waiting = bytes;
  name.lookup =
      resolve(loop_, to)
          .then([this, text](std::vector<Endpoint> endpoints) { looked_up(text, endpoints); },
                [this, text](kj::Exception&&) { looked_up(text, {}); })
          .eagerlyEvaluate(nullptr);
}

void UdpSocket::looked_up(const std::string& text, const std::vector<Endpoint>& endpoints) {
  Name& name = names_.at(text);
  name.known_until = loop_.now() + kNameTime;
  for (const Endpoint& endpoint : endpoints) {
    name.endpoint = reachable(endpoint.address(), endpoint.port());
    if (name.endpoint.has_value()) break;
  }
  send_to(name, std::exchange(name.waiting, {}));
}

void UdpSocket::send_to(const Name& name, std::string_view bytes) {
  if (name.endpoint.has_value()) {
    transmit(*name.endpoint, bytes);
  } else {
    ++dropped_;
  }
}

std::optional<UdpSocket::Udp::endpoint> UdpSocket::reachable(const asio::ip::address& ip,
                                                             std::uint16_t port) const {
  if (ip.is_v6() == v6_) return Udp::endpoint(ip, port);
  if (!v6_) return std::nullopt;
  return Udp::endpoint(asio::ip::make_address_v6(asio::ip::v4_mapped, ip.to_v4()), port);
}

}  // namespace grapevine::rpc
