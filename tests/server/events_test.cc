// Goal: whoever watches sees each event that has reached the node once and in order, as far as it
// remembers, and waits for the next one. Method: events by hand, promises on a loop.
#include "server/events.h"

#include <gtest/gtest.h>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::server::test {
namespace {

class EventsTest : public rpc::test::LoopTest {
 protected:
  void add(const std::string& name) { events_.add({{NodeId{1}, ++sequence_}, 0, name, {}}); }

  std::uint64_t sequence_ = 0;
  Events events_;
};

TEST_F(EventsTest, AreSeenInOrderFromANumberOn) {
  EXPECT_EQ(events_.last(), 0U);
  EXPECT_TRUE(events_.after(0).empty());
  for (const char* name : {"a", "b", "c"}) add(name);
  const auto seen = events_.after(1);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].rumour.name, "b");
  EXPECT_EQ(seen[1].number, 3U);
  EXPECT_TRUE(events_.after(events_.last()).empty());
}

TEST_F(EventsTest, OnlyTheLastAreRemembered) {
  for (std::size_t i = 0; i < Events::kEventsMax + 10; ++i) add("e");
  const auto seen = events_.after(0);
  ASSERT_EQ(seen.size(), Events::kEventsMax);
  EXPECT_EQ(seen.front().number, 11U);
}

TEST_F(EventsTest, WhoWaitsIsToldOfTheNextOneAndWhoGoesAwayIsForgotten) {
  add("a");
  loop_.run_until(events_.any_after(0));  // there is one
  auto gone = kj::heap(events_.any_after(1));
  gone = nullptr;
  bool told = false;
  auto waiting = events_.any_after(1).then([&] { told = true; }).eagerlyEvaluate(nullptr);
  add("b");
  run_while_not([&] { return told; });
  EXPECT_EQ(events_.after(1).size(), 1U);
}

}  // namespace
}  // namespace grapevine::server::test
