// Port: how streams and packets to and from other processes come about. TCP and UDP stand behind
// it, or a simulation.
#pragma once

#include <kj/async-io.h>
#include <kj/function.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "rpc/address.h"
#include "rpc/datagram.h"
#include "storage/base/status.h"
#include "storage/base/time.h"

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

// A port that is listened on; it hands out streams, and knows nothing of what is spoken on them.
//
// Resource. Connections are accepted from start() until stop(). Owner: whoever serves the port; the
// thread of its loop; gone before its loop. Streams may outlive it.
class Listener {
 public:
  using AcceptHandler = kj::Function<void(kj::Own<kj::AsyncIoStream>, const PeerInfo&)>;

  virtual ~Listener() noexcept(false) = default;
  // REQUIRES: not started before. What `on_accept` throws ends that connection only.
  virtual void start(AcceptHandler on_accept) = 0;
  virtual void stop() = 0;

  virtual const Address& address() const = 0;
  virtual std::size_t connections() const = 0;  // handed out and still open
  virtual std::uint64_t refused() const = 0;    // for there were connections_max
};

struct ConnectOptions {
  Duration timeout = std::chrono::seconds(5);  // for the lookup and all addresses together
  // Where to dial from: its host is bound, its port is not. An unspecified address (0.0.0.0, ::)
  // leaves it to the kernel.
  std::optional<Address> from;
};

class Network {
 public:
  virtual ~Network() = default;

  // FailedPrecondition when the port cannot be had, with the remedy. Port 0: any that is free, see
  // Listener::address().
  virtual absl::StatusOr<std::unique_ptr<Listener>> listen(const Address& address,
                                                           ListenOptions options) = 0;
  // Fails with a DISCONNECTED exception that names the address and the last reason. Drop the
  // promise to give up.
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> connect(const Address& address,
                                                          ConnectOptions options) = 0;
  // A port for packets; `flag` is named in errors. FailedPrecondition and port 0 as with listen().
  virtual absl::StatusOr<std::unique_ptr<Datagrams>> bind_datagrams(const Address& address,
                                                                    const std::string& flag) = 0;
};

}  // namespace grapevine::rpc
