// Port: packets to and from other processes, best effort. UDP stands behind it (udp_socket.h), or a
// simulation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "rpc/address.h"

namespace grapevine::rpc {

// Resource. A packet arrives whole or not at all, once or more often, in any order; nobody learns
// what became of it. Nothing here waits: what cannot be sent at once is dropped, and counted.
//
// Owner: whoever speaks on the port; the thread of its loop; gone before its loop.
class Datagrams {
 public:
  // The bytes are valid during the call. The handler may send, stop and destroy.
  using Handler = std::function<void(const Address& from, std::string_view bytes)>;

  virtual ~Datagrams() noexcept(false) = default;
  // REQUIRES: not started before.
  virtual void start(Handler on_packet) = 0;
  virtual void stop() = 0;
  // `to` as people write it, such as a member's peer address: HOST:PORT.
  virtual void send(const std::string& to, std::string_view bytes) = 0;

  virtual const Address& address() const = 0;
  virtual std::uint64_t dropped() const = 0;  // that were to be sent
};

}  // namespace grapevine::rpc
