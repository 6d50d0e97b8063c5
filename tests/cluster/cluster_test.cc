// Goal: what users are promised holds for real processes: no acknowledged write is lost, nothing
// deleted comes back, and replicas that were apart become provably equal. Method: grapevined
// processes on loopback, killed, stopped and paused; the grapevine command and the client library
// as users have them.
#include "tests/cluster/cluster.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "storage/base/random.h"
#include "storage/base/status.h"

namespace grapevine::cluster_test {
namespace {

using std::chrono::seconds;

std::string key_of(std::size_t i) {
  return fmt::format("key-{:05}", i);
}

// JSON lines of keys first..last-1 with values "NAME of KEY".
std::string lines_of(std::size_t first, std::size_t last, std::string_view name) {
  std::string lines;
  for (std::size_t i = first; i < last; ++i) {
    const std::string key = key_of(i);
    lines +=
        nlohmann::json{{"key", key}, {"value", fmt::format("{} of {}", name, key)}}.dump() + "\n";
  }
  return lines;
}

void import(const Cluster& cluster, std::size_t node, const std::string& lines) {
  const Finished finished = cluster.grapevine(node, {"import", "-"}, lines);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
}

void remove_keys(Client& client, std::size_t first, std::size_t last) {
  std::vector<Operation> removals;
  for (std::size_t i = first; i < last; ++i) removals.push_back(Remove{key_of(i)});
  for (const auto& result : client.execute(std::move(removals))) {
    ASSERT_TRUE(result.ok()) << result.status();
  }
}

void expect_equal_exports(const Cluster& cluster, std::size_t keys) {
  const std::string first = cluster.exported(0);
  EXPECT_EQ(static_cast<std::size_t>(std::count(first.begin(), first.end(), '\n')), keys);
  for (std::size_t node = 1; node < cluster.size(); ++node) {
    EXPECT_TRUE(cluster.exported(node) == first) << "node " << node + 1 << " exports other data";
  }
}

// How many pulls of a kind the node's log tells of.
std::size_t pulls(const Process& node, std::string_view kind) {
  std::size_t sum = 0;
  for (const std::string& line : node.lines()) {
    const std::size_t end = line.find(fmt::format(" {}", kind));
    if (line.find("pulled ") == std::string::npos || end == std::string::npos) continue;
    const std::size_t begin = line.find_last_of(" :", end - 1) + 1;
    sum += std::stoul(line.substr(begin, end - begin));
  }
  return sum;
}

constexpr std::size_t kKeys = 6000;

// Changes a third of the keys, deletes another part and adds some; returns how many there are then.
std::size_t change(const Cluster& cluster) {
  import(cluster, 0, lines_of(0, 2000, "changed value"));
  remove_keys(*cluster.client_of(1), 2000, 3000);
  import(cluster, 1, lines_of(kKeys, kKeys + 500, "new value"));
  return kKeys - 1000 + 500;
}

TEST(ClusterTest, ANodeThatMissedChangesPullsThemByItsClockWhenItReturns) {
  Cluster cluster(3);
  cluster.start_all();
  import(cluster, 0, lines_of(0, kKeys, "value"));
  cluster.wait_until_equal(seconds(30));
  expect_equal_exports(cluster, kKeys);

  cluster.kill_hard(2);
  const std::size_t keys = change(cluster);
  cluster.start(2);
  cluster.wait_until_equal(seconds(30));
  expect_equal_exports(cluster, keys);
  EXPECT_GT(pulls(cluster.process(2), "delta"), 0U);
  EXPECT_EQ(pulls(cluster.process(2), "digest pulls"), 0U);
}

TEST(ClusterTest, AfterAllDotLogsAreGoneADigestPullFindsWhatANodeMissed) {
  Cluster cluster(3);
  cluster.start_all();
  import(cluster, 0, lines_of(0, kKeys, "value"));
  cluster.wait_until_equal(seconds(30));

  cluster.kill_hard(2);
  const std::size_t keys = change(cluster);
  EXPECT_EQ(cluster.stop(0), 0);
  EXPECT_EQ(cluster.stop(1), 0);
  cluster.start_all();
  cluster.wait_until_equal(seconds(30));
  expect_equal_exports(cluster, keys);
  EXPECT_GT(pulls(cluster.process(2), "digest pulls"), 0U);
}

void expect_gone(const Cluster& cluster, const std::string& key) {
  for (std::size_t node = 0; node < cluster.size(); ++node) {
    const Finished got = cluster.grapevine(node, {"get", key, "--consistency", "one"});
    EXPECT_EQ(got.exit_code, 1) << "node " << node + 1 << ": " << got.out << got.err;
  }
  EXPECT_EQ(cluster.exported(0).find(key), std::string::npos);
}

class DeletedKeyTest : public ::testing::Test {
 protected:
  DeletedKeyTest() : cluster_(3) {}
  void SetUp() override {
    cluster_.start_all();
    import(cluster_, 0, lines_of(0, 100, "value"));
    cluster_.wait_until_equal(seconds(30));
  }
  void remove_at(std::size_t node) {
    const Finished removed = cluster_.grapevine(node, {"del", key_of(7)});
    ASSERT_EQ(removed.exit_code, 0) << removed.err;
  }

  Cluster cluster_;
};

TEST_F(DeletedKeyTest, StaysGoneWhenANodeWasDownMeanwhile) {
  cluster_.kill_hard(2);
  remove_at(0);
  cluster_.start(2);
  cluster_.wait_until_equal(seconds(30));
  expect_gone(cluster_, key_of(7));
}

TEST_F(DeletedKeyTest, StaysGoneWhenAllWereRestartedBeforeTheNodeReturned) {
  cluster_.kill_hard(2);
  remove_at(0);
  cluster_.kill_hard(0);
  cluster_.kill_hard(1);
  cluster_.start_all();
  cluster_.wait_until_equal(seconds(30));
  expect_gone(cluster_, key_of(7));
}

// The sides of a cut are awake in turn, so nothing that one says reaches the other.
TEST_F(DeletedKeyTest, StaysGoneWhenTheOtherSideOfACutOnlyRead) {
  cluster_.pause(0);
  cluster_.pause(1);
  cluster_.wait_until_seen_down(2, 0);
  cluster_.wait_until_seen_down(2, 1);
  const Finished read = cluster_.grapevine(2, {"get", key_of(7), "--consistency", "one"});
  EXPECT_EQ(read.exit_code, 0) << read.err;

  cluster_.pause(2);
  cluster_.resume(0);
  cluster_.resume(1);
  remove_at(0);
  cluster_.resume(2);
  cluster_.wait_until_equal(seconds(30));
  expect_gone(cluster_, key_of(7));
}

TEST(ClusterTest, WritesOnBothSidesOfACutAreSiblingsUntilTheyAreResolved) {
  Cluster cluster(3);
  cluster.start_all();
  for (std::size_t away : {0U, 1U}) cluster.pause(away);
  cluster.wait_until_seen_down(2, 0);
  cluster.wait_until_seen_down(2, 1);
  ASSERT_EQ(cluster.grapevine(2, {"put", "k", "minority", "--consistency", "one"}).exit_code, 0);
  cluster.pause(2);
  for (std::size_t away : {0U, 1U}) cluster.resume(away);
  ASSERT_EQ(cluster.grapevine(0, {"put", "k", "majority"}).exit_code, 0);
  cluster.resume(2);
  cluster.wait_until_equal(seconds(30));

  for (std::size_t node = 0; node < 3; ++node) {
    const Finished got = cluster.grapevine(node, {"get", "k", "--json", "--consistency", "one"});
    ASSERT_EQ(got.exit_code, 0) << got.err;
    const auto found = nlohmann::json::parse(got.out);
    std::set<std::string> values;
    for (const auto& sibling : found.at("siblings")) values.insert(sibling.at("value"));
    EXPECT_EQ(values, (std::set<std::string>{"majority", "minority"}));
    if (node < 2) continue;
    const std::string context = found.at("context");
    ASSERT_EQ(cluster.grapevine(node, {"put", "k", "both", "--context", context}).exit_code, 0);
  }
  cluster.wait_until_equal(seconds(30));
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(cluster.grapevine(node, {"get", "k", "--consistency", "one"}).out, "both\n");
  }
}

// Writes keys one after another, many at a time, and knows which were acknowledged.
class Writer {
 public:
  explicit Writer(Client& client) : client_(client) {}
  ~Writer() {
    wait_for([this] { return outstanding_ == 0; });
  }

  // Keeps kOutstanding writes under way until `acknowledged` more of them have succeeded.
  void write_until(std::size_t acknowledged) {
    std::size_t target = 0;
    {
      const std::lock_guard lock(mutex_);
      target = acknowledged_.size() + acknowledged;
    }
    for (;;) {
      std::string key;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return outstanding_ < kOutstanding; });
        if (acknowledged_.size() >= target) return;
        ++outstanding_;
        key = key_of(next_++);
      }
      client_.put(key, "value of " + key, {}, [this, key](const absl::StatusOr<Written>& written) {
        const std::lock_guard lock(mutex_);
        --outstanding_;
        if (written.ok()) acknowledged_.push_back(key);
        changed_.notify_all();
      });
    }
  }
  std::vector<std::string> acknowledged() {
    wait_for([this] { return outstanding_ == 0; });
    return acknowledged_;
  }

 private:
  static constexpr std::size_t kOutstanding = 64;

  template <typename Condition>
  void wait_for(Condition condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, condition);
  }

  Client& client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t next_ = 0;
  std::size_t outstanding_ = 0;
  std::vector<std::string> acknowledged_;
};

TEST(ClusterTest, KillingNodesAtAnyMomentOfAnImportLosesNoAcknowledgedWrite) {
  Cluster cluster(3);
  cluster.start_all();
  const auto client = cluster.client(seconds(20));
  Random random(20261125);
  std::vector<std::string> acknowledged;
  {
    Writer writer(*client);
    for (int kill = 0; kill < 20; ++kill) {
      writer.write_until(1 + random.below(400));
      const std::size_t victim = random.below(3);
      cluster.kill_hard(victim);
      writer.write_until(1 + random.below(100));
      cluster.start(victim);
    }
    acknowledged = writer.acknowledged();
  }
  cluster.wait_until_equal(seconds(30));
  ASSERT_GT(acknowledged.size(), 1000U);
  for (std::size_t node = 0; node < 3; ++node) {
    const auto own = cluster.client_of(node);
    std::vector<Operation> reads;
    for (const std::string& key : acknowledged) reads.push_back(Get{key, Consistency::kOne});
    const auto results = own->execute(std::move(reads));
    for (std::size_t i = 0; i < results.size(); ++i) {
      ASSERT_TRUE(results[i].ok()) << results[i].status();
      const auto& found = std::get<Found>(*results[i]);
      ASSERT_TRUE(found.found()) << acknowledged[i] << " is lost at node " << node + 1;
      EXPECT_EQ(found.siblings.front().value, "value of " + acknowledged[i]);
    }
  }
}

TEST(ClusterTest, ANodeMayJoinThroughAnyLiveSeedAndRemembersItsPeers) {
  Cluster cluster(3);
  cluster.start(0);
  cluster.start(1);  // its other seed does not run yet
  import(cluster, 0, lines_of(0, 500, "value"));
  cluster.start(2);
  cluster.wait_until_equal(seconds(30));
  expect_equal_exports(cluster, 500);
  const Finished members = cluster.grapevine(2, {"members"});
  EXPECT_EQ(members.exit_code, 0) << members.err;
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_NE(members.out.find(fmt::format("node{}", node + 1)), std::string::npos) << members.out;
  }
}

}  // namespace
}  // namespace grapevine::cluster_test
