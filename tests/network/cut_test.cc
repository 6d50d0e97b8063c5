// Goal: a cut network costs no write and brings nothing back: each side goes on, in whichever
// directions it is cut off, and afterwards all nodes provably hold what both wrote.
// Method: five nodes in network namespaces, each owning every key, packets dropped in between.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/network/scene.h"

namespace grapevine::network_test {
namespace {

class CutTest : public NetworkTest {
 protected:
  const Network::Side majority_{0, 1, 2};
  const Network::Side minority_{3, 4};

  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    form("local", {"--replication-factor", "5"});
    put(0, 0, 1000, "old");
    expect(data_, 0, 1000, {"old"});
    expect_whole(data_);
  }

  // At one node of each side the same: what one side writes, what both, what one deletes, what one
  // deletes and the other writes. Of hundreds from `first` on.
  void write_on_both_sides(std::size_t first) {
    put(0, first, first + 100, "left");
    put(4, first + 50, first + 150, "right");
    remove(0, first + 150, first + 200);
    remove(4, first + 200, first + 250);
    remove(0, first + 250, first + 300);
    put(4, first + 250, first + 300, "right");
    const std::size_t fresh = 1000 + first;
    put(0, fresh, fresh + 100, "left");
    put(4, fresh + 50, fresh + 150, "right");

    for (Data* side : {&left_, &data_}) {
      expect(*side, first, first + 100, {"left"});
      expect(*side, first + 150, first + 200, {});
      expect(*side, first + 250, first + 300, {});
      expect(*side, fresh, fresh + 100, {"left"});
    }
    for (Data* side : {&right_, &data_}) {
      expect(*side, first + 50, first + 150, {"right"});
      expect(*side, first + 200, first + 250, {});
      expect(*side, first + 250, first + 300, {"right"});
      expect(*side, fresh + 50, fresh + 150, {"right"});
    }
    expect(data_, first + 50, first + 100, {"left", "right"});
    expect(data_, fresh + 50, fresh + 100, {"left", "right"});
  }

  // While it lasts: before anybody noticed, and after all have.
  void write_through_the_cut() {
    left_ = data_;
    right_ = data_;
    write_on_both_sides(0);
    await_seen(majority_, minority_, false);
    await_seen(minority_, majority_, false);
    write_on_both_sides(400);
  }
  void heal() {
    network_->heal();
    await_seen(majority_, minority_, true);
    await_seen(minority_, majority_, true);
    expect_whole(data_);
  }

  Data data_;  // of all, once they are whole
  Data left_;
  Data right_;
};

TEST_F(CutTest, BothSidesOfACutTakeWritesAndHoldAllOfThemAfterwards) {
  network_->cut(majority_, minority_);
  write_through_the_cut();
  for (const std::size_t node : majority_) await_data(node, left_);
  for (const std::size_t node : minority_) await_data(node, right_);
  heal();
}

TEST_F(CutTest, BothSidesTakeWritesWhereOnlyOneOfThemIsHeard) {
  network_->cut_one_way(majority_, minority_);
  write_through_the_cut();
  // What the minority sends may get there, though no answer comes back.
  for (const std::size_t node : minority_) await_data(node, right_);
  heal();
}

// Two nodes cannot reach each other, first one way, then neither, then not even a call leaves; all
// others can.
TEST_F(CutTest, ALostLinkBringsNobodyDownAndNewsGoRoundIt) {
  const auto go_round = [&](std::size_t first) {
    const std::uint64_t helped = counter(0, "member_probes_helped");
    const std::uint64_t missed = counter(0, "member_probes_missed");
    put(0, first, first + 100, "from one end");
    put(4, first + 100, first + 200, "from the other");
    expect(data_, first, first + 100, {"from one end"});
    expect(data_, first + 100, first + 200, {"from the other"});
    for (const std::size_t node : {0U, 4U, 2U}) await_data(node, data_);
    await([&] { return counter(0, "member_probes_helped") >= helped + 2; },
          "others answer for who cannot be reached");
    EXPECT_LE(counter(0, "member_probes_missed") - missed, 2U) << "hardly ever in vain";
  };
  network_->cut_one_way({0}, {4});
  go_round(0);
  network_->cut({0}, {4});
  go_round(200);
  network_->heal();
  network_->take_route(0, 4);
  go_round(400);
  EXPECT_EQ(verdicts(), 0U);
  network_->heal();
  expect_whole(data_);
}

}  // namespace
}  // namespace grapevine::network_test
