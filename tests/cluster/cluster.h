// A cluster of real grapevined processes, on loopback or in networks of their own, for tests and
// benchmarks.
//
// On loopback each test process has addresses of its own, 127.A.B.1, .2, … with A and B from its
// process id, so that tests that run side by side never meet; the ports are the usual ones.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "grapevine/client.h"
#include "tests/cluster/process.h"

namespace grapevine::cluster_test {

// Where a node lives, and the clients that talk to it alone.
struct Place {
  std::string host;           // an IPv4 address
  int network = kOwnNetwork;  // outlives the cluster
};

// Resource: the processes and their data directories end with it. Nodes are counted from 0.
class Cluster {
 public:
  explicit Cluster(std::size_t nodes, std::vector<std::string> flags = {});
  explicit Cluster(std::vector<Place> places, std::vector<std::string> flags = {});
  ~Cluster();

  std::size_t size() const { return nodes_.size(); }
  // Flags that this node is started with beside the others', from now on.
  void add_flags(std::size_t node, const std::vector<std::string>& flags);
  // Of this node the others are not told by --join, nor it of them, unless by its own flags.
  void keep_apart(std::size_t node) { apart_.insert(node); }
  // From its next start on it has this address, and the others are told so by --join from theirs on.
  void move(std::size_t node, const std::string& host) { places_[node].host = host; }
  // Starts the node and waits until it says that it is ready.
  void start(std::size_t node);
  void launch(std::size_t node);  // the same without waiting
  struct Ended {
    int exit_code = 0;
    std::string log;
  };
  Ended wait_for_end(std::size_t node);  // by itself
  void start_all();
  void kill_hard(std::size_t node);  // -9
  int stop(std::size_t node);        // a clean stop; its exit code
  // A node that neither answers nor notices: SIGSTOP, which lasts until resume.
  void pause(std::size_t node);
  void resume(std::size_t node);
  bool runs(std::size_t node) const { return nodes_[node] != nullptr; }

  // Until the node's own log says that it has noticed.
  void wait_until_seen_down(std::size_t by, std::size_t node);
  // Until the last word of its log about the node is that it is up, or not; how long that took.
  std::chrono::milliseconds wait_until_seen(std::size_t by, std::size_t node, bool up) const;
  const Process& process(std::size_t node) const { return *nodes_[node]; }

  std::string endpoint(std::size_t node) const;  // for clients
  std::string directory(std::size_t node) const;
  std::string host(std::size_t node) const;
  std::string file(std::string_view name) const;  // in the cluster's scratch directory
  // Of all nodes in this order, from where the first one lives, or of one.
  std::unique_ptr<Client> client(
      std::chrono::milliseconds timeout = std::chrono::seconds(10)) const;
  std::unique_ptr<Client> client_of(
      std::size_t node, std::chrono::milliseconds timeout = std::chrono::seconds(10)) const;

  // Runs `grapevine ARGUMENTS --endpoints <node's>`.
  Finished grapevine(std::size_t node, std::vector<std::string> arguments,
                     std::string_view input = {}) const;
  // Until `grapevine divergence` exits 0; how long that took. Fails the test beyond `at_most`.
  std::chrono::milliseconds wait_until_equal(std::chrono::seconds at_most) const;
  // What `grapevine export` of this node prints.
  std::string exported(std::size_t node) const;

 private:
  std::vector<std::string> command(std::size_t node) const;

  std::string scratch_;
  std::vector<Place> places_;
  std::vector<std::string> flags_;
  std::map<std::size_t, std::vector<std::string>> own_flags_;
  std::set<std::size_t> apart_;
  std::vector<std::unique_ptr<Process>> nodes_;  // nullptr: does not run
};

}  // namespace grapevine::cluster_test
