// Whole nodes in this process, on ports that the kernel chooses, with directories of their own; and a
// client of the real port.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "server/node.h"
#include "tests/rpc/loop_fixture.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {

class NodeTest : public rpc::test::LoopTest {
 protected:
  NodeTest() {
    spdlog::set_level(spdlog::level::off);
    std::string pattern =
        (std::filesystem::temp_directory_path() / "grapevine-test-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  ~NodeTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  Config config(const std::string& name) const {
    Config config;
    config.name = name;
    config.data_dir = (root_ / name).string();
    config.partitions = 8;
    config.client_listen = config.peer_listen = config.http_listen = rpc::test::kAnyPort;
    config.gossip_interval = std::chrono::milliseconds(50);
    config.cache_bytes = std::size_t{1} << 20;
    return config;
  }

  std::unique_ptr<Node> start(Config config, std::uint64_t seed = 1) {
    auto node = begin(std::move(config), seed);
    EXPECT_TRUE(ok(loop_.run_until(node->opened())));
    return node;
  }
  // A node whose store is still being opened.
  std::unique_ptr<Node> begin(Config config, std::uint64_t seed = 1) {
    Machine machine = real_machine();
    machine.seed = seed;
    auto node = Node::start(loop_, std::move(config), std::move(machine));
    EXPECT_TRUE(ok(node.status()));
    return *std::move(node);
  }
  // The one line that a node which cannot start says.
  std::string complaint(Config config) {
    const auto node = Node::start(loop_, std::move(config), real_machine());
    const absl::Status status = node.ok() ? loop_.run_until((*node)->opened()) : node.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    const std::string text(text_of(status));
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  void stop(std::unique_ptr<Node>& node) {
    loop_.run_until(node->stop());
    node.reset();
  }
  void wait_until_ready(const Node& node) {
    run_while_not([&] { return node.not_ready_because().empty(); });
  }

  static const gossip::MemberRecord& record(Node& node) { return node.cluster().members().self(); }
  static rpc::Address address(const std::string& text) { return *rpc::parse_address(text); }

  std::filesystem::path root_;
};

// A client as the library is one: a connection that has logged in.
class Client {
 public:
  Client(rpc::AsioLoop& loop, const std::string& to)
      : loop_(loop),
        connection_(kj::heap<rpc::Connection>(
            loop, loop.run_until(loop.network().connect(*rpc::parse_address(to), {})),
            rpc::PeerInfo{}, rpc::Connection::Side::kClient, nullptr, rpc::ConnectionOptions{})) {}

  auto login(std::uint32_t protocol = wire::PROTOCOL_VERSION) {
    auto request = connection_->bootstrap<wire::Login>().loginRequest();
    request.setProtocol(protocol);
    return loop_.run_until(request.send());
  }

  kj::Promise<std::vector<OperationAnswer>> begin(std::vector<Operation> operations) {
    auto request = login().getWriter().executeRequest();
    write(operations, [&](unsigned count) { return request.initOperations(count); });
    return request.send().then([](auto&& reply) {
      std::vector<OperationAnswer> answers;
      for (const auto result : reply.getResults()) answers.push_back(server::read(result));
      return answers;
    });
  }
  OperationAnswer execute(Operation operation) {
    std::vector<Operation> operations{std::move(operation)};
    return loop_.run_until(begin(std::move(operations))).at(0);
  }

 private:
  rpc::AsioLoop& loop_;
  kj::Own<rpc::Connection> connection_;
};

}  // namespace grapevine::server::test
