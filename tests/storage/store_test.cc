// Goal: a store opens, remembers and forgets nothing: smoke.
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

TEST(Store, WhatWasWrittenIsThereAfterReopening) {
  Scene scene;
  ASSERT_TRUE(ok(scene.open()));
  scene.put("k", "v");
  scene.put("l", "w");
  scene.remove("l");
  EXPECT_EQ(scene.values("k"), std::vector<std::string>{"v"});
  const auto before = scene.contents();
  ASSERT_TRUE(ok(scene.close()));
  ASSERT_TRUE(ok(scene.open()));
  EXPECT_EQ(scene.contents(), before);
  EXPECT_TRUE(scene.trees_are_true());
  EXPECT_EQ(scene.values("k"), std::vector<std::string>{"v"});
}

}  // namespace
}  // namespace grapevine::storage
