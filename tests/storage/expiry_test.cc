// Goal: a version that expires is dropped by its owner alone, and no peer brings it back. Method:
// time moved by hand.
#include <fmt/format.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

class ExpiryTest : public ::testing::Test {
 protected:
  ExpiryTest() { EXPECT_TRUE(ok(scene_.open())); }

  Committed put_until(std::string_view key, std::string_view value, std::int64_t expires_ms) {
    WriteRequest request = write_of(key, std::string(value));
    request.expires = WallTime{expires_ms};
    return scene_.commit(std::move(request));
  }
  void advance_ms(std::int64_t ms) { scene_.time.advance(std::chrono::milliseconds(ms)); }

  Scene scene_;
};

TEST_F(ExpiryTest, AVersionGoesAtItsTimeAndNotBefore) {
  put_until("k", "v", 1000);
  put_until("later", "v", 5000);
  scene_.upkeep();
  EXPECT_EQ(scene_.values("k").size(), 1U);
  advance_ms(999);
  scene_.upkeep();
  EXPECT_EQ(scene_.values("k").size(), 1U);
  advance_ms(1);
  scene_.upkeep();
  EXPECT_TRUE(scene_.values("k").empty());
  EXPECT_EQ(scene_.values("later").size(), 1U);
  EXPECT_EQ(scene_.store().statistics().keys, 1U);
  EXPECT_TRUE(scene_.trees_are_true());
  advance_ms(4000);
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().keys, 0U);
}

TEST_F(ExpiryTest, NoPeerBringsItBack) {
  const model::KeyedEntry copy = put_until("k", "v", 1000).to_replicate.front();
  advance_ms(1000);
  scene_.upkeep();
  ASSERT_TRUE(ok(scene_.receive(copy)));
  EXPECT_TRUE(scene_.values("k").empty());
}

TEST_F(ExpiryTest, AVersionOfAPeerThatComesAfterItsTimeGoesToo) {
  model::Version version = version_of({actor(9), 1}, "v");
  version.expires = WallTime{1000};
  advance_ms(2000);
  scene_.upkeep();
  ASSERT_TRUE(ok(scene_.receive({"k", filled_entry({version}), {}})));
  EXPECT_EQ(scene_.values("k").size(), 1U);
  scene_.upkeep();
  EXPECT_TRUE(scene_.values("k").empty());
}

TEST_F(ExpiryTest, WhatWasWrittenAfterwardsStays) {
  put_until("k", "old", 1000);
  scene_.put("k", "new");
  put_until("siblings", "expires", 1000);
  scene_.put("siblings", "stays", model::VersionVector{});
  advance_ms(1000);
  scene_.upkeep();
  EXPECT_EQ(scene_.values("k"), std::vector<std::string>{"new"});
  EXPECT_EQ(scene_.values("siblings"), std::vector<std::string>{"stays"});
}

TEST_F(ExpiryTest, WhatExpiredWhileTheStoreWasClosedGoesWhenItIsOpened) {
  put_until("k", "v", 1000);
  scene_.crash();
  advance_ms(1000);
  ASSERT_TRUE(ok(scene_.open()));
  scene_.upkeep();
  EXPECT_TRUE(scene_.values("k").empty());
}

TEST_F(ExpiryTest, WhatIsColdIsWarmedBeforeItGoes) {
  put_until("k", "v", 1000);
  put_until("l", std::string(10'000, 'v'), 1000);
  scene_.cool_down();
  advance_ms(1000);
  const auto more = scene_.store().upkeep(100);
  ASSERT_TRUE(ok(more));
  EXPECT_TRUE(*more);
  EXPECT_EQ(scene_.executor.waiting(), 1U);
  EXPECT_EQ(scene_.store().statistics().keys, 2U);
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().keys, 0U);
}

TEST_F(ExpiryTest, ManyAtOnceGoInSteps) {
  for (int i = 0; i < 500; ++i) put_until(fmt::format("k{}", i), "v", 1000 + i % 7);
  advance_ms(1003);
  const auto more = scene_.store().upkeep(100);
  ASSERT_TRUE(ok(more));
  EXPECT_TRUE(*more);
  scene_.upkeep();
  EXPECT_EQ(scene_.store().statistics().keys, 213U);
  EXPECT_TRUE(scene_.trees_are_true());
}

}  // namespace
}  // namespace grapevine::storage
