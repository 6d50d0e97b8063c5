// Serves capabilities on a port: one Connection for each peer that comes.
//
// Resource. What a peer gets is decided by `offer` when it connects. A connection that breaks the
// rules is closed and reported once; the others do not notice.
//
// Bounds: those of Listener and Connection.
// Owner: the node or a test; the thread of its loop; gone before its loop.
#pragma once

#include <kj/async.h>
#include <kj/function.h>

#include <functional>
#include <map>
#include <memory>

#include "rpc/connection.h"
#include "rpc/network.h"

namespace grapevine::rpc {

class RpcServer {
 public:
  using Offer = kj::Function<capnp::Capability::Client(const PeerInfo&)>;
  using FailureHandler = std::function<void(const PeerInfo&, const absl::Status&)>;

  // Starts to serve. `on_failure` learns of connections that ended other than by being closed
  // between two messages.
  RpcServer(Loop& loop, std::unique_ptr<Listener> listener, Offer offer,
            const ConnectionOptions& options, FailureHandler on_failure);

  // Accepts no more, then lets go of all connections once what they have answered is sent (at most
  // Connection::kFarewellTime). Calls under way end as in Connection::close. The server must
  // outlive the promise.
  kj::Promise<void> stop();

  const Address& address() const { return listener_->address(); }
  std::size_t connections() const { return connections_.size(); }
  std::uint64_t refused() const { return listener_->refused(); }

 private:
  void serve(kj::Own<kj::AsyncIoStream> stream, const PeerInfo& peer);
  void ended(std::uint64_t id);

  struct Served {
    kj::Own<Connection> connection;
    kj::Promise<void> watch;  // removes it when it has ended
  };

  Loop& loop_;
  const std::unique_ptr<Listener> listener_;
  Offer offer_;
  const ConnectionOptions options_;
  const FailureHandler on_failure_;
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, Served> connections_;
};

}  // namespace grapevine::rpc
