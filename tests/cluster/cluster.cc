#include "tests/cluster/cluster.h"

#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace grapevine::cluster_test {
namespace {

constexpr std::chrono::seconds kStartTime{30};

std::string make_scratch() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "grapevine-cluster-XXXXXX").string();
  GRAPEVINE_CHECK(mkdtemp(pattern.data()) != nullptr, "tests need a temporary directory");
  return pattern;
}

std::vector<Place> on_loopback(std::size_t nodes) {
  const auto own = static_cast<unsigned>(getpid());
  std::vector<Place> places;
  for (std::size_t node = 1; node <= nodes; ++node) {
    places.push_back({fmt::format("127.{}.{}.{}", 1 + own / 256 % 254, own % 256, node)});
  }
  return places;
}

std::unique_ptr<Client> connected(std::vector<std::string> endpoints,
                                  std::chrono::milliseconds timeout, int network) {
  std::unique_ptr<Client> connected;
  // The client's own thread inherits the network of the one that makes it.
  std::thread([&] {
    if (network != kOwnNetwork) {
      GRAPEVINE_CHECK(setns(network, CLONE_NEWNET) == 0, "tests with networks need root");
    }
    auto client = Client::connect({.endpoints = std::move(endpoints), .timeout = timeout});
    GRAPEVINE_CHECK(client.ok(), std::string(text_of(client.status())).c_str());
    connected = *std::move(client);
  }).join();
  return connected;
}

}  // namespace

Cluster::Cluster(std::size_t nodes, std::vector<std::string> flags)
    : Cluster(on_loopback(nodes), std::move(flags)) {}

Cluster::Cluster(std::vector<Place> places, std::vector<std::string> flags)
    : scratch_(make_scratch()),
      places_(std::move(places)),
      flags_(std::move(flags)),
      nodes_(places_.size()) {}

Cluster::~Cluster() {
  for (auto& node : nodes_) {
    if (node != nullptr && ::testing::Test::HasFailure()) {
      std::fprintf(stderr, "---- log of a node\n%s", node->log().c_str());
    }
    node.reset();
  }
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

std::string Cluster::host(std::size_t node) const {
  return places_.at(node).host;
}
std::string Cluster::endpoint(std::size_t node) const {
  return host(node) + ":4740";
}
std::string Cluster::directory(std::size_t node) const {
  return file(fmt::format("node{}", node + 1));
}
std::string Cluster::file(std::string_view name) const {
  return fmt::format("{}/{}", scratch_, name);
}

std::vector<std::string> Cluster::command(std::size_t node) const {
  std::string join;
  for (std::size_t other = 0; other < size(); ++other) {
    if (apart_.contains(node) || apart_.contains(other)) continue;
    if (other != node) join += fmt::format("{}{}:4741", join.empty() ? "" : ",", host(other));
  }
  std::vector<std::string> command{GRAPEVINED,
                                   "--data-dir",
                                   directory(node),
                                   "--name",
                                   fmt::format("node{}", node + 1),
                                   "--client-listen",
                                   endpoint(node),
                                   "--peer-listen",
                                   host(node) + ":4741",
                                   "--http-listen",
                                   host(node) + ":4742"};
  if (!join.empty()) command.insert(command.end(), {"--join", join});
  command.insert(command.end(), flags_.begin(), flags_.end());
  if (const auto own = own_flags_.find(node); own != own_flags_.end()) {
    command.insert(command.end(), own->second.begin(), own->second.end());
  }
  return command;
}

void Cluster::add_flags(std::size_t node, const std::vector<std::string>& flags) {
  auto& own = own_flags_[node];
  own.insert(own.end(), flags.begin(), flags.end());
}

void Cluster::launch(std::size_t node) {
  GRAPEVINE_CHECK(!runs(node), "a node is started when it does not run");
  nodes_[node] = std::make_unique<Process>(command(node), places_[node].network);
}

Cluster::Ended Cluster::wait_for_end(std::size_t node) {
  if (!nodes_[node]->wait_for_end_of_log(kStartTime)) {
    ADD_FAILURE() << "node " << node + 1 << " does not end";
    nodes_[node]->signal(SIGKILL);
  }
  const int exit_code = nodes_[node]->wait();
  Ended ended{exit_code, nodes_[node]->log()};
  nodes_[node].reset();
  return ended;
}

void Cluster::start(std::size_t node) {
  launch(node);
  ASSERT_TRUE(nodes_[node]->wait_for_line("info ready", kStartTime)) << nodes_[node]->log();
}

void Cluster::start_all() {
  // Together: each waits for a peer before it takes writes.
  for (std::size_t node = 0; node < size(); ++node) {
    if (!runs(node)) nodes_[node] = std::make_unique<Process>(command(node), places_[node].network);
  }
  for (std::size_t node = 0; node < size(); ++node) {
    ASSERT_TRUE(nodes_[node]->wait_for_line("info ready", kStartTime)) << nodes_[node]->log();
    // Every node knows every other one.
    for (std::size_t other = 0; other < size(); ++other) {
      if (other == node) continue;
      const std::string up = fmt::format("node node{} (", other + 1);
      ASSERT_TRUE(nodes_[node]->wait_for_line(up, kStartTime)) << nodes_[node]->log();
    }
  }
}

void Cluster::kill_hard(std::size_t node) {
  nodes_[node]->signal(SIGKILL);
  EXPECT_EQ(nodes_[node]->wait(), 128 + SIGKILL);
  nodes_[node].reset();
}

int Cluster::stop(std::size_t node) {
  nodes_[node]->signal(SIGTERM);
  const int exit_code = nodes_[node]->wait();
  nodes_[node].reset();
  return exit_code;
}

void Cluster::pause(std::size_t node) {
  nodes_[node]->signal(SIGSTOP);
}
void Cluster::resume(std::size_t node) {
  nodes_[node]->signal(SIGCONT);
}

void Cluster::wait_until_seen_down(std::size_t by, std::size_t node) {
  wait_until_seen(by, node, false);
}

std::chrono::milliseconds Cluster::wait_until_seen(std::size_t by, std::size_t node,
                                                   bool up) const {
  const std::string name = fmt::format("node node{} (", node + 1);
  const auto last_word = [&] {
    bool is_up = false;
    for (const std::string& line : nodes_[by]->lines()) {
      if (line.find(name) == std::string::npos) continue;
      if (line.find("is up") != std::string::npos) is_up = true;
      for (const char* word : {"does not answer", "has left", "was removed"}) {
        if (line.find(word) != std::string::npos) is_up = false;
      }
    }
    return is_up;
  };
  const auto begin = std::chrono::steady_clock::now();
  std::size_t seen = 0;
  while (last_word() != up) {
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(30)) {
      ADD_FAILURE() << "not seen within 30 s:\n" << nodes_[by]->log();
      break;
    }
    nodes_[by]->wait_for_more_than(seen, std::chrono::seconds(1));
    seen = nodes_[by]->lines().size();
  }
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

std::unique_ptr<Client> Cluster::client(std::chrono::milliseconds timeout) const {
  std::vector<std::string> endpoints;
  for (std::size_t node = 0; node < size(); ++node) endpoints.push_back(endpoint(node));
  return connected(std::move(endpoints), timeout, places_.front().network);
}

std::unique_ptr<Client> Cluster::client_of(std::size_t node,
                                           std::chrono::milliseconds timeout) const {
  return connected({endpoint(node)}, timeout, places_[node].network);
}

Finished Cluster::grapevine(std::size_t node, std::vector<std::string> arguments,
                            std::string_view input) const {
  arguments.insert(arguments.begin(), GRAPEVINE);
  arguments.insert(arguments.end(), {"--endpoints", endpoint(node)});
  return run(arguments, input, std::chrono::seconds(120), places_[node].network);
}

std::chrono::milliseconds Cluster::wait_until_equal(std::chrono::seconds at_most) const {
  const auto begin = std::chrono::steady_clock::now();
  std::size_t asked = 0;
  while (!runs(asked)) ++asked;
  const Finished watched = run({GRAPEVINE, "divergence", "--watch", "--endpoints", endpoint(asked)},
                               {}, at_most, places_[asked].network);
  EXPECT_EQ(watched.exit_code, 0) << watched.out << watched.err;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

std::string Cluster::exported(std::size_t node) const {
  Finished finished = grapevine(node, {"export", "-"});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return std::move(finished.out);
}

}  // namespace grapevine::cluster_test
