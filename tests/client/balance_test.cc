// Goal: clients leave a busy node for one that is less so, and never in a herd. Method: a thousand
// of them that all hear the same, late; then one client and fake nodes (fake_node.h).
#include "client/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <vector>

#include "grapevine/client.h"
#include "storage/base/status.h"
#include "tests/client/fake_node.h"

namespace grapevine::client {
namespace {

constexpr std::size_t kClients = 1'000;
constexpr std::size_t kClientsAStep = 50;
constexpr std::size_t kSecondsLate = 2;

// Clients that look once a second; a node is one step busier for every kClientsAStep of them.
class Crowd {
 public:
  explicit Crowd(std::vector<std::size_t> clients_at) : clients_at_(std::move(clients_at)) {
    for (std::size_t node = 0; node < clients_at_.size(); ++node)
      at_.resize(at_.size() + clients_at_[node], node);
    for (std::size_t i = 0; i < at_.size(); ++i) balances_.emplace_back(i);
    for (std::size_t i = 0; i <= kSecondsLate; ++i) heard_.push_back(busy());
  }

  Balance::Busy busy() const {
    Balance::Busy steps;
    for (const std::size_t clients : clients_at_) {
      steps.emplace_back(static_cast<std::uint32_t>(clients / kClientsAStep));
    }
    return steps;
  }
  void pass_a_second() {
    for (std::size_t i = 0; i < at_.size(); ++i) {
      const auto to = balances_[i].look(heard_.front(), at_[i]);
      if (!to.has_value()) continue;
      --clients_at_[at_[i]];
      ++clients_at_[*to];
      at_[i] = *to;
      ++moves_;
    }
    heard_.push_back(busy());
    heard_.pop_front();
  }
  std::size_t most() const { return *std::max_element(clients_at_.begin(), clients_at_.end()); }
  std::size_t least() const { return *std::min_element(clients_at_.begin(), clients_at_.end()); }
  std::size_t at(std::size_t node) const { return clients_at_[node]; }
  std::size_t moves() const { return moves_; }

 private:
  std::vector<std::size_t> clients_at_;
  std::vector<std::size_t> at_;
  std::vector<Balance> balances_;
  std::deque<Balance::Busy> heard_;
  std::size_t moves_ = 0;
};

TEST(Balance, ACrowdSpreadsAndComesToRest) {
  for (const std::size_t nodes : {2U, 3U, 7U}) {
    std::vector<std::size_t> start(nodes, 0);
    start[0] = kClients;
    Crowd crowd(start);
    for (int second = 0; second < 120; ++second) crowd.pass_a_second();
    // The difference for which nobody moves, and what moved while that was not known yet.
    EXPECT_LE(crowd.most() - crowd.least(), 4 * kClientsAStep) << nodes << " nodes";
    const std::size_t moves = crowd.moves();
    EXPECT_LT(moves, 2 * kClients);
    for (int second = 0; second < 60; ++second) crowd.pass_a_second();
    EXPECT_EQ(crowd.moves(), moves) << "at rest";
  }
}

TEST(Balance, NoHerdRunsToANodeThatIsIdle) {
  Crowd crowd({kClients / 2, kClients / 2, 0});
  for (int second = 0; second < 60; ++second) {
    crowd.pass_a_second();
    EXPECT_LT(crowd.at(2), kClients / 2) << "second " << second;
  }
  EXPECT_GT(crowd.at(2), kClients / 5);
}

TEST(Balance, WhatHardlyDiffersMovesNobody) {
  Crowd crowd({kClients / 2, kClients / 2 - kClientsAStep});
  for (int second = 0; second < 60; ++second) crowd.pass_a_second();
  EXPECT_EQ(crowd.moves(), 0U);
}

TEST(Balance, NobodyMovesToANodeThatIsNotKnownOrFromOne) {
  Balance balance(1);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(balance.look({9, std::nullopt}, 0), std::nullopt);
    EXPECT_EQ(balance.look({std::nullopt, 0}, 0), std::nullopt);
    EXPECT_EQ(balance.look({9}, 0), std::nullopt);
  }
}

TEST(Client, MovesToANodeThatIsLessBusy) {
  FakeNode first;
  FakeNode second;
  first.be(1, {{1, 9}, {2, 0}});
  second.be(2, {{1, 9}, {2, 0}});
  // Both are there before the first call.
  auto client = Client::connect({.endpoints = {first.endpoint(), second.endpoint()},
                                 .balance_interval = std::chrono::milliseconds(1)});
  ASSERT_TRUE(client.ok()) << text_of(client.status());
  // As long as it takes: ctest's limit ends a client that never moves.
  while (first.seen().empty() || second.seen().empty()) {
    ASSERT_TRUE((*client)->put("k", "v").ok());
    if (first.seen().empty() && !second.seen().empty()) {
      // It had begun there, since that one was ready first: then it is to leave that.
      first.be(1, {{1, 0}, {2, 9}});
      second.be(2, {{1, 0}, {2, 9}});
    }
  }
  EXPECT_FALSE(second.seen().empty());
}

TEST(Client, StaysWhereItIsWhenToldSo) {
  FakeNode first;
  FakeNode second;
  second.log_in_with(absl::UnavailableError("starting"));  // so that the first is asked
  first.be(1, {{1, 9}, {2, 0}});
  second.be(2, {{1, 9}, {2, 0}});
  auto client = Client::connect({.endpoints = {first.endpoint(), second.endpoint()},
                                 .balance_interval = std::chrono::milliseconds(0)});
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE((*client)->put("k", "v").ok());
  second.log_in_with(absl::OkStatus());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE((*client)->put("k", "v").ok());
  EXPECT_TRUE(second.seen().empty());
}

}  // namespace
}  // namespace grapevine::client
