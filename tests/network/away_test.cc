// Goal: a node that was away comes back to where the others are: after a halt that it does not know
// of, at another address, at the address of another node.
// Method: five nodes in network namespaces, of which some are stopped, killed and moved.
#include <csignal>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/network/scene.h"

namespace grapevine::network_test {
namespace {

class AwayTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    form("local");
    put(0, 0, 600, "old");
    expect(data_, 0, 600, {"old"});
    expect_whole(data_);
  }
  void change(std::size_t first) {
    put(0, first, first + 100, "new");
    remove(1, first + 100, first + 150);
    expect(data_, first, first + 100, {"new"});
    expect(data_, first + 100, first + 150, {});
  }
  void move(std::size_t node, const std::string& host) {
    network_->readdress(node, host);
    cluster_->move(node, host);
  }
  void await_known_where_it_is(std::size_t node) const {
    for (const std::size_t by : all()) {
      await(
          [&] {
            const auto members = cluster_->grapevine(by, {"members", "--json"});
            for (const auto& member : nlohmann::json::parse(members.out)) {
              if (member.at("name") != "node" + std::to_string(node + 1)) continue;
              return member.at("peer_address") == cluster_->host(node) + ":4741";
            }
            return false;
          },
          "the member is known by its new address");
    }
  }

  Data data_;
};

TEST_F(AwayTest, ANodeThatWasStoppedMidwayBringsNothingBack) {
  cluster_->pause(4);
  change(0);  // some of it goes to who does not read
  await_seen({0, 1, 2, 3}, {4}, false);
  change(200);
  cluster_->resume(4);
  await_seen({0, 1, 2, 3}, {4}, true);
  change(400);
  expect_whole(data_);
}

TEST_F(AwayTest, ANodeIsFoundAtItsNewAddressAndEvenAtThatOfAnother) {
  cluster_->kill_hard(3);
  change(0);
  move(3, network_->fresh_host());
  cluster_->start(3);
  await_seen({0, 1, 2, 4}, {3}, true);
  await_known_where_it_is(3);
  expect_whole(data_);

  cluster_->kill_hard(3);
  cluster_->kill_hard(4);
  change(200);
  const std::string of_3 = cluster_->host(3);
  const std::string of_4 = cluster_->host(4);
  move(3, of_4);
  move(4, of_3);
  cluster_->start(3);
  cluster_->start(4);
  await_seen({0, 1, 2}, {3, 4}, true);
  for (const std::size_t node : {3U, 4U}) await_known_where_it_is(node);
  change(400);
  expect_whole(data_);
}

}  // namespace
}  // namespace grapevine::network_test
