// What the tests of SWIM share: clusters in a network of virtual time, over a few seeds.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "tests/gossip/member_records.h"
#include "tests/gossip/swim_network.h"

namespace grapevine::gossip {

inline std::string address_of(std::uint64_t id) {
  return member(id).peer_address;
}

// Members 1 to n, who have met through the first.
class Village : public SwimNetwork {
 public:
  Village(std::uint64_t seed, std::uint64_t n, const SwimOptions& options, Weather weather)
      : SwimNetwork(seed, options, weather) {
    for (std::uint64_t id = 1; id <= n; ++id) start(member(id, 1), {address_of(1)});
    EXPECT_TRUE(run_until([this] { return acquainted(); }, std::chrono::seconds(20)));
  }
};

class SwimCluster : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  SwimNetwork network(const SwimOptions& options = SwimOptions::lan(), Weather weather = {}) {
    return SwimNetwork(GetParam(), options, weather);
  }
  Village cluster(std::uint64_t n, const SwimOptions& options = SwimOptions::lan(),
                  Weather weather = {}) {
    return Village(GetParam(), n, options, weather);
  }
};

}  // namespace grapevine::gossip
