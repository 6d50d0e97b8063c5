// Goal: the pages of a scan, put together, are every key with the prefix, once, in order, whatever
// the pages' limits; a page is bounded in bytes and in work. Method: stores in memory; a fake peer
// for partitions of another node; limits and prefixes tried through.
#include "server/scanner.h"

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/rpc/loop_fixture.h"
#include "tests/server/fake_peer.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kPartitions = 8;
constexpr NodeId kPeer{2};
constexpr NodeId kOther{3};

Strings in_token_order(Strings keys) {
  std::sort(keys.begin(), keys.end(), [](const std::string& a, const std::string& b) {
    return std::pair(model::token_of(a), a) < std::pair(model::token_of(b), b);
  });
  return keys;
}

class ScannerTest : public rpc::test::LoopTest {
 protected:
  ScannerTest() { ring_.owners_of_all = {store_.node(), kPeer}; }

  ScanPage page(ScanRequest request) { return loop_.run_until(scanner_.page(std::move(request))); }
  absl::Status failure(ScanRequest request) {
    return rpc::to_status(failure_of(scanner_.page(std::move(request)).ignoreResult()));
  }

  // All keys with `prefix`, in the order in which pages of `limit` show them. `between` is called
  // after each page.
  Strings all(
      const std::string& prefix, std::size_t limit, const std::function<void()>& between = [] {}) {
    Strings keys;
    ScanRequest request{prefix, limit, "", false};
    do {
      ScanPage page = this->page(request);
      EXPECT_LE(page.keys.size(), limit);
      for (ScannedKey& key : page.keys) keys.push_back(std::move(key.key));
      request.cursor = std::move(page.cursor);
      between();
    } while (!request.cursor.empty());
    return keys;
  }

  // Many keys in one batch; `value_bytes` each.
  static Strings fill(MemoryStore& store, const std::string& prefix, std::size_t count,
                      std::size_t value_bytes = 1) {
    Strings keys;
    auto batch = store->begin();
    EXPECT_TRUE(ok(batch.status()));
    for (std::size_t i = 0; i < count; ++i) {
      keys.push_back(fmt::format("{}{:05}", prefix, i));
      EXPECT_TRUE(
          ok((*batch)
                 ->write({keys.back(), std::string(value_bytes, 'v'), std::nullopt, WallTime{1}, 0})
                 .status()));
    }
    EXPECT_TRUE(ok(store->commit(*std::move(batch)).status()));
    return keys;
  }

  MemoryStore store_{1, kPartitions};
  HandRing ring_{store_.node()};
  FakePeer peer_{loop_};
  PeerLinks links_{loop_,
                   rpc::Address{"127.0.0.1", 0},
                   {[](wire::Hello::Builder) {},
                    [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}}};
  Scanner scanner_{*store_, ring_, links_,
                   [this](NodeId node) { return node == kPeer ? peer_.address() : std::string(); }};
};

TEST_F(ScannerTest, NothingIsOneEmptyPage) {
  const ScanPage page = this->page({"", 10, "", false});
  EXPECT_TRUE(page.keys.empty());
  EXPECT_EQ(page.cursor, "");
}

TEST_F(ScannerTest, PagesOfAnySizeMakeUpTheWholeInTokenOrder) {
  const Strings keys = in_token_order(fill(store_, "k", 100));
  for (const std::size_t limit : {1U, 2U, 7U, 99U, 100U, 101U, 10'000U}) {
    EXPECT_EQ(all("", limit), keys) << "pages of " << limit;
  }
}

TEST_F(ScannerTest, APrefixLeavesOutTheRest) {
  fill(store_, "a", 30);
  const Strings keys = in_token_order(fill(store_, "ab", 30));
  fill(store_, "b", 30);
  EXPECT_EQ(all("ab", 7), keys);
  EXPECT_TRUE(all("abc", 7).empty());
}

TEST_F(ScannerTest, KeysOfOneTagComeInKeyOrder) {
  fill(store_, "k", 50);
  const Strings keys = fill(store_, "{tag}", 50);
  EXPECT_EQ(all("{tag}", 7), keys);
  EXPECT_EQ(all("{tag}0001", 3), Strings(keys.begin() + 10, keys.begin() + 20));
  EXPECT_EQ(all("{tag", 7), keys) << "a prefix that does not fix the token finds them too";
}

TEST_F(ScannerTest, ValuesComeOnlyWhenAskedFor) {
  store_.put("k", "value");
  const ScanPage heads = page({"", 10, "", false});
  ASSERT_EQ(heads.keys.size(), 1U);
  EXPECT_FALSE(heads.keys[0].versions.at(0).has_value);
  EXPECT_EQ(heads.keys[0].versions[0].value_bytes, 5U);
  const ScanPage values = page({"", 10, "", true});
  EXPECT_EQ(values.keys.at(0).versions.at(0).value, "value");
}

TEST_F(ScannerTest, SiblingsComeTogetherAndDeletedKeysNotAtAll) {
  store_.put("k", "mine");
  ASSERT_TRUE(ok(store_.receive({"k", entry_of({version_of({actor(9), 1}, "theirs")}), {}})));
  // Remembered as deleted until the clock closes the gap below.
  ASSERT_TRUE(ok(store_.receive({"gone", entry_of({}, {{actor(9), 7}}), {{actor(9), 7}}})));
  const ScanPage page = this->page({"", 10, "", true});
  ASSERT_EQ(page.keys.size(), 1U);
  EXPECT_EQ(page.keys[0].versions.size(), 2U);
}

TEST_F(ScannerTest, KeysThatStayAreNeitherSkippedNorRepeatedWhileOthersComeAndGo) {
  const Strings stay = fill(store_, "stay", 60);
  int round = 0;
  const Strings seen = all("", 5, [&] {
    store_.put(fmt::format("new{}", round++), "v");
    auto batch = store_->begin();
    ASSERT_TRUE(ok(
        (*batch)
            ->write({fmt::format("new{}", round / 2), std::nullopt, std::nullopt, WallTime{1}, 0})
            .status()));
    ASSERT_TRUE(ok(store_->commit(*std::move(batch)).status()));
  });
  Strings stayed;
  for (const std::string& key : seen) {
    if (key.starts_with("stay")) stayed.push_back(key);
  }
  EXPECT_EQ(stayed, in_token_order(stay));
}

TEST_F(ScannerTest, ADeletedKeyIsNoObstacleToTheCursorThatNamesIt) {
  const Strings keys = in_token_order(fill(store_, "k", 20));
  const ScanPage first = page({"", 5, "", false});
  const std::string last = first.keys.back().key;
  auto batch = store_->begin();
  ASSERT_TRUE(ok((*batch)->write({last, std::nullopt, std::nullopt, WallTime{1}, 0}).status()));
  ASSERT_TRUE(ok(store_->commit(*std::move(batch)).status()));
  EXPECT_EQ(page({"", 1, first.cursor, false}).keys.at(0).key, keys[5]);
}

TEST_F(ScannerTest, WhatIsNoCursorIsRefused) {
  fill(store_, "k", 5);
  for (const std::string& cursor :
       {std::string("x"), std::string("\1k"), std::string("\1p"), std::string("\2kkey"),
        std::string("\1p1234567"), std::string("\1p\0\0\0\0\0\0\0\x08", 10),
        std::string("\1p\xff\xff\xff\xff\xff\xff\xff\xff"), std::string("\1zkey")}) {
    const absl::Status status = failure({"", 10, cursor, false});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(rpc::test::text_of(status), HasSubstr("cursor"));
  }
}

// ---- bounds

TEST_F(ScannerTest, APageEndsAfterAboutEightMegabytesEvenAcrossPartitions) {
  constexpr std::size_t kMegabyte = std::size_t{1} << 20;
  const Strings keys = in_token_order(fill(store_, "k", 40, kMegabyte));
  Strings seen;
  ScanRequest request{"", 10'000, "", true};
  do {
    ScanPage page = this->page(request);
    EXPECT_LE(page.keys.size(), 18U) << "two partitions' bounds at most";
    for (const ScannedKey& key : page.keys) seen.push_back(key.key);
    request.cursor = page.cursor;
  } while (!request.cursor.empty());
  EXPECT_EQ(seen, keys);
}

TEST_F(ScannerTest, APageEndsAfterTwentyThousandKeysLookedAtEvenAcrossPartitions) {
  fill(store_, "k", 45'000);
  store_.put("wanted", "v");
  Strings seen;
  int pages = 0;
  ScanRequest request{"wanted", 10, "", false};
  do {
    ScanPage page = this->page(request);
    ++pages;
    for (const ScannedKey& key : page.keys) seen.push_back(key.key);
    request.cursor = page.cursor;
  } while (!request.cursor.empty());
  EXPECT_EQ(seen, Strings{"wanted"});
  EXPECT_GE(pages, 2);
}

// ---- partitions of others

class ScannerOfOthers : public ScannerTest {
 protected:
  // Every other partition belongs to another node alone.
  ScannerOfOthers() {
    peer_.conduct().store = &*peer_store_;
    for (std::uint32_t i = 0; i < kPartitions; i += 2) ring_.owners_of[{i}] = {kOther, kPeer};
    ring_.unreachable = {kOther};
    for (std::size_t i = 0; i < 100; ++i) {
      const std::string key = fmt::format("k{:05}", i);
      const bool theirs = store_->partitioning().of(key).value % 2 == 0;
      (theirs ? peer_store_ : store_).put(key, "v");
      keys_.push_back(key);
    }
    keys_ = in_token_order(keys_);
  }

  MemoryStore peer_store_{2, kPartitions};
  Strings keys_;
};

TEST_F(ScannerOfOthers, TheFirstOwnerThatCanBeReachedIsAsked) {
  for (const std::size_t limit : {1U, 7U, 1000U}) EXPECT_EQ(all("", limit), keys_);
  EXPECT_GT(peer_.conduct().scans, 0);
}

TEST_F(ScannerOfOthers, ValuesComeThroughAsWell) {
  for (const ScannedKey& key : page({"", 1000, "", true}).keys) {
    EXPECT_EQ(key.versions.at(0).value, "v");
  }
}

TEST_F(ScannerOfOthers, APartitionWithoutAReachableOwnerEndsTheScan) {
  ring_.unreachable = {kOther, kPeer};
  EXPECT_TRUE(absl::IsUnavailable(failure({"", 1000, "", false})));
}

TEST_F(ScannerOfOthers, WhatTheOwnerComplainsOfIsPassedOn) {
  peer_.conduct().scanning = absl::DataLossError("a bad block");
  const absl::Status status = failure({"", 1000, "", false});
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(rpc::test::text_of(status), HasSubstr("a bad block"));
}

}  // namespace
}  // namespace grapevine::server::test
