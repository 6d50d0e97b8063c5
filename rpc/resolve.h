// Names into endpoints, without blocking the loop.
//
// An address in numbers is answered at once. A name is looked up by a thread of the io_context; a
// lookup whose promise was dropped still runs to its end there, and the loop's destruction waits
// for it.
#pragma once

#include <kj/async.h>

#include <asio/ip/tcp.hpp>
#include <vector>

#include "rpc/address.h"
#include "rpc/asio_loop.h"

namespace grapevine::rpc {

using Endpoint = asio::ip::tcp::endpoint;

inline constexpr std::size_t kEndpointsMax = 16;  // of one name; the rest is ignored

// 1 to kEndpointsMax endpoints in the order of the system's preference, or a failure that names the
// host.
kj::Promise<std::vector<Endpoint>> resolve(AsioLoop& loop, const Address& address);

// The same, blocking: for listeners, before the loop runs.
absl::StatusOr<std::vector<Endpoint>> resolve_now(const Address& address);

Address address_of(const Endpoint& endpoint);

}  // namespace grapevine::rpc
