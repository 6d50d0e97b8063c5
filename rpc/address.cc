#include "rpc/address.h"

#include <absl/strings/match.h>

#include <asio/ip/address.hpp>
#include <charconv>

namespace grapevine::rpc {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035

absl::Status malformed(std::string_view text, const std::string& reason) {
  return absl::InvalidArgumentError("address '" + std::string(text.substr(0, kHostBytesMax)) +
                                    "' " + reason +
                                    "; write HOST:PORT or [IPV6]:PORT, such as 127.0.0.1:4740");
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

}  // namespace

absl::StatusOr<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed(text, "has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);

  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return malformed(text, "has no port after the bracket");
    host = host.substr(1, host.size() - 2);
    std::error_code error;
    asio::ip::make_address_v6(std::string(host), error);
    if (error) return malformed(text, "has no IPv6 address in its brackets");
  } else {
    if (host.empty()) return malformed(text, "has no host");
    if (host.size() > kHostBytesMax) return malformed(text, "has a host of more than 253 bytes");
    if (host.find(':') != std::string_view::npos)
      return malformed(text, "has an IPv6 address without brackets");
    for (const char c : host) {
      if (!is_host_character(c)) return malformed(text, "has a character that no host name has");
    }
  }

  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (port_text.empty()) return malformed(text, "has no port");
  if (error != std::errc() || end != port_text.data() + port_text.size()) {
    return malformed(text, "has a port that is not a number from 0 to 65535");
  }
  return Address{std::string(host), port};
}

std::string to_string(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

bool is_loopback(const Address& address) {
  if (absl::EqualsIgnoreCase(address.host, "localhost")) return true;
  std::error_code error;
  const asio::ip::address ip = asio::ip::make_address(address.host, error);
  if (error) return false;
  if (ip.is_v6() && ip.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6()).is_loopback();
  }
  return ip.is_loopback();
}

}  // namespace grapevine::rpc
