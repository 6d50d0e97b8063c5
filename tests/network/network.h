// A network for a cluster of real processes: each node in a network namespace of its own, joined to
// one bridge, and on the bridge a packet filter that cuts and loses.
//
//   node 0: eth0 10.77.0.1 ── n1 ┐
//   node 1: eth0 10.77.0.2 ── n2 ┼ bridge    "A cannot reach B" stands on the bridge: IP packets that
//   …                            ┘           come in by A's port and would go out by B's are dropped
//
// What is cut is cut for TCP and UDP alike, and silently; ARP goes through, as it does where a router
// in between is at fault. Interfaces send frames of at most 1,500 bytes (no segmentation offload), so
// that one loss is that of one packet.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/cluster/cluster.h"
#include "tests/network/namespace.h"

namespace grapevine::network_test {

// Resource. Nodes are counted from 0, as in Cluster.
class Network {
 public:
  using Side = std::vector<std::size_t>;

  // What this machine lacks, and how to get that; empty: nothing.
  static std::string missing();
  static std::string missing_for_rates();   // beside that, for limit
  static std::string missing_for_delays();  // for delay

  // REQUIRES: missing() is empty.
  explicit Network(std::size_t nodes);

  // Of the nodes in order, for Cluster.
  std::vector<cluster_test::Place> places() const;
  // An address that no node has had yet.
  std::string fresh_host() { return "10.77.0." + std::to_string(++hosts_given_); }
  // The node has this address, and the old one no more.
  void readdress(std::size_t node, const std::string& host);

  // What is sent by `from` does not reach `to`; the other way is not touched.
  void cut_one_way(const Side& from, const Side& to);
  void cut(const Side& left, const Side& right);
  // Neither finds a way to the other any more, and the own machine says so at once.
  void take_route(std::size_t left, std::size_t right);
  // So many percent of all packets, whoever sends them.
  void lose(double percent);
  // All cuts and losses end, and routes are back; rates and delays stay.
  void heal();

  // What the node sends and what it gets: "4mbit". Beyond a queue of `queue` ("400ms") packets are
  // dropped.
  void limit(std::size_t node, const std::string& rate, const std::string& queue);
  // Whatever is sent takes that long, ± jitter, each packet for itself: they overtake each other.
  void delay(std::size_t milliseconds, std::size_t jitter_milliseconds);

 private:
  static std::string port(std::size_t node) { return "n" + std::to_string(node + 1); }
  void apply() const;

  Namespace bridge_;
  std::vector<std::unique_ptr<Namespace>> nodes_;
  std::vector<std::string> hosts_;
  std::size_t hosts_given_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;  // (from, to)
  double lost_percent_ = 0;
  std::vector<std::pair<std::size_t, std::string>> routes_taken_;  // at this node, to this host
};

}  // namespace grapevine::network_test
