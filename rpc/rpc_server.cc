#include "rpc/rpc_server.h"

#include <utility>

namespace grapevine::rpc {

RpcServer::RpcServer(Loop& loop, std::unique_ptr<Listener> listener, Offer offer,
                     const ConnectionOptions& options, FailureHandler on_failure)
    : loop_(loop),
      listener_(std::move(listener)),
      offer_(kj::mv(offer)),
      options_(options),
      on_failure_(std::move(on_failure)) {
  listener_->start([this](kj::Own<kj::AsyncIoStream> stream, const PeerInfo& peer) {
    serve(kj::mv(stream), peer);
  });
}

void RpcServer::serve(kj::Own<kj::AsyncIoStream> stream, const PeerInfo& peer) {
  const std::uint64_t id = next_id_++;
  auto connection = kj::heap<Connection>(loop_, kj::mv(stream), peer, Connection::Side::kServer,
                                         offer_(peer), options_);
  auto watch = connection->on_disconnect().then([this, id] { ended(id); }).eagerlyEvaluate(nullptr);
  connections_.emplace(id, Served{kj::mv(connection), kj::mv(watch)});
}

void RpcServer::ended(std::uint64_t id) {
  const auto served = connections_.find(id);
  const Connection& connection = *served->second.connection;
  if (!connection.ended_in_order()) on_failure_(connection.peer(), connection.end_reason());
  // This runs inside the promise that the entry owns, so the entry goes a moment later.
  loop_.spawn(kj::evalLater([gone = kj::mv(served->second)] {}));
  connections_.erase(served);
}

kj::Promise<void> RpcServer::stop() {
  listener_->stop();
  auto closing = kj::heapArrayBuilder<kj::Promise<void>>(connections_.size());
  for (auto& [id, served] : connections_) closing.add(served.connection->close());
  return kj::joinPromises(closing.finish()).then([this] { connections_.clear(); });
}

}  // namespace grapevine::rpc
