// Goal: a live view shows the store as it is, a frozen one as it was; scans and items resume where
// they stopped.
#include "storage/view.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

constexpr PartitionId kOnly{0};
constexpr std::size_t kNoLimit = 100'000;

class ViewTest : public ::testing::Test {
 protected:
  ViewTest() { EXPECT_TRUE(ok(scene_.open())); }

  std::vector<std::string> keys_of(const View& view, std::optional<std::string> after = {},
                                   std::size_t limit = kNoLimit) {
    std::vector<std::string> keys;
    const absl::Status status = view.scan(view.range(), after, model::Values::kWithout,
                                          [&](std::string_view key, const model::Entry&) {
                                            if (keys.size() == limit) return false;
                                            keys.emplace_back(key);
                                            return true;
                                          });
    EXPECT_TRUE(ok(status));
    return keys;
  }

  Scene scene_;
};

TEST_F(ViewTest, AFrozenViewDoesNotChangeUnderWrites) {
  scene_.put("k", "old");
  scene_.put("gone", "x");
  const auto frozen = scene_.store().freeze(kOnly);
  const model::Clock clock = frozen->clock();
  const model::DigestShare root = frozen->tree().root();
  scene_.put("k", "new");
  scene_.put("l", "new");
  scene_.remove("gone");

  EXPECT_EQ(frozen->clock(), clock);
  EXPECT_EQ(frozen->tree().root(), root);
  EXPECT_EQ(frozen->load("k", model::Values::kWith)->versions[0].value, "old");
  EXPECT_TRUE(frozen->load("l", model::Values::kWith)->versions.empty());
  EXPECT_EQ(frozen->load("gone", model::Values::kWith)->versions.size(), 1U);
  EXPECT_EQ(keys_of(*frozen).size(), 2U);
  EXPECT_EQ(frozen->items(frozen->range(), kNoLimit, std::nullopt)->size(), 2U);

  const View& live = scene_.store().live(kOnly);
  EXPECT_EQ(live.load("k", model::Values::kWith)->versions[0].value, "new");
  EXPECT_NE(live.clock(), clock);
}

TEST_F(ViewTest, AnAbsentKeyLoadsAsAnEntryThatKnowsWhatTheClockKnows) {
  const model::Dot dot = scene_.put("k", "v").dot;
  const auto entry = scene_.store().load("absent", model::Values::kWith);
  ASSERT_TRUE(ok(entry));
  EXPECT_TRUE(entry->versions.empty());
  EXPECT_TRUE(entry->vector.covers(dot));
}

TEST_F(ViewTest, HeadsLackTheBytesAndKeepSizeAndChecksum) {
  scene_.put("k", "value");
  const auto head = scene_.store().load("k", model::Values::kWithout);
  ASSERT_TRUE(ok(head));
  EXPECT_FALSE(head->versions[0].has_value);
  EXPECT_TRUE(head->versions[0].value.empty());
  EXPECT_EQ(head->versions[0].value_bytes, 5U);
  EXPECT_EQ(head->versions[0].checksum, model::value_checksum("value"));
}

TEST_F(ViewTest, ScansResumeByKeyAndMeetEveryKeyOnce) {
  for (int i = 0; i < 100; ++i) scene_.put(fmt::format("{{tag{}}}{}", i % 7, i), "v");
  const View& view = scene_.store().live(kOnly);
  const auto all = keys_of(view);
  ASSERT_EQ(all.size(), 100U);
  std::vector<std::string> pieced;
  for (;;) {
    const auto page =
        keys_of(view, pieced.empty() ? std::nullopt : std::optional(pieced.back()), 9);
    if (page.empty()) break;
    pieced.insert(pieced.end(), page.begin(), page.end());
  }
  EXPECT_EQ(pieced, all);
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_LT(std::pair(model::token_of(all[i - 1]), all[i - 1]),
              std::pair(model::token_of(all[i]), all[i]));
  }
}

TEST_F(ViewTest, AScanResumesAfterAKeyThatIsGone) {
  for (int i = 0; i < 10; ++i) scene_.put(fmt::format("{{tag}}{}", i), "v");
  scene_.remove("{tag}4");
  const auto rest = keys_of(scene_.store().live(kOnly), "{tag}4");
  EXPECT_EQ(rest.size(), 5U);
  EXPECT_EQ(rest[0], "{tag}5");
}

TEST_F(ViewTest, KeysOfAnyBytesAreScannedInOrder) {
  const std::string zero("{t}a\0b", 6);
  for (const std::string& key : {std::string("{t}a"), zero, std::string("{t}a\xff")}) {
    scene_.put(key, "v");
  }
  const View& view = scene_.store().live(kOnly);
  EXPECT_EQ(keys_of(view, "{t}a"), (std::vector<std::string>{zero, "{t}a\xff"}));
}

TEST_F(ViewTest, ScannedEntriesAreFilled) {
  const model::Dot other = scene_.put("other", "x").dot;
  scene_.put("k", "v");
  const View& view = scene_.store().live(kOnly);
  const absl::Status status = view.scan(view.range(), std::nullopt, model::Values::kWith,
                                        [&](std::string_view key, const model::Entry& entry) {
                                          EXPECT_EQ(entry, *view.load(key, model::Values::kWith));
                                          EXPECT_TRUE(entry.vector.covers(other));
                                          return true;
                                        });
  EXPECT_TRUE(ok(status));
}

TEST_F(ViewTest, ItemsCarryWhatAnotherReplicaCompares) {
  scene_.put("k", "v");
  const model::Dot deletes{actor(5), 3};
  ASSERT_TRUE(ok(scene_.receive({"unquiet", filled_entry({}, {deletes}), {deletes}})));
  const View& view = scene_.store().live(kOnly);
  const auto items = view.items(view.range(), kNoLimit, std::nullopt);
  ASSERT_TRUE(ok(items));
  ASSERT_EQ(items->size(), 2U);
  for (const model::Item& item : *items) {
    EXPECT_EQ(item.key_hash, scene_.store().digester().key_hash(item.key));
    EXPECT_EQ(item.unquiet, item.key == "unquiet");
    EXPECT_EQ(item.digest == 0, item.key == "unquiet");
  }
  EXPECT_EQ(view.items(view.range(), 1, std::nullopt)->size(), 1U);
  EXPECT_EQ(view.items(view.range(), 9, (*items)[0].key)->at(0), (*items)[1]);
}

TEST_F(ViewTest, APartitionSeesOnlyItsOwnKeys) {
  Scene wide;
  wide.options.partitions = 8;
  ASSERT_TRUE(ok(wide.open()));
  for (int i = 0; i < 200; ++i) wide.put(fmt::format("key{}", i), "v");
  std::size_t met = 0;
  for (std::uint32_t i = 0; i < 8; ++i) {
    const View& view = wide.store().live(PartitionId{i});
    for (const std::string& key : keys_of(view)) {
      EXPECT_EQ(wide.store().partitioning().of(key), PartitionId{i});
      ++met;
    }
    EXPECT_EQ(view.tree().root().keys, keys_of(view).size());
  }
  EXPECT_EQ(met, 200U);
}

TEST_F(ViewTest, ARangeWithinAPartitionIsScannedAlone) {
  for (int i = 0; i < 200; ++i) scene_.put(fmt::format("key{}", i), "v");
  const View& view = scene_.store().live(kOnly);
  std::size_t met = 0;
  for (std::uint32_t part = 0; part < 16; ++part) {
    const model::TokenRange range = view.range().part(part, 4);
    const auto items = view.items(range, kNoLimit, std::nullopt);
    ASSERT_TRUE(ok(items));
    for (const model::Item& item : *items) EXPECT_TRUE(range.contains(model::token_of(item.key)));
    met += items->size();
  }
  EXPECT_EQ(met, 200U);
}

}  // namespace
}  // namespace grapevine::storage
