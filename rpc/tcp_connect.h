// Dialling: from an address to a connected TCP stream.
#pragma once

#include <kj/async-io.h>

#include "rpc/asio_loop.h"

namespace grapevine::rpc {

// Network::connect. Tries every address that the host has, in order; each may use up its share of
// the time that is left. `loop` must outlive the promise.
kj::Promise<kj::Own<kj::AsyncIoStream>> tcp_connect(AsioLoop& loop, const Address& address,
                                                    ConnectOptions options);

}  // namespace grapevine::rpc
