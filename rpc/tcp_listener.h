// A TCP port that is listened on.
#pragma once

#include <asio/basic_socket_acceptor.hpp>
#include <memory>

#include "rpc/asio_loop.h"
#include "rpc/stream.h"

namespace grapevine::rpc {

// Resource. When the process has no file descriptor left it pauses for kAcceptPause and goes on,
// reporting it once to the loop. A connection beyond connections_max is closed at once, and counted
// as refused.
class TcpListener final : public Listener {
 public:
  static constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

  // Network::listen. Looks a name up while the caller waits.
  static absl::StatusOr<std::unique_ptr<Listener>> bind(AsioLoop& loop, const Address& address,
                                                        ListenOptions options);
  ~TcpListener() noexcept(false) override;
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  void start(AcceptHandler on_accept) override;
  void stop() override;

  const Address& address() const override { return address_; }
  std::size_t connections() const override { return *connections_; }
  std::uint64_t refused() const override { return refused_; }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;
  struct Shared {
    TcpListener* listener;
  };

  TcpListener(AsioLoop& loop, ListenOptions options, Acceptor acceptor, Address address);
  void accept();
  void accepted(const std::error_code& error, Socket socket);
  void hand_out(Socket socket);

  AsioLoop& loop_;
  const ListenOptions options_;
  Acceptor acceptor_;
  const Address address_;
  AcceptHandler on_accept_;
  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<std::size_t> connections_ = std::make_shared<std::size_t>(0);
  std::uint64_t refused_ = 0;
  bool out_of_descriptors_ = false;  // reported, and not accepted anything since
  kj::Promise<void> pause_ = kj::READY_NOW;
};

}  // namespace grapevine::rpc
