// A UDP port of this process.
#pragma once

#include <asio/basic_datagram_socket.hpp>
#include <asio/ip/udp.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rpc/asio_loop.h"
#include "rpc/datagram.h"
#include "rpc/resolve.h"
#include "storage/base/status.h"

namespace grapevine::rpc {

// Resource. A socket on an IPv6 address that is unspecified (::) speaks IPv4 too. Names are looked
// up while nobody waits, and again after kNameTime; a packet to a name that is not known yet waits
// for the lookup, one a name; at most kNamesMax names are remembered.
//
// Cost: one system call a packet; at most kBurst packets are taken at a time before the loop does
// something else. Packets may have 65,507 bytes; beyond 1,472 (IPv4) or 1,452 (IPv6) Ethernet
// splits them.
class UdpSocket final : public Datagrams {
 public:
  static constexpr Duration kNameTime = std::chrono::seconds(30);
  static constexpr std::size_t kNamesMax = 1'024;
  static constexpr std::size_t kBurst = 64;

  // FailedPrecondition when the port cannot be had, with the remedy, which names `flag`. Port 0:
  // the kernel chooses, see address(). Looks a name up while the caller waits.
  static absl::StatusOr<std::unique_ptr<UdpSocket>> bind(AsioLoop& loop, const Address& address,
                                                         const std::string& flag);
  ~UdpSocket() noexcept(false) override;
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  void start(Handler on_packet) override;
  void stop() override;
  void send(const std::string& to, std::string_view bytes) override;

  const Address& address() const override { return address_; }
  std::uint64_t dropped() const override { return dropped_; }

 private:
  using Udp = asio::ip::udp;
  using Socket = asio::basic_datagram_socket<Udp, asio::io_context::executor_type>;
  struct Name {
    std::optional<Udp::endpoint> endpoint;
    std::string waiting;                 // a packet; empty: none
    std::optional<Instant> known_until;  // nullopt: it is being looked up
    kj::Promise<void> lookup = nullptr;
  };
  struct Shared {
    UdpSocket* socket;
  };

  UdpSocket(AsioLoop& loop, Socket socket, Address address);
  void await();
  void receive();
  void transmit(const Udp::endpoint& to, std::string_view bytes);
  void send_to_name(const std::string& text, const Address& to, std::string_view bytes);
  void send_to(const Name& name, std::string_view bytes);
  void looked_up(const std::string& text, const std::vector<Endpoint>& endpoints);
  // As this socket's protocol can reach it; nullopt: it cannot.
  std::optional<Udp::endpoint> reachable(const asio::ip::address& ip, std::uint16_t port) const;

  AsioLoop& loop_;
  Socket socket_;
  const Address address_;
  const bool v6_;
  Handler on_packet_;
  std::vector<char> buffer_;
  std::map<std::string, Name> names_;
  std::uint64_t dropped_ = 0;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace grapevine::rpc
