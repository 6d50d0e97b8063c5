// The network between the machines of a simulated world: TCP and UDP as the processes see them.
//
// Bytes of one connection and direction arrive in order, after a delay that is drawn for each write.
// A lost packet is what it is under TCP: a longer delay (kRetransmit, doubled for each further
// loss). What is sent into a cut waits for the cut to heal; kGiveUp after it was sent the connection
// breaks, at the sender's end first. A machine without power answers nothing; back again it answers
// old connections with a reset, but for a few, which something on the way swallows. A process that is gone had its connections ended in order by its
// kernel. A dial into silence fails when its time is over, one to a port that nobody listens on
// after a round trip.
//
// A datagram takes a way of its own: it is lost by the chance of the network's quality, in a cut, and
// where nobody listens when it arrives; some come twice, and some so late that others overtake them.
//
// Not modelled: bandwidth beyond a fixed rate a connection, the acknowledgements' own way back (what
// is cut one way alone still arrives the other way, for as long as the connection lives).
//
// Resource. The world must outlive it; it must outlive the loops that use it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <kj/async-io.h>

#include "rpc/network.h"
#include "tests/simulation/world.h"

namespace grapevine::simulation {

class Network {
 public:
  static constexpr Duration kRetransmit = std::chrono::milliseconds(200);
  static constexpr Duration kGiveUp = std::chrono::minutes(15);  // as Linux does
  static constexpr std::size_t kWindowBytes = std::size_t{256} * 1024;
  static constexpr double kVanishes = 0.1;  // of the connections: no reset finds its way
  static constexpr double kDoubled = 0.01;  // of the datagrams
  static constexpr double kDelayed = 0.02;
  static constexpr Duration kDelayedBy = std::chrono::milliseconds(50);  // at most
  static constexpr std::uint64_t kBytesPerSecond = std::uint64_t{100} << 20;

  // What a way from one machine to another is like. Value.
  struct Quality {
    Duration delay_min = std::chrono::microseconds(50);
    Duration delay_max = std::chrono::microseconds(500);
    double loss = 0;
  };

  Network(World& world, std::uint64_t seed) : world_(world), random_(seed) {}
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The network as `process` on `host` has it. It must not outlive this.
  std::unique_ptr<rpc::Network> view_of(const std::string& host, ProcessPointer process);

  void set_quality(const Quality& quality) { quality_ = quality; }
  // One way.
  void cut(const std::string& from, const std::string& to) { cuts_.emplace(from, to); }
  void heal(const std::string& from, const std::string& to);
  void heal_all();
  bool open(const std::string& from, const std::string& to) const {
    return !cuts_.contains({from, to});
  }
  // Without power nothing of the host's connections is ended: they are just silent. To be called
  // before what ran there is destroyed.
  void power_off(const std::string& host);
  void power_on(const std::string& host);

  std::uint64_t stream_bytes() const { return stream_bytes_; }      // written
  std::uint64_t datagram_bytes() const { return datagram_bytes_; }  // sent

  class Side;    // one end of a connection
  class Port;    // a listener
  class Socket;  // for datagrams

 private:
  friend class Side;
  friend class Port;
  friend class Socket;
  friend class HostNetwork;
  using SidePointer = std::shared_ptr<Side>;

  Duration draw_delay(std::size_t bytes);
  Duration draw_way(std::size_t bytes);  // of what is not lost
  void add(const SidePointer& side);
  template <typename Do>
  void for_each_side(Do what);
  bool dark(const std::string& host) const { return dark_.contains(host); }

  World& world_;
  Random random_;
  Quality quality_;
  std::set<std::pair<std::string, std::string>> cuts_;  // from, to
  std::set<std::string> dark_;
  std::map<rpc::Address, Port*> ports_;
  std::map<rpc::Address, Socket*> sockets_;
  std::vector<std::weak_ptr<Side>> sides_;  // in the order in which they were made
  std::size_t sides_max_ = 64;              // then those that are gone are forgotten
  std::uint16_t last_port_ = 30'000;
  std::uint64_t stream_bytes_ = 0;
  std::uint64_t datagram_bytes_ = 0;
};

}  // namespace grapevine::simulation
