// Goal: a node whose stored bytes are damaged notices it by itself, answers nothing wrong, and has
// back from the others what it lost. Method: three real nodes; bytes of a table are turned over.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::size_t kKeys = 5000;

class DamageTest : public ::testing::Test {
 protected:
  // All keys in all nodes, those of the last one in a table.
  void fill(Cluster& cluster) {
    std::string lines;
    for (std::size_t i = 0; i < kKeys; ++i) {
      lines += fmt::format("{{\"key\":\"key-{}\",\"value\":\"value of key {}\"}}\n", i, i);
    }
    cluster.start_all();
    ASSERT_EQ(cluster.grapevine(0, {"import", "-", "--consistency", "all"}, lines).exit_code, 0);
    cluster.wait_until_equal(seconds(30));
    before_ = cluster.exported(0);
    // Opening writes a table of what the log held.
    cluster.kill_hard(2);
    cluster.start(2);
  }
  // In the middle of the table that holds the keys: that of the metadata may be the larger one.
  static void turn_bytes_over(const std::string& directory) {
    const auto holds_keys = [](const fs::path& path) {
      std::ifstream file(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      return bytes.find("value of key") != std::string::npos;
    };
    fs::path largest;
    std::uintmax_t size = 0;
    for (const auto& entry : fs::directory_iterator(directory)) {
      std::error_code gone;  // a compaction may take it away
      const std::uintmax_t bytes = entry.file_size(gone);
      if (!gone && entry.path().extension() == ".sst" && bytes > size && holds_keys(entry.path())) {
        largest = entry.path();
        size = bytes;
      }
    }
    if (size == 0) return;
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    for (std::uintmax_t at = size / 4; at < size / 2; at += 4'096) {
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte + 1));
    }
  }
  void expect_whole(const Cluster& cluster) {
    cluster.wait_until_equal(seconds(30));
    EXPECT_TRUE(cluster.process(2).wait_for_line("what was lost to damage is back", seconds(30)));
    for (std::size_t node = 0; node < 3; ++node) {
      EXPECT_TRUE(cluster.exported(node) == before_) << "node " << node + 1;
    }
    EXPECT_EQ(cluster.grapevine(2, {"get", "key-17", "--consistency", "one"}).out,
              "value of key 17\n");
  }

  std::string before_;
};

TEST_F(DamageTest, FoundWhenANodeStarts) {
  Cluster cluster(3);
  fill(cluster);
  cluster.kill_hard(2);
  turn_bytes_over(cluster.directory(2));
  cluster.start(2);
  EXPECT_THAT(cluster.process(2).log(), HasSubstr(".sst"));
  expect_whole(cluster);
}

TEST_F(DamageTest, FoundByTheScrubOfARunningNodeWhichStartsAnew) {
  Cluster cluster(3, {"--scrub-rate", "1000000"});
  fill(cluster);
  // Once more where a compaction has taken the table away: before the scrub came by, or with what it
  // had read before the damage, so that the node starts anew and finds all in order.
  bool mended = false;
  for (int i = 0; i < 10 && !mended; ++i) {
    turn_bytes_over(cluster.directory(2));
    mended = cluster.process(2).wait_for_line("what was lost to damage is back", seconds(6));
  }
  ASSERT_TRUE(mended);
  EXPECT_THAT(cluster.process(2).log(), HasSubstr("the node starts anew"));
  expect_whole(cluster);
}

}  // namespace
}  // namespace grapevine::cluster_test
