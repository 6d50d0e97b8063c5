// What the tests of this folder share: a cluster in a network, what clients write there, and what
// must be there when it is whole again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"
#include "tests/network/network.h"

namespace grapevine::network_test {

// By key; several values: siblings.
using Data = std::map<std::string, std::set<std::string>>;

std::string key_of(std::size_t i);
// Says of keys first to last - 1 that they hold these values; none: that they are gone.
void expect(Data& data, std::size_t first, std::size_t last, const std::set<std::string>& values);

// Writes of keys that are written once each, through one client, and how each of them ended.
class Outcomes {
 public:
  // All of keys first to last - 1 at once, at consistency one.
  void put(Client& client, std::size_t first, std::size_t last, const std::string& value);
  std::size_t acknowledged() const { return must_.size(); }
  std::size_t unclear() const { return may_.size(); }
  std::size_t refused() const { return must_not_.size(); }
  // Acknowledged: is there. Outcome unknown: may be. Refused, "nothing was written": is not.
  void expect_in(const Data& data) const;

 private:
  Data must_;
  std::set<std::string> may_;
  std::set<std::string> must_not_;
};

class NetworkTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kNodes = 5;

  void SetUp() override;
  // `preset`: of --network. Where members are to be found down, local finds them sooner.
  void form(const std::string& preset, std::vector<std::string> flags = {});
  static Network::Side all() { return {0, 1, 2, 3, 4}; }

  // Keys first to last - 1, at this node alone and consistency one; every one must be acknowledged.
  void put(std::size_t node, std::size_t first, std::size_t last, const std::string& value);
  void remove(std::size_t node, std::size_t first, std::size_t last);

  Data exported(std::size_t node) const;
  // Until this node exports exactly that.
  void await_data(std::size_t node, const Data& data) const;
  // What all export, once they are provably equal.
  Data agreed() const;
  void expect_whole(const Data& data) const;  // that this is it

  // Until each of these nodes believes so of each of those.
  void await_seen(const Network::Side& by, const Network::Side& nodes, bool up) const;
  // How often the processes that run now have said that a member does not answer.
  std::size_t verdicts() const;
  std::uint64_t counter(std::size_t node, std::string_view name) const;
  void await(const std::function<bool()>& condition, std::string_view what) const;

  std::unique_ptr<Network> network_;
  std::unique_ptr<cluster_test::Cluster> cluster_;  // gone before its network
};

}  // namespace grapevine::network_test
