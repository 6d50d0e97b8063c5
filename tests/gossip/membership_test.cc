// Goal: nodes find each other through any seed that lives, in whatever order they start; the list
// spreads; who cannot be reached is tried again and again; calls that fail or end twice do no harm.
// Method: a village of memberships, each call answered or failed by hand or by the village, in
// virtual time.
#include "gossip/membership.h"

#include <algorithm>
#include <memory>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gossip/members.h"

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::string address_of(std::uint64_t id) {
  return member(id).peer_address;
}

// Nodes by address; calls take no time, and fail where nobody listens.
class Village {
 public:
  struct Node {
    Node(MemberRecord self, std::vector<std::string> seeds, const std::vector<MemberRecord>& known,
         Instant now)
        : random(self.id.value),
          membership(std::move(self), std::move(seeds), known, detector, now) {}
    Random random;
    PingDetector detector{PingOptions{}, random};
    Membership membership;
    std::set<NodeId> up;  // as its outputs told
  };

  Membership& start(const MemberRecord& self, std::vector<std::string> seeds,
                    const std::vector<MemberRecord>& known = {}) {
    auto& node = nodes_[self.peer_address];
    node = std::make_unique<Node>(self, std::move(seeds), known, now_);
    return node->membership;
  }
  void stop(std::uint64_t id) { nodes_.erase(address_of(id)); }
  Node& at(std::uint64_t id) { return *nodes_.at(address_of(id)); }
  Instant now() const { return now_; }

  void run(Duration time) {
    const Instant end = now_ + time;
    while (now_ < end) {
      // A call makes work for who is called, at the same moment.
      for (std::size_t pass = 0; pass < nodes_.size() + 1; ++pass) {
        for (auto& [address, node] : nodes_) work(address, *node);
      }
      Instant next = end;
      for (auto& [address, node] : nodes_) {
        next = std::min(next, node->membership.next_deadline());
      }
      ASSERT_GT(next, now_) << "a deadline that is met stays";
      now_ = next;
    }
  }

  // Whether everybody knows and can reach everybody.
  bool acquainted() {
    for (auto& [address, node] : nodes_) {
      if (node->up.size() != nodes_.size() - 1) return false;
      if (node->membership.members().size() < nodes_.size()) return false;
    }
    return true;
  }
  std::size_t calls() const { return calls_; }

 private:
  void work(const std::string& address, Node& node) {
    node.membership.tick(now_);
    for (Membership::Output output = node.membership.take_output();
         !output.calls.empty() || !output.came_up.empty() || !output.went_down.empty();
         output = node.membership.take_output()) {
      for (const NodeId id : output.came_up) EXPECT_TRUE(node.up.insert(id).second);
      for (const NodeId id : output.went_down) EXPECT_EQ(node.up.erase(id), 1U);
      for (const Membership::Call& call : output.calls) {
        ++calls_;
        const auto called = nodes_.find(call.address);
        // A link is refused where somebody else has come to live.
        const bool listens =
            called != nodes_.end() && called->first != address &&
            (!call.to.has_value() || *call.to == called->second->membership.members().self().id);
        if (!listens) {
          node.membership.on_failure(call.number, now_);
          continue;
        }
        node.membership.on_reply(call.number,
                                 called->second->membership.on_call(
                                     node.membership.members().self().id, call.records, now_),
                                 now_);
      }
    }
  }

  Instant now_{1h};
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::size_t calls_ = 0;
};

// ---- joining ----

TEST(Membership, EveryoneMeetsEveryoneThroughOneSeed) {
  Village village;
  for (std::uint64_t id = 1; id <= 5; ++id) village.start(member(id), {address_of(1)});
  village.run(5s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, AnyLivingSeedIsEnough) {
  Village village;
  village.start(member(3), {});
  village.start(member(4), {address_of(1), address_of(2), address_of(3)});
  village.run(2s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, TheOrderOfStartingDoesNotMatter) {
  Village village;
  village.start(member(2), {address_of(1)});
  village.start(member(3), {address_of(1)});
  village.run(10s);
  EXPECT_FALSE(village.acquainted());
  village.start(member(1), {});
  village.run(2s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, AnAcquaintanceOfAcquaintancesIsEnough) {
  Village village;
  village.start(member(1), {});
  for (std::uint64_t id = 2; id <= 6; ++id) village.start(member(id), {address_of(id - 1)});
  village.run(6s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, GroupsThatKnowNothingOfEachOtherMeetThroughASeedThatComesLater) {
  Village village;
  village.start(member(1), {address_of(9)});
  village.start(member(2), {address_of(1)});
  village.start(member(3), {address_of(9)});
  village.start(member(4), {address_of(3)});
  village.run(3s);
  EXPECT_EQ(village.at(1).membership.members().size(), 2U);
  village.start(member(9), {});
  village.run(Membership::kSeedInterval + 3s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, AListKeptFromTheLastLifeNeedsNoSeed) {
  Village village;
  village.start(member(1), {});
  village.start(member(2), {}, {member(1)});
  village.run(2s);
  EXPECT_TRUE(village.acquainted());
}

TEST(Membership, ItselfAsSeedIsNotCalled) {
  Village village;
  village.start(member(1), {address_of(1)});
  village.run(5s);
  EXPECT_EQ(village.calls(), 0U);
}

TEST(Membership, ASeedWhoseOwnerHasANewIdIsCalledAgain) {
  Village village;
  village.start(member(1), {});
  village.start(member(2), {address_of(1)});
  village.run(2s);
  village.stop(1);
  village.run(5s);
  MemberRecord replaced = member(7);
  replaced.peer_address = address_of(1);
  const Membership& seed =
      village.start(replaced, {});  // its disk was lost, and nobody told it of the others
  village.run(Membership::kSeedInterval + 3s);
  EXPECT_NE(seed.members().find(NodeId{2}), nullptr);
  EXPECT_TRUE(seed.up(NodeId{2}));
}

// ---- the list ----

TEST(Membership, AChangeSpreadsToEveryone) {
  Village village;
  for (std::uint64_t id = 1; id <= 4; ++id) village.start(member(id), {address_of(1)});
  village.run(3s);
  MemberRecord changed = member(2);
  changed.weight = 7;
  village.at(2).membership.change_self(changed);
  village.run(3s);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(village.at(id).membership.members().find(NodeId{2})->weight, 7U) << id;
  }
}

TEST(Membership, AFalseWordAboutANodeIsRefutedEverywhere) {
  Village village;
  for (std::uint64_t id = 1; id <= 4; ++id) village.start(member(id), {address_of(1)});
  village.run(3s);
  village.at(1).membership.on_call(NodeId{4}, {member(3, 5, MemberState::kLeft)}, village.now());
  EXPECT_EQ(village.at(1).membership.members().find(NodeId{3})->state, MemberState::kLeft);
  village.run(3s);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(village.at(id).membership.members().find(NodeId{3})->state, MemberState::kUp) << id;
    EXPECT_EQ(village.at(id).membership.members().find(NodeId{3})->incarnation, 6U) << id;
  }
}

TEST(Membership, WhoHasLeftIsNotCalledAnyMore) {
  Random random(1);
  PingDetector detector(PingOptions{}, random);
  Membership membership(member(1), {}, {member(2), member(3, 0, MemberState::kLeft)}, detector, {});
  membership.tick({});
  const auto calls = membership.take_output().calls;
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls.front().to, NodeId{2});
  membership.on_reply(calls.front().number, {member(2, 1, MemberState::kLeft)}, {});
  membership.tick(Instant{1h});
  EXPECT_THAT(membership.take_output().calls, IsEmpty());
  EXPECT_FALSE(membership.up(NodeId{2}));
}

// ---- who answers ----

TEST(Membership, AStoppedNodeGoesDownAndComesBack) {
  Village village;
  for (std::uint64_t id = 1; id <= 3; ++id) village.start(member(id), {address_of(1)});
  village.run(3s);
  village.stop(3);
  village.run(3s);
  EXPECT_THAT(village.at(1).up, UnorderedElementsAre(NodeId{2}));
  EXPECT_EQ(village.at(1).membership.members().find(NodeId{3})->state, MemberState::kUp);
  village.start(member(3), {});
  village.run(3s);
  EXPECT_TRUE(village.acquainted());
}

class OneNode : public ::testing::Test {
 protected:
  std::vector<Membership::Call> calls() {
    membership_.tick(now_);
    return membership_.take_output().calls;
  }

  std::vector<Membership::Call> probes() {
    auto all = calls();
    std::erase_if(all, [](const auto& call) { return !call.to.has_value(); });
    return all;
  }

  Instant now_{1h};
  Random random_{1};
  PingDetector detector_{PingOptions{}, random_};
  Membership membership_{member(1), {"seed:1"}, {}, detector_, now_};
};

TEST_F(OneNode, ASeedIsCalledOnceAtATimeAndAgainAfterAFailure) {
  const auto first = calls();
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first.front().to, std::nullopt);
  EXPECT_EQ(first.front().address, "seed:1");
  EXPECT_THAT(first.front().records, ElementsAre(member(1)));
  now_ = now_ + 1h;
  EXPECT_THAT(calls(), IsEmpty());
  membership_.on_failure(first.front().number, now_);
  EXPECT_THAT(calls(), SizeIs(1));
}

TEST_F(OneNode, AFailedSeedIsNotCalledBeforeTheIntervalIsOver) {
  membership_.on_failure(calls().front().number, now_);
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_EQ(membership_.next_deadline(), now_ + Membership::kJoinInterval);
  now_ = membership_.next_deadline();
  EXPECT_THAT(calls(), SizeIs(1));
}

TEST_F(OneNode, AnEndThatIsToldTwiceCountsOnce) {
  const auto number = calls().front().number;
  membership_.on_reply(number, {member(2)}, now_);
  membership_.take_output();
  membership_.on_reply(number, {member(3)}, now_);
  membership_.on_failure(number, now_);
  membership_.on_failure(number + 100, now_);
  EXPECT_EQ(membership_.members().find(NodeId{3}), nullptr);
}

TEST_F(OneNode, WhoCallsIsProbedAtOnceAndNotTakenForReachable) {
  membership_.on_failure(calls().front().number, now_);
  EXPECT_THAT(membership_.on_call(NodeId{2}, {member(2)}, now_), SizeIs(2));
  EXPECT_FALSE(membership_.up(NodeId{2}));
  const auto probe = calls();
  ASSERT_THAT(probe, SizeIs(1));
  EXPECT_EQ(probe.front().to, NodeId{2});
  membership_.on_reply(probe.front().number, {}, now_);
  EXPECT_TRUE(membership_.up(NodeId{2}));
  EXPECT_THAT(membership_.take_output().came_up, ElementsAre(NodeId{2}));
}

TEST_F(OneNode, ALostConnectionAndTheFailedCallOverItAreOneMiss) {
  membership_.on_reply(calls().front().number, {member(2)}, now_);
  membership_.on_reply(calls().front().number, {}, now_);
  membership_.take_output();
  ASSERT_TRUE(membership_.up(NodeId{2}));
  for (std::uint32_t miss = 1; miss <= PingOptions{}.misses_to_down; ++miss) {
    now_ = membership_.next_deadline();
    const auto probe = probes();
    ASSERT_THAT(probe, SizeIs(1));
    membership_.on_connection_lost(NodeId{2}, now_);
    now_ = now_ + PingOptions{}.retry_interval;
    EXPECT_THAT(probes(), IsEmpty()) << "one call to a node at a time";
    membership_.on_failure(probe.front().number, now_);
    EXPECT_EQ(membership_.up(NodeId{2}), miss < PingOptions{}.misses_to_down);
  }
}

TEST_F(OneNode, ALostConnectionAloneIsAMiss) {
  membership_.on_reply(calls().front().number, {member(2)}, now_);
  membership_.on_reply(calls().front().number, {}, now_);
  membership_.take_output();
  for (std::uint32_t i = 0; i < PingOptions{}.misses_to_down; ++i) {
    membership_.on_connection_lost(NodeId{2}, now_);
  }
  EXPECT_THAT(membership_.take_output().went_down, ElementsAre(NodeId{2}));
}

}  // namespace
}  // namespace grapevine::gossip
