// One Cap'n Proto RPC connection over one stream, either side of it.
//
// Resource. A side may offer a capability and may ask for the other's. Whatever the peer sends that
// is no message, too large, or cut off ends this connection and nothing else: on_disconnect is
// done, end_reason says why in one line, and calls that were under way fail as lost.
//
// Bounds: a message has at most message_bytes_max bytes, both ways. Calls whose answer is
// outstanding hold at most flow_limit_bytes of parameters, then reading pauses. A server pauses too
// while a slow reader leaves more than queued_bytes_max of answers; a client does not (both sides
// waiting for each other would never end), it bounds what it asks for, and can look at
// queued_bytes. Not promised: that a call under way when the connection ends was not carried out.
//
// Owner: a server, or whoever dialled; the thread of its loop; gone before its loop. Capabilities
// that outlive it fail.
#pragma once

#include <capnp/capability.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "rpc/loop.h"
#include "rpc/message_stream.h"
#include "rpc/network.h"
#include "storage/base/limits.h"

namespace grapevine::rpc {

// A full batch, and as much again as the structure around its operations needs (65,536 of them).
inline constexpr std::size_t kMessageBytesMax = kBatchBytesMax + std::size_t{16} * 1024 * 1024;

struct ConnectionOptions {
  std::size_t message_bytes_max = kMessageBytesMax;
  std::size_t flow_limit_bytes = 2 * kMessageBytesMax;
  std::size_t queued_bytes_max = kMessageBytesMax;
  bool packs_back = false;  // small messages, once the peer does; see MessageStream
};

class Connection {
 public:
  // How long an ended or closed connection waits for the peer to take the last bytes.
  static constexpr Duration kFarewellTime = std::chrono::seconds(2);

  enum class Side { kClient, kServer };

  // `offered` is what the peer gets when it asks for our bootstrap capability; it gets an error if
  // there is none.
  Connection(Loop& loop, kj::Own<kj::AsyncIoStream> stream, PeerInfo peer, Side side,
             kj::Maybe<capnp::Capability::Client> offered, const ConnectionOptions& options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What the peer offers. Calls may be made on it at once; they fail if the peer turns out to offer
  // nothing.
  template <typename Interface>
  typename Interface::Client bootstrap() {
    KJ_IF_MAYBE (remote, remote_) {
      return remote->castAs<Interface>();
    }
    return ask_for_bootstrap().castAs<Interface>();
  }

  // Done when the connection has ended. Any number of times; drop it before the connection.
  kj::Promise<void> on_disconnect();

  // Why it ended: InvalidArgument when the peer sent what it must not, else Unavailable. Ok before.
  absl::Status end_reason() const;
  // True when the peer closed it, and between two messages.
  bool ended_in_order() const { return messages_.at_end(); }

  // Done when what was answered so far is sent, or kFarewellTime is over; destroy the connection
  // then. Calls of the peer that are still under way are dropped a few events later if they allow
  // cancellation (CallContext::allowCancellation), else they run to their end and their answers go
  // nowhere.
  kj::Promise<void> close();

  // From now on small messages are packed. REQUIRES: the peer understands it.
  void pack() { messages_.pack(); }

  const PeerInfo& peer() const { return peer_; }
  std::uint64_t bytes_received() const { return messages_.bytes_received(); }
  std::size_t queued_bytes() { return network_.getCurrentQueueSize(); }

 private:
  capnp::Capability::Client ask_for_bootstrap();
  kj::Promise<void> when_sent(Instant deadline);

  Loop& loop_;
  const PeerInfo peer_;
  kj::Own<kj::AsyncIoStream> stream_;
  MessageStream messages_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  kj::Maybe<capnp::Capability::Client>
      remote_;  // of a client: a connection that was never asked notices nothing
  bool ended_ = false;
  kj::ForkedPromise<void> disconnected_;
};

}  // namespace grapevine::rpc
