#include "tests/network/network.h"

#include <fmt/format.h>

namespace grapevine::network_test {
namespace {

// As `nft -f` reads it; replaces what was there.
std::string ruleset(const std::string& rules) {
  return "table bridge cuts\n"
         "delete table bridge cuts\n"
         "table bridge cuts {\n"
         "  chain forward {\n"
         "    type filter hook forward priority 0;\n" +
         rules +
         "  }\n"
         "}\n";
}

constexpr const char* kDropOnePort = "ether type ip iifname \"n1\" oifname \"n2\" drop\n";

std::string losing(double percent) {
  return fmt::format("ether type ip numgen random mod 1000 < {} drop\n",
                     static_cast<int>(percent * 10));
}

// Empty if `command` works in a namespace with the interfaces of a network; else `remedy`.
std::string tried(std::vector<std::string> command, std::string_view input,
                  const std::string& remedy) {
  const Namespace place;
  for (const auto& step :
       {std::vector<std::string>{"ip", "link", "add", "bridge", "type", "bridge"},
        std::vector<std::string>{"ip", "link", "add", "n1", "gso_max_segs", "1", "type", "veth",
                                 "peer", "name", "n2"}}) {
    const auto made = place.try_run(step);
    if (made.exit_code == 0) continue;
    return fmt::format("{}: {}: needs a kernel with CONFIG_BRIDGE and CONFIG_VETH",
                       fmt::join(step, " "), made.err);
  }
  const std::string text = fmt::format("{}", fmt::join(command, " "));
  const auto finished = place.try_run(std::move(command), input);
  if (finished.exit_code == 0) return {};
  return fmt::format("{}: {}: {}", text, finished.err.substr(0, finished.err.find('\n')), remedy);
}

}  // namespace

std::string Network::missing() {
  static const std::string found = [] {
    for (const std::string& lacks : {missing_for_namespaces(), missing_program("nft", "nftables"),
                                     missing_program("tc", "iproute2")}) {
      if (!lacks.empty()) return lacks;
    }
    return tried({"nft", "-f", "-"}, ruleset(kDropOnePort + losing(5)),
                 "needs a kernel with CONFIG_NF_TABLES_BRIDGE and CONFIG_NFT_NUMGEN (modprobe "
                 "nft_numgen)");
  }();
  return found;
}

std::string Network::missing_for_rates() {
  return tried({"tc", "qdisc", "add", "dev", "n1", "root", "tbf", "rate", "1mbit", "burst", "10kb",
                "latency", "100ms"},
               {}, "needs a kernel with CONFIG_NET_SCH_TBF (modprobe sch_tbf)");
}

std::string Network::missing_for_delays() {
  return tried({"tc", "qdisc", "add", "dev", "n1", "root", "netem", "delay", "1ms"}, {},
               "needs a kernel with CONFIG_NET_SCH_NETEM (modprobe sch_netem)");
}

Network::Network(std::size_t nodes) {
  std::string links = "link add bridge type bridge\nlink set bridge up\n";
  for (std::size_t node = 0; node < nodes; ++node) {
    nodes_.push_back(std::make_unique<Namespace>());
    hosts_.emplace_back();
    links += fmt::format(
        "link add {0} gso_max_segs 1 type veth peer name eth0 netns {1}\n"
        "link set {0} master bridge up\n",
        port(node), nodes_.back()->path());
  }
  bridge_.run({"ip", "-batch", "-"}, links);
  for (std::size_t node = 0; node < nodes; ++node) {
    nodes_[node]->run({"ip", "link", "set", "eth0", "gso_max_segs", "1", "up"});
    readdress(node, fresh_host());
  }
}

std::vector<cluster_test::Place> Network::places() const {
  std::vector<cluster_test::Place> places;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    places.push_back({hosts_[node], nodes_[node]->descriptor()});
  }
  return places;
}

void Network::readdress(std::size_t node, const std::string& host) {
  hosts_[node] = host;
  nodes_[node]->run({"ip", "address", "flush", "dev", "eth0"});
  nodes_[node]->run({"ip", "address", "add", host + "/24", "dev", "eth0"});
}

void Network::cut_one_way(const Side& from, const Side& to) {
  for (const std::size_t sender : from) {
    for (const std::size_t receiver : to) cuts_.emplace(sender, receiver);
  }
  apply();
}

void Network::cut(const Side& left, const Side& right) {
  cut_one_way(left, right);
  cut_one_way(right, left);
}

void Network::take_route(std::size_t left, std::size_t right) {
  for (const auto& [at, to] : {std::pair(left, right), std::pair(right, left)}) {
    nodes_[at]->run({"ip", "route", "add", "unreachable", hosts_[to] + "/32"});
    routes_taken_.emplace_back(at, hosts_[to]);
  }
}

void Network::lose(double percent) {
  lost_percent_ = percent;
  apply();
}

void Network::heal() {
  cuts_.clear();
  lost_percent_ = 0;
  for (const auto& [at, host] : routes_taken_) {
    nodes_[at]->run({"ip", "route", "del", "unreachable", host + "/32"});
  }
  routes_taken_.clear();
  apply();
}

void Network::apply() const {
  std::string rules;
  for (const auto& [from, to] : cuts_) {
    rules +=
        fmt::format("ether type ip iifname \"{}\" oifname \"{}\" drop\n", port(from), port(to));
  }
  if (lost_percent_ > 0) rules += losing(lost_percent_);
  bridge_.run({"nft", "-f", "-"}, ruleset(rules));
}

void Network::limit(std::size_t node, const std::string& rate, const std::string& queue) {
  const auto shape = [&](const Namespace& place, const std::string& interface) {
    place.run({"tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate", rate, "burst",
               "16kb", "latency", queue});
  };
  shape(bridge_, port(node));
  shape(*nodes_[node], "eth0");
}

void Network::delay(std::size_t milliseconds, std::size_t jitter_milliseconds) {
  for (const auto& node : nodes_) {
    node->run({"tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay",
               fmt::format("{}ms", milliseconds), fmt::format("{}ms", jitter_milliseconds)});
  }
}

}  // namespace grapevine::network_test
