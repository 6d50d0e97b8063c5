// Goal: members of whole clusters find each other again whatever has become of them: all restarted at
// once, no seed up at the start, a new address, an hour's absence; who left or was removed stays so.
// Method: simulated nodes (simulated_node.h) without clients, over a few seeds, in virtual time.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/simulation/log_tap.h"
#include "tests/simulation/simulated_node.h"
#include "tests/storage/rocksdb_chance.h"

namespace grapevine::simulation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class SimulatedMembers : public testing::TestWithParam<std::uint64_t> {
 protected:
  SimulatedMembers() {
    disk_.hold_background();
    storage::seed_rocksdb(static_cast<std::uint32_t>(world_.random().next()));
    world_.settle_with([this] { disk_.await_idle(); });
    Network::Quality quality;
    quality.delay_max = milliseconds(5);
    quality.loss = 0.02;
    network_.set_quality(quality);
  }
  ~SimulatedMembers() noexcept override { nodes_.clear(); }

  // Node `i` of `count`; the first `seeds` of them are told to it.
  void make(std::size_t count, std::size_t seeds, const std::string& network = "local") {
    for (std::size_t i = 0; i < count; ++i) {
      server::Config config;
      config.network = network;
      config.partitions = 8;
      config.cache_bytes = std::size_t{1} << 20;
      for (std::size_t seed = 0; seed < seeds; ++seed) {
        config.join.push_back(
            fmt::format("{}:{}", SimulatedNode::host_of(seed), SimulatedNode::kPeerPort));
      }
      nodes_.push_back(std::make_unique<SimulatedNode>(
          world_, network_, disk_, i, std::move(config), world_.random().next(),
          SimulatedNode::Report{[this](SimulatedNode& node, const absl::Status& status, bool) {
            ends_.emplace_back(node.index(), status);
          }}));
    }
  }
  void start(std::size_t i) {
    world_.after(Duration::zero(), nullptr, [this, i] { nodes_[i]->start(); });
    world_.run_for(milliseconds(1));
  }
  void start_all() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const Duration pause = draw(world_.random(), Duration::zero(), milliseconds(300));
      world_.after(pause, nullptr, [this, i] { nodes_[i]->start(); });
    }
    world_.run_for(milliseconds(301));
  }
  void kill(std::size_t i) {
    world_.after(Duration::zero(), nullptr, [this, i] { nodes_[i]->kill(); });
    world_.run_for(milliseconds(1));
  }
  server::Cluster& cluster(std::size_t i) { return nodes_[i]->node().cluster(); }
  NodeId id(std::size_t i) { return ids_.at(i); }
  // Does something as the node, in an event of its own.
  void as(std::size_t i, std::function<void(server::Node&)> act) {
    world_.after(Duration::zero(), nullptr,
                 [this, i, act = std::move(act)] { act(nodes_[i]->node()); });
    world_.run_for(milliseconds(1));
  }

  // 64 keys, at node `at`.
  void write(std::size_t at, const std::string& prefix, server::Consistency consistency) {
    std::vector<server::Operation> puts;
    for (int i = 0; i < 64; ++i) {
      server::Operation put;
      put.kind = server::OperationKind::kPut;
      put.consistency = consistency;
      put.key = fmt::format("{}{}", prefix, i);
      put.value = "value";
      puts.push_back(std::move(put));
    }
    puts_.insert(puts_.end(), puts.begin(), puts.end());
    std::size_t acknowledged = 0;
    as(at, [&](server::Node& node) {
      node.loop().spawn(node.coordination().execute(puts, true, seconds(5)).then([&](auto answers) {
        for (const auto& answer : answers) {
          acknowledged += std::holds_alternative<server::WriteAnswer>(answer) ? 1U : 0U;
        }
      }));
    });
    ASSERT_TRUE(run_until([&] { return acknowledged == puts.size(); }, seconds(6)));
  }

  void have_leave(std::size_t i, Duration timeout, std::optional<absl::Status>& left) {
    as(i, [&left, timeout](server::Node& node) {
      node.loop().spawn(
          node.leave(timeout).then([&left](const absl::Status& status) { left = status; }));
    });
  }
  void have_the_last_of_four_leave(std::optional<absl::Status>& left) {
    make(4, 2);
    start_all();
    meet();
    have_leave(3, seconds(30), left);
  }

  // Whether those that run are ready, and take exactly those of the members that run for up.
  bool acquainted() {
    std::size_t running = 0;
    for (const auto& node : nodes_) {
      if (node->running() && !node->ready()) return false;
      running += node->running() ? 1 : 0;
    }
    for (const auto& node : nodes_) {
      if (!node->running()) continue;
      const server::Cluster& known = node->node().cluster();
      std::size_t up = 0;
      for (const gossip::MemberRecord& record : known.members().all()) {
        up += known.reachable(record.id) ? 1 : 0;
      }
      for (const auto& other : nodes_) {
        if (other->running() && !known.reachable(other->node().store().node())) return false;
      }
      if (up != running) return false;
    }
    return running > 0;
  }
  bool run_until(const std::function<bool()>& done, Duration at_most) {
    return world_.run_until(world_.now() + at_most, done);
  }
  void meet() {
    ASSERT_TRUE(run_until([this] { return acquainted(); }, seconds(30)));
    ids_.clear();
    for (const auto& node : nodes_) {
      ids_.push_back(node->running() ? node->node().store().node() : NodeId{});
    }
  }

  World world_{GetParam()};
  LogTap log_tap_{world_, false};
  Network network_{world_, world_.random().next()};
  storage::LossyDisk disk_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  std::vector<NodeId> ids_;              // as they were when they met
  std::vector<server::Operation> puts_;  // that were acknowledged
  std::vector<std::pair<std::size_t, absl::Status>> ends_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedMembers, testing::Range<std::uint64_t>(1, 6));

TEST_P(SimulatedMembers, AllThatAreKilledAndStartedAtOnceMeetAgain) {
  make(5, 2);
  start_all();
  meet();
  for (std::size_t i = 0; i < nodes_.size(); ++i) kill(i);
  start_all();
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
  EXPECT_TRUE(ends_.empty());
}

// All have been taken for down before: what was said of the earlier lives must reach the accused.
TEST_P(SimulatedMembers, AllThatComeBackOneByOneAfterAllWereGoneMeetAgain) {
  make(5, 2);
  start_all();
  meet();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    kill(i);
    world_.run_for(seconds(20));
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    start(i);
    world_.run_for(seconds(1));
  }
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(20)));
}

TEST_P(SimulatedMembers, NodesWithoutAnySeedUpServeAndMeetOnceOneIs) {
  make(5, 2);
  for (std::size_t i = 2; i < 5; ++i) start(i);
  ASSERT_TRUE(run_until(
      [this] {
        return std::all_of(nodes_.begin() + 2, nodes_.end(),
                           [](const auto& node) { return node->ready(); });
      },
      seconds(30)))
      << "they serve meanwhile";
  world_.run_for(seconds(60));
  start(1);
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
  start(0);
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
}

TEST_P(SimulatedMembers, WhoComesBackUnderANewAddressIsFoundThere) {
  make(4, 2);
  start_all();
  meet();
  kill(3);
  world_.run_for(seconds(20));
  nodes_[3]->move_to("10.0.7.7");
  start(3);
  ASSERT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_THAT(cluster(i).peer_address(id(3)), HasSubstr("10.0.7.7"));
  }
  EXPECT_TRUE(ends_.empty()) << "it is no copy of itself";
}

TEST_P(SimulatedMembers, ASeedThatMovesFindsTheOthersByWhatItRemembers) {
  make(4, 1);
  start_all();
  meet();
  kill(0);
  world_.run_for(seconds(20));
  nodes_[0]->move_to("10.0.7.7");
  start(0);
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
}

TEST_P(SimulatedMembers, WhoComesBackAfterAnHourIsTakenForUpByAll) {
  make(4, 2, "lan");
  start_all();
  meet();
  kill(2);
  world_.run_for(hours(1));
  start(2);
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
}

TEST_P(SimulatedMembers, WhoStopsIsDownForAllWithinASecond) {
  make(4, 2, "lan");
  start_all();
  meet();
  as(3, [this](server::Node&) { nodes_[3]->stop(); });
  const auto all_know = [this] {
    return !cluster(0).reachable(id(3)) && !cluster(1).reachable(id(3)) &&
           !cluster(2).reachable(id(3));
  };
  EXPECT_TRUE(run_until(all_know, seconds(1)));
}

TEST_P(SimulatedMembers, WhoLeavesEndsAndOwnsNothing) {
  std::optional<absl::Status> left;
  have_the_last_of_four_leave(left);
  ASSERT_TRUE(run_until([&] { return !ends_.empty(); }, seconds(30)));
  ASSERT_TRUE(left.has_value());
  EXPECT_TRUE(left->ok()) << *left;
  EXPECT_TRUE(ends_[0].second.ok()) << ends_[0].second;
  EXPECT_TRUE(run_until([this] { return acquainted(); }, seconds(5)));
  for (std::uint32_t partition = 0; partition < 8; ++partition) {
    EXPECT_FALSE(cluster(0).owns(id(3), PartitionId{partition}));
    EXPECT_EQ(cluster(0).owners(PartitionId{partition}).size(), 3U);
  }
}

TEST_P(SimulatedMembers, WhoCannotTellThatItLeavesSaysSo) {
  std::optional<absl::Status> left;
  have_the_last_of_four_leave(left);
  // It has given up membership, and nothing of that has got out.
  ASSERT_TRUE(world_.run_until(world_.now() + seconds(30), [this] {
    return cluster(3).members().self().state == gossip::MemberState::kLeft;
  }));
  for (std::size_t i = 0; i < 3; ++i) network_.cut(nodes_[3]->host(), nodes_[i]->host());
  ASSERT_TRUE(run_until([&] { return !ends_.empty(); }, seconds(30)));
  ASSERT_TRUE(left.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*left)) << *left;
  EXPECT_THAT(std::string(text_of(*left)), testing::HasSubstr("grapevine node remove node4"));
  EXPECT_TRUE(ends_[0].second.ok()) << ends_[0].second;
}

TEST_P(SimulatedMembers, WhatOneWhoHasLeftHadWrittenIsClosed) {
  make(4, 2);
  start_all();
  meet();
  write(3, "key", server::Consistency::kAll);
  const ActorId actor = nodes_[3]->node().store().actor();
  std::optional<absl::Status> left;
  have_leave(3, seconds(20), left);
  ASSERT_TRUE(run_until([&] { return !ends_.empty(); }, seconds(30)));
  ASSERT_TRUE(left.has_value() && left->ok());
  const auto closed = [&] {
    std::size_t partitions = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::uint32_t partition = 0; partition < 8; ++partition) {
        const model::Clock& clock = nodes_[i]->node().store().live({partition}).clock();
        if (!clock.actors().contains(actor)) continue;
        ++partitions;
        if (!clock.closed(actor)) return false;
      }
    }
    return partitions > 0;
  };
  EXPECT_TRUE(run_until(closed, seconds(60)));
  start(3);
  ASSERT_TRUE(run_until([this] { return acquainted(); }, seconds(15)));
  EXPECT_EQ(nodes_[3]->node().store().node(), actor.node());
  EXPECT_GT(nodes_[3]->node().store().actor().epoch(), actor.epoch());
}

TEST_P(SimulatedMembers, WhoLeavesWaitsForEachWhoCanBeReached) {
  make(4, 2);
  start_all();
  meet();
  // The two hear of each other through the others only.
  network_.cut(nodes_[3]->host(), nodes_[0]->host());
  network_.cut(nodes_[0]->host(), nodes_[3]->host());
  std::optional<absl::Status> left;
  have_leave(3, seconds(20), left);
  // One is proven equal, and then away: that does not stand in for the one that was never heard.
  world_.run_for(seconds(5));
  kill(1);
  ASSERT_TRUE(run_until([&] { return left.has_value(); }, seconds(30)));
  EXPECT_TRUE(absl::IsUnavailable(*left)) << *left;
  EXPECT_THAT(std::string(text_of(*left)), HasSubstr("so it stays"));
  EXPECT_EQ(cluster(3).members().self().state, gossip::MemberState::kUp);
}

// Node 0 is cut off from all others, and what it acknowledges then is at no other node; some of its
// partitions go to two nodes that come meanwhile.
class SimulatedFormerOwner : public SimulatedMembers {
 protected:
  void write_alone() {
    make(5, 3);
    for (std::size_t i = 0; i < 3; ++i) start(i);
    meet();
    // Its epoch is known in every partition.
    write(0, "all", server::Consistency::kAll);
    for (std::size_t i = 1; i < 5; ++i) {
      network_.cut(nodes_[0]->host(), nodes_[i]->host());
      network_.cut(nodes_[i]->host(), nodes_[0]->host());
    }
    ASSERT_TRUE(run_until(
        [&] { return !cluster(0).reachable(id(1)) && !cluster(0).reachable(id(2)); }, seconds(20)));
    write(0, "alone", server::Consistency::kOne);
    start(3);
    start(4);
    world_.run_for(seconds(20));
  }
  bool known_to_all_owners() {
    if (!acquainted()) return false;
    for (const server::Operation& put : puts_) {
      const PartitionId partition = nodes_[1]->node().store().partitioning().of(put.key);
      for (const auto& node : nodes_) {
        server::Node& owner = node->node();
        if (!cluster(1).owns(owner.store().node(), partition)) continue;
        const auto entry = owner.store().load(put.key, model::Values::kWithout);
        if (!entry.ok() || entry->versions.size() != 1) return false;
      }
    }
    return true;
  }
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedFormerOwner, testing::Range<std::uint64_t>(1, 6));

TEST_P(SimulatedFormerOwner, HandsOverWhatItAloneHolds) {
  write_alone();
  network_.heal_all();
  EXPECT_TRUE(run_until([&] { return known_to_all_owners(); }, seconds(60)));
}

// The others hear that its epoch has ended, and it is gone again before it has handed over: its writes
// must not be closed as those that nobody has.
TEST_P(SimulatedFormerOwner, HandsOverWhatItAloneHoldsThoughItsEpochHasEnded) {
  write_alone();
  world_.after(Duration::zero(), nullptr, [this] { nodes_[0]->lose_power(); });
  world_.run_for(seconds(1));
  start(0);
  ASSERT_TRUE(run_until([this] { return nodes_[0]->ready(); }, seconds(10)));
  network_.heal_all();
  const auto all_have_heard = [this] {
    return std::all_of(nodes_.begin() + 1, nodes_.end(), [this](const auto& node) {
      return node->node().cluster().members().find(id(0))->epoch > 1;
    });
  };
  ASSERT_TRUE(run_until(all_have_heard, seconds(20)));
  kill(0);
  world_.run_for(seconds(120));
  start(0);
  EXPECT_TRUE(run_until([&] { return known_to_all_owners(); }, seconds(60)));
}

TEST_P(SimulatedMembers, WhoWasRemovedWhileItWasAwayServesNobodyWhenItComesBack) {
  make(4, 2);
  start_all();
  meet();
  kill(3);
  world_.run_for(seconds(20));
  as(0, [this](server::Node& node) { EXPECT_TRUE(node.cluster().remove(id(3)).ok()); });
  world_.run_for(seconds(30));
  start(3);
  EXPECT_TRUE(run_until(
      [this] {
        return nodes_[3]->serving() && absl::IsFailedPrecondition(nodes_[3]->node().may_serve());
      },
      seconds(15)));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_FALSE(cluster(i).reachable(id(3)));
  // Its directory knows.
  kill(3);
  start(3);
  ASSERT_TRUE(run_until([this] { return !ends_.empty(); }, seconds(15)));
  EXPECT_THAT(std::string(text_of(ends_[0].second)), HasSubstr("was removed"));
}

TEST_P(SimulatedMembers, OfTwoProcessesUnderOneIdTheYoungerEnds) {
  make(4, 2);
  for (std::size_t i = 0; i < 3; ++i) start(i);
  meet();
  world_.run_for(seconds(5));
  nodes_[3]->restore(disk_.copy_while_running(nodes_[2]->directory(), world_.random()));
  start(3);
  ASSERT_TRUE(run_until([this] { return !ends_.empty(); }, seconds(20)));
  EXPECT_EQ(ends_[0].first, 3U) << "the copy";
  EXPECT_THAT(std::string(text_of(ends_[0].second)),
              HasSubstr("another process runs as this node"));
  // The others may have taken the copy's word for where the node lives, until it tells them.
  const auto known_where_it_lives = [this](std::size_t i) {
    return cluster(i).peer_address(id(2)).starts_with(nodes_[2]->host());
  };
  EXPECT_TRUE(
      run_until([&] { return acquainted() && known_where_it_lives(0) && known_where_it_lives(1); },
                seconds(15)));
}

}  // namespace
}  // namespace grapevine::simulation
