// Goal: nodes come and go as operators are promised: who leaves takes nothing with it, who was
// removed stays away, who replaces takes the place, strangers and copies are refused with the reason,
// and who dies is noticed in time. Method: grapevined processes on loopback and the grapevine command.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr int kKeys = 2'000;

class MembersTest : public ::testing::Test {
 protected:
  static void import_keys(const Cluster& cluster, std::size_t node) {
    std::string lines;
    for (int i = 0; i < kKeys; ++i) {
      lines += nlohmann::json{{"key", fmt::format("key-{:05}", i)}, {"value", "v"}}.dump() + "\n";
    }
    const Finished finished = cluster.grapevine(node, {"import", "-"}, lines);
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
  }
  static std::size_t exported_keys(const Cluster& cluster, std::size_t node) {
    const std::string all = cluster.exported(node);
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
  }
  // What `grapevine members` of `by` says of this node.
  static nlohmann::json member(const Cluster& cluster, std::size_t by, std::size_t node) {
    const Finished finished = cluster.grapevine(by, {"members", "--json"});
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    for (const auto& one : nlohmann::json::parse(finished.out)) {
      if (one.at("name") == fmt::format("node{}", node + 1)) return one;
    }
    return {};
  }
  static milliseconds uptime(const Cluster& cluster, std::size_t node) {
    const Finished status = cluster.grapevine(node, {"status", "--json"});
    const auto told = nlohmann::json::parse(status.out);
    for (const auto& one : told.at("nodes")) {
      if (one.at("name") == fmt::format("node{}", node + 1)) {
        return milliseconds(one.at("uptime_ms").get<std::int64_t>());
      }
    }
    return milliseconds::max();
  }
  static void expect_line(const Cluster& cluster, std::size_t node, std::string_view part) {
    EXPECT_TRUE(cluster.process(node).wait_for_line(part, seconds(10)))
        << "no \"" << part << "\" in\n"
        << cluster.process(node).log();
  }
  static void meet(const Cluster& cluster, std::size_t node) {
    for (std::size_t other = 0; other < cluster.size(); ++other) {
      if (other != node && cluster.runs(other)) cluster.wait_until_seen(other, node, true);
    }
  }
};

// ---- leaving, removing, replacing

TEST_F(MembersTest, WhoLeavesTakesNothingWithIt) {
  Cluster cluster(4);
  cluster.start_all();
  import_keys(cluster, 0);
  const Finished left = cluster.grapevine(0, {"node", "leave", "node4"});
  ASSERT_EQ(left.exit_code, 0) << left.err;
  EXPECT_THAT(left.out, HasSubstr("has left the cluster"));
  const Cluster::Ended ended = cluster.wait_for_end(3);
  EXPECT_EQ(ended.exit_code, 0) << ended.log;
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_LT(cluster.wait_until_seen(node, 3, false), seconds(2));
    expect_line(cluster, node, "has left the cluster");
  }
  cluster.wait_until_equal(seconds(30));
  for (std::size_t node = 0; node < 3; ++node) EXPECT_EQ(exported_keys(cluster, node), kKeys);
  EXPECT_EQ(member(cluster, 0, 3).at("state"), "left");
  EXPECT_EQ(cluster.grapevine(0, {"node", "leave", "node4"}).exit_code, 1);
}

TEST_F(MembersTest, WhoLeftMayComeBack) {
  Cluster cluster(3);
  cluster.start_all();
  ASSERT_EQ(cluster.grapevine(2, {"node", "leave", "node3"}).exit_code, 0);
  EXPECT_EQ(cluster.wait_for_end(2).exit_code, 0);
  import_keys(cluster, 0);
  cluster.start(2);
  meet(cluster, 2);
  cluster.wait_until_equal(seconds(30));
  EXPECT_EQ(member(cluster, 0, 2).at("state"), "up");
  EXPECT_EQ(exported_keys(cluster, 2), kKeys);
}

TEST_F(MembersTest, TheLastOwnerIsNotLetGo) {
  Cluster cluster(1);
  cluster.start(0);
  const Finished refused = cluster.grapevine(0, {"node", "leave", "node1"});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("no other owner that can be reached"));
  EXPECT_EQ(cluster.grapevine(0, {"put", "k", "v"}).exit_code, 0) << "it serves on";
}

TEST_F(MembersTest, WhoWasRemovedIsToldAndRefusedWhenItComesBack) {
  Cluster cluster(4);
  cluster.start_all();
  import_keys(cluster, 0);
  const Finished lives = cluster.grapevine(0, {"node", "remove", "node4"});
  EXPECT_EQ(lives.exit_code, 4);
  EXPECT_THAT(lives.err, HasSubstr("answers: have it leave"));

  cluster.kill_hard(3);
  for (std::size_t node = 0; node < 3; ++node) cluster.wait_until_seen_down(node, 3);
  const Finished removed = cluster.grapevine(0, {"node", "remove", "node4"});
  ASSERT_EQ(removed.exit_code, 0) << removed.err;
  cluster.wait_until_equal(seconds(30));
  for (std::size_t node = 0; node < 3; ++node) EXPECT_EQ(exported_keys(cluster, node), kKeys);

  cluster.launch(3);
  expect_line(cluster, 3, "was removed from its cluster for good");
  EXPECT_EQ(cluster.grapevine(3, {"get", "key-00001"}).exit_code, 4);
  EXPECT_EQ(cluster.stop(3), 0);
  cluster.launch(3);
  const Cluster::Ended refused = cluster.wait_for_end(3);
  EXPECT_EQ(refused.exit_code, 1) << "its directory knows";
  EXPECT_THAT(refused.log, HasSubstr("start with an empty --data-dir"));
  EXPECT_EQ(cluster.grapevine(0, {"node", "remove", "nobody"}).exit_code, 1);
}

TEST_F(MembersTest, WhoReplacesADeadNodeTakesItsPlaceAndTheOthersKeepTheirs) {
  Cluster cluster(5);
  for (const std::size_t node : {0U, 1U, 2U, 3U}) cluster.launch(node);
  for (const std::size_t node : {0U, 1U, 2U, 3U}) {
    for (const std::size_t other : {0U, 1U, 2U, 3U}) {
      if (other != node) cluster.wait_until_seen(node, other, true);
    }
    expect_line(cluster, node, "info ready");
  }
  import_keys(cluster, 0);
  cluster.wait_until_equal(seconds(30));
  std::vector<nlohmann::json> before;
  for (std::size_t node = 0; node < 4; ++node) {
    before.push_back(member(cluster, 0, node).at("partitions"));
  }
  cluster.kill_hard(1);
  for (const std::size_t node : {0U, 2U, 3U}) cluster.wait_until_seen_down(node, 1);
  cluster.start(4);
  meet(cluster, 4);
  const Finished replaced = cluster.grapevine(0, {"node", "replace", "node2", "--by", "node5"});
  ASSERT_EQ(replaced.exit_code, 0) << replaced.err;
  cluster.wait_until_equal(seconds(30));
  EXPECT_EQ(member(cluster, 0, 4).at("partitions"), before[1]);
  for (const std::size_t node : {0U, 2U, 3U}) {
    EXPECT_EQ(member(cluster, 0, node).at("partitions"), before[node]);
    EXPECT_EQ(exported_keys(cluster, node), kKeys);
  }
  // The place is kept over a restart.
  EXPECT_EQ(cluster.stop(4), 0);
  cluster.start(4);
  meet(cluster, 4);
  cluster.wait_until_equal(seconds(30));
  EXPECT_EQ(member(cluster, 0, 4).at("partitions"), before[1]);
}

// ---- strangers

TEST_F(MembersTest, TwoClustersThatAreSeededWithEachOtherRefuseEachOther) {
  Cluster cluster(2);
  cluster.add_flags(0, {"--cluster-name", "orchard"});
  cluster.add_flags(1, {"--cluster-name", "vineyard"});
  cluster.start(0);
  cluster.start(1);
  for (std::size_t node = 0; node < 2; ++node) {
    const char* theirs = node == 0 ? "is of cluster \"vineyard\"" : "is of cluster \"orchard\"";
    expect_line(cluster, node, theirs);
    expect_line(cluster, node, "check --join and --cluster-name");
    const Finished members = cluster.grapevine(node, {"members", "--json"});
    EXPECT_EQ(nlohmann::json::parse(members.out).size(), 1U);
  }
}

TEST_F(MembersTest, NodesWithOtherKeysRefuseEachOtherAndThoseWithTheSameMeet) {
  Cluster cluster(3);
  for (std::size_t node = 0; node < 3; ++node) {
    const std::string file = cluster.file(fmt::format("key{}", node));
    std::ofstream(file) << std::string(64, node == 2 ? 'b' : 'a') << '\n';
    cluster.add_flags(node, {"--cluster-key-file", file});
  }
  for (std::size_t node = 0; node < 3; ++node) cluster.start(node);
  cluster.wait_until_seen(0, 1, true);
  for (std::size_t node = 0; node < 3; ++node) {
    expect_line(cluster, node, "has another cluster key");
    expect_line(cluster, node, "--cluster-key-file");
  }
  const Finished members = cluster.grapevine(2, {"members", "--json"});
  EXPECT_EQ(nlohmann::json::parse(members.out).size(), 1U);
}

TEST_F(MembersTest, AKeyIsChangedWhileTheClusterServes) {
  Cluster cluster(2);
  const std::string old_key(64, 'a');
  const std::string new_key(64, 'b');
  const auto give = [&](std::size_t node, const std::string& keys) {
    std::ofstream(cluster.file(fmt::format("key{}", node))) << keys;
  };
  for (std::size_t node = 0; node < 2; ++node) {
    cluster.add_flags(node, {"--cluster-key-file", cluster.file(fmt::format("key{}", node))});
    give(node, old_key);
  }
  cluster.start_all();
  for (const std::string& keys : {old_key + "\n" + new_key, new_key + "\n" + old_key, new_key}) {
    for (std::size_t node = 0; node < 2; ++node) {
      give(node, keys);
      EXPECT_EQ(cluster.stop(node), 0);
      cluster.start(node);
      cluster.wait_until_seen(node, 1 - node, true);
      cluster.wait_until_seen(1 - node, node, true);
    }
  }
  EXPECT_EQ(cluster.grapevine(0, {"put", "k", "v", "--consistency", "all"}).exit_code, 0);
}

TEST_F(MembersTest, OfTwoProcessesUnderOneIdTheYoungerGivesWay) {
  Cluster cluster(3);
  cluster.keep_apart(2);
  cluster.launch(0);
  cluster.launch(1);
  cluster.wait_until_seen(0, 1, true);
  EXPECT_EQ(cluster.stop(1), 0);
  std::filesystem::copy(cluster.directory(1), cluster.directory(2),
                        std::filesystem::copy_options::recursive);
  cluster.start(1);
  cluster.wait_until_seen(0, 1, true);
  // So old that the copy is the younger one beyond doubt.
  while (uptime(cluster, 1) < seconds(3)) {
  }
  cluster.add_flags(2, {"--join", cluster.host(0) + ":4741"});
  cluster.launch(2);
  const Cluster::Ended copy = cluster.wait_for_end(2);
  EXPECT_EQ(copy.exit_code, 1) << copy.log;
  EXPECT_THAT(copy.log, HasSubstr("another process runs as this node"));
  EXPECT_THAT(copy.log, HasSubstr(cluster.host(1)));
  cluster.wait_until_seen(0, 1, true);
  EXPECT_EQ(cluster.grapevine(1, {"put", "k", "v", "--consistency", "all"}).exit_code, 0);
}

// ---- noticing

TEST_F(MembersTest, AStopIsToldAKillIsNoticedAtOnceAndAHangingNodeWithinSeconds) {
  Cluster cluster(3);
  cluster.start_all();
  EXPECT_EQ(cluster.stop(2), 0);
  EXPECT_LT(cluster.wait_until_seen(0, 2, false), seconds(1)) << "it said so before it went";
  cluster.start(2);
  cluster.wait_until_seen(0, 2, true);

  cluster.kill_hard(2);
  const milliseconds killed = cluster.wait_until_seen(0, 2, false);
  cluster.start(2);
  cluster.wait_until_seen(0, 2, true);

  cluster.pause(2);
  const milliseconds paused = cluster.wait_until_seen(0, 2, false);
  cluster.resume(2);
  cluster.wait_until_seen(0, 2, true);
  std::cout << "killed: " << killed.count() << " ms, paused: " << paused.count() << " ms\n";
  EXPECT_LT(killed, seconds(2));
  EXPECT_LT(paused, seconds(8));
}

// ---- events

TEST_F(MembersTest, AnEventReachesTheWatchersOfEveryNodeOnce) {
  Cluster cluster(3);
  cluster.start_all();
  const Finished told = cluster.grapevine(0, {"event", "deploy", "version 2"});
  ASSERT_EQ(told.exit_code, 0) << told.err;
  for (std::size_t node = 0; node < 3; ++node) expect_line(cluster, node, "event deploy of node");
  ASSERT_EQ(cluster.grapevine(1, {"event", "done"}).exit_code, 0);
  for (std::size_t node = 0; node < 3; ++node) {
    // Waits for the second one; a doubled first would come in its place.
    const Finished seen =
        cluster.grapevine(node, {"watch", "--events", "--past", "--count", "2", "--json"});
    EXPECT_EQ(seen.exit_code, 0) << seen.err;
    EXPECT_THAT(seen.out, HasSubstr("{\"event\":\"deploy\",\"payload\":\"version 2\","));
    EXPECT_THAT(seen.out, HasSubstr("{\"event\":\"done\",\"payload\":\"\","));
  }
  const Finished refused = cluster.grapevine(0, {"event", std::string(65, 'e')});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("at most 64 bytes"));
  EXPECT_EQ(cluster.grapevine(0, {"watch"}).exit_code, 2);
}

}  // namespace
}  // namespace grapevine::cluster_test
