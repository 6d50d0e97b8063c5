// A TCP port that is listened on; it hands out streams, and knows nothing of what is spoken on
// them.
//
// Resource. Accepts from start() until stop(). When the process has no file descriptor left it
// pauses for kAcceptPause and goes on, reporting it once to the loop. A connection beyond
// connections_max is closed at once, and counted as refused.
//
// Owner: whoever serves the port; the thread of its loop; gone before its loop. Streams may outlive
// it.
#pragma once

#include <kj/async-io.h>
#include <kj/function.h>

#include <asio/basic_socket_acceptor.hpp>
#include <memory>
#include <string>

#include "rpc/address.h"
#include "rpc/loop.h"
#include "rpc/stream.h"

namespace grapevine::rpc {

// Who is at the other end of a connection. Value.
struct PeerInfo {
  Address address;
};

struct ListenOptions {
  std::string flag = "--listen";  // named in errors: where the user changes the address
  std::size_t connections_max =
      10'000;           // open at the same time; each costs a descriptor and about 100 KiB
  int backlog = 1'024;  // waiting to be accepted; the kernel may allow fewer
};

class Listener {
 public:
  static constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
  using AcceptHandler = kj::Function<void(kj::Own<kj::AsyncIoStream>, const PeerInfo&)>;

  // FailedPrecondition when the port cannot be had, with the remedy. Port 0: the kernel chooses,
  // see address().
  static absl::StatusOr<std::unique_ptr<Listener>> bind(Loop& loop, const Address& address,
                                                        ListenOptions options);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // REQUIRES: not started before. What `on_accept` throws ends that connection only.
  void start(AcceptHandler on_accept);
  void stop();

  const Address& address() const { return address_; }
  std::size_t connections() const { return *connections_; }  // handed out and still open
  std::uint64_t refused() const { return refused_; }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;
  struct Shared {
    Listener* listener;
  };

  Listener(Loop& loop, ListenOptions options, Acceptor acceptor, Address address);
  void accept();
  void accepted(const std::error_code& error, Socket socket);
  void hand_out(Socket socket);

  Loop& loop_;
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
