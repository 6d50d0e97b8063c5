// Goal: a bad network costs time, no data, and brings nobody down: lost packets, a link that comes
// and goes, one that is too slow, packets that are late and overtake each other.
// Method: five nodes in network namespaces, load from clients while the weather lasts.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/base/random.h"
#include "tests/network/scene.h"

namespace grapevine::network_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WeatherTest : public NetworkTest {
 protected:
  // At each node some keys, their number's thousand being `thousand`.
  void put_everywhere(std::size_t thousand, std::size_t count, const std::string& value) {
    for (const std::size_t node : all()) {
      const std::size_t first = 1000 * thousand + node * count;
      put(node, first, first + count, value);
      expect(data_, first, first + count, {value});
    }
  }

  Data data_;
};

TEST_F(WeatherTest, LostPacketsDelayOnly) {
  form("lan");
  const auto await_a_lost_probe = [this] {
    const std::uint64_t helped = counter(1, "member_probes_helped");
    await([&] { return counter(1, "member_probes_helped") > helped; }, "a probe's packet is lost");
  };
  network_->lose(5);
  put_everywhere(0, 50, "through a loss of 5 %");
  cluster_->wait_until_equal(seconds(60));  // the loss goes on
  network_->lose(20);
  put_everywhere(1, 50, "through a loss of 20 %");
  await_a_lost_probe();
  network_->heal();
  expect_whole(data_);
  EXPECT_EQ(verdicts(), 0U);
}

// GRAPEVINE_FLAP_SECONDS: for how long; 60 unless given.
TEST_F(WeatherTest, AFlappingLinkLosesNoAcknowledgedWrite) {
  form("lan");
  const char* const given = std::getenv("GRAPEVINE_FLAP_SECONDS");
  const seconds time(given != nullptr ? std::max(std::atoi(given), 1) : 60);
  Random random(20261126);
  Outcomes outcomes;
  const auto near = cluster_->client_of(0, milliseconds(500));
  const auto flapping = cluster_->client_of(4, milliseconds(500));
  std::size_t next = 0;
  std::size_t flaps = 0;
  const auto end = std::chrono::steady_clock::now() + time;
  auto flip = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < end) {
    if (std::chrono::steady_clock::now() >= flip) {
      if (flaps++ % 2 == 0) {
        network_->cut({0, 1, 2, 3}, {4});
      } else {
        network_->heal();
      }
      flip = std::chrono::steady_clock::now() + milliseconds(50 + random.below(1'500));
    }
    for (Client* const client : {near.get(), flapping.get()}) {
      outcomes.put(*client, next, next + 20, "while it flapped");
      next += 20;
    }
  }
  network_->heal();
  await_seen(all(), all(), true);
  outcomes.expect_in(agreed());
  EXPECT_GT(flaps, 4U);
  EXPECT_GT(outcomes.acknowledged(), next / 2);
}

// Each answer to what it pulls takes seconds on the way, and its probes wait in the same queue.
TEST_F(WeatherTest, ANodeBehindASlowLinkCatchesUpAndIsNotTakenForDown) {
  if (const std::string lacks = Network::missing_for_rates(); !lacks.empty()) GTEST_SKIP() << lacks;
  form("lan", {"--replication-factor", "5", "--partitions", "1"});
  cluster_->kill_hard(4);
  await_seen({0, 1, 2, 3}, {4}, false);
  const std::string value(1000, 'v');
  put(0, 0, 1000, value);
  expect(data_, 0, 1000, {value});
  network_->limit(4, "1mbit", "300ms");
  cluster_->start(4);
  put(4, 1000, 1010, "of the slow one");
  expect(data_, 1000, 1010, {"of the slow one"});
  await_seen({0, 1, 2, 3}, {4}, true);
  expect_whole(data_);
  EXPECT_EQ(verdicts(), 4U) << "of when it was killed";
}

TEST_F(WeatherTest, PacketsThatAreLateAndOvertakeEachOtherChangeNothing) {
  if (const std::string lacks = Network::missing_for_delays(); !lacks.empty()) {
    GTEST_SKIP() << lacks;
  }
  form("lan");
  network_->delay(40, 20);
  put_everywhere(0, 100, "late");
  expect_whole(data_);
  EXPECT_EQ(verdicts(), 0U);
}

}  // namespace
}  // namespace grapevine::network_test
