// Dialling: from an address to a connected stream.
#pragma once

#include <kj/async-io.h>

#include <optional>

#include "rpc/address.h"
#include "rpc/loop.h"

namespace grapevine::rpc {

struct ConnectOptions {
  Duration timeout = std::chrono::seconds(5);  // for the lookup and all addresses together
  // Where to dial from: its host is bound, its port is not. An unspecified address (0.0.0.0, ::)
  // leaves it to the kernel.
  std::optional<Address> from;
};

// Tries every address that the host has, in order; each may use up its share of the time that is
// left. Fails with a DISCONNECTED exception that names the address and the last reason. Drop the
// promise to give up. `loop` must outlive the promise.
kj::Promise<kj::Own<kj::AsyncIoStream>> connect(Loop& loop, const Address& address,
                                                ConnectOptions options);

}  // namespace grapevine::rpc
