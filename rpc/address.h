// Where a process listens or is to be found: a host and a port, as people write them.
//
// Value. The host is an IPv4 or IPv6 address without brackets, or a name; nothing is looked up
// here.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/status.h"

namespace grapevine::rpc {

struct Address {
  std::string host;
  std::uint16_t port = 0;

  friend auto operator<=>(const Address&, const Address&) = default;
};

// Reads "HOST:PORT" or "[IPV6]:PORT"; InvalidArgument says what is wrong with the text.
absl::StatusOr<Address> parse_address(std::string_view text);

// What parse_address reads.
std::string to_string(const Address& address);

// True for 127.0.0.0/8, ::1, those mapped into IPv6, and "localhost": nobody outside this machine
// can reach it.
bool is_loopback(const Address& address);

}  // namespace grapevine::rpc
