#include "rpc/connection.h"

#include <utility>

namespace grapevine::rpc {
namespace {

using capnp::rpc::twoparty::Side;
using capnp::rpc::twoparty::VatId;

constexpr Duration kDrainStep = std::chrono::milliseconds(1);

// Cap'n Proto refuses to send what is over this limit, and the call fails instead of the
// connection.
capnp::ReaderOptions send_limit(const ConnectionOptions& options) {
  capnp::ReaderOptions limit;
  limit.traversalLimitInWords = options.message_bytes_max / sizeof(capnp::word) + 1;
  return limit;
}

}  // namespace

Connection::Connection(Loop& loop, kj::Own<kj::AsyncIoStream> stream, PeerInfo peer, Side side,
                       kj::Maybe<capnp::Capability::Client> offered,
                       const ConnectionOptions& options)
    : loop_(loop),
      peer_(std::move(peer)),
      stream_(kj::mv(stream)),
      messages_(*stream_, to_string(peer_.address), options.message_bytes_max),
      network_(messages_,
               side == Side::kServer ? capnp::rpc::twoparty::Side::SERVER
                                     : capnp::rpc::twoparty::Side::CLIENT,
               send_limit(options)),
      rpc_(network_, kj::mv(offered)),
      disconnected_(nullptr) {
  if (options.packs_back) messages_.pack_back();
  rpc_.setFlowLimit(options.flow_limit_bytes / sizeof(capnp::word));
  if (side == Side::kServer) {
    messages_.pause_reading_while([this, limit = options.queued_bytes_max] {
      return network_.getCurrentQueueSize() > limit;
    });
  } else {
    remote_ = ask_for_bootstrap();
  }
  // Cap'n Proto says goodbye before it lets go, for which a peer that does not read would make it
  // wait for ever.
  auto given_up = messages_.on_end().then([this] { return loop_.after(kFarewellTime); });
  disconnected_ = network_.onDisconnect()
                      .exclusiveJoin(kj::mv(given_up))
                      .then([this] { ended_ = true; })
                      .fork();
}

capnp::Capability::Client Connection::ask_for_bootstrap() {
  capnp::MallocMessageBuilder message(4);
  auto vat = message.getRoot<VatId>();
  vat.setSide(network_.getSide() == capnp::rpc::twoparty::Side::CLIENT
                  ? capnp::rpc::twoparty::Side::SERVER
                  : capnp::rpc::twoparty::Side::CLIENT);
  return rpc_.bootstrap(vat);
}

kj::Promise<void> Connection::on_disconnect() {
  return disconnected_.addBranch();
}

absl::Status Connection::end_reason() const {
  if (!messages_.failure().ok()) return messages_.failure();
  const std::string name = to_string(peer_.address);
  if (messages_.at_end()) return absl::UnavailableError(name + " closed the connection");
  if (ended_) return absl::UnavailableError("the connection to " + name + " broke");
  return absl::OkStatus();
}

kj::Promise<void> Connection::close() {
  return when_sent(loop_.now() + kFarewellTime);
}

kj::Promise<void> Connection::when_sent(Instant deadline) {
  if (network_.getCurrentQueueCount() == 0 || loop_.now() >= deadline) return kj::READY_NOW;
  return loop_.after(kDrainStep).then([this, deadline] { return when_sent(deadline); });
}

}  // namespace grapevine::rpc
