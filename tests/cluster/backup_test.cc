// Goal: a node backed up while it serves comes back from a lost disk, without a lost or a returned
// key; damage is told by --verify; a node can be told to stop while it opens. Method: grapevined and
// grapevine as users have them.
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string lines_of(int first, int last, std::string_view value) {
  std::string lines;
  for (int i = first; i < last; ++i) {
    lines += nlohmann::json{{"key", fmt::format("key-{}", i)}, {"value", value}}.dump() + "\n";
  }
  return lines;
}

void import(const Cluster& cluster, std::size_t node, const std::string& lines) {
  const Finished finished = cluster.grapevine(node, {"import", "-"}, lines);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
}

nlohmann::json json_of(const Finished& finished) {
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return nlohmann::json::parse(finished.out);
}

Finished verify(const std::string& directory) {
  return run({GRAPEVINED, "--verify", "--data-dir", directory});
}

TEST(BackupTest, OfANodeAloneBringsItBackAsItWas) {
  Cluster cluster(1);
  cluster.start(0);
  import(cluster, 0, lines_of(0, 2000, "first"));
  const std::string directory = cluster.file("backups");
  const auto first = json_of(cluster.grapevine(0, {"backup", directory, "--json"}));
  EXPECT_EQ(first[0]["backup"], 1);
  import(cluster, 0, lines_of(0, 20, "second"));
  const std::string contents = cluster.exported(0);
  const auto second = json_of(cluster.grapevine(0, {"backup", directory, "--json"}));
  EXPECT_EQ(second[0]["backup"], 2);
  EXPECT_LT(second[0]["bytes_new"], first[0]["bytes_new"]);
  EXPECT_EQ(json_of(cluster.grapevine(0, {"backup", directory, "--list", "--json"})).size(), 2U);
  import(cluster, 0, lines_of(0, 20, "after the backup"));

  const std::string folder = first[0]["directory"];
  const std::string data = cluster.directory(0);
  const Finished in_use = run({GRAPEVINE, "restore", folder, "--data-dir", data});
  EXPECT_EQ(in_use.exit_code, 4) << in_use.err;
  cluster.kill_hard(0);
  fs::remove_all(data);
  const Finished missing = run({GRAPEVINE, "restore", folder, "--data-dir", data, "--backup", "9"});
  EXPECT_EQ(missing.exit_code, 1) << missing.err;
  const Finished restored = run({GRAPEVINE, "restore", folder, "--data-dir", data});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("restored backup 2"));
  EXPECT_THAT(restored.out, HasSubstr("no damage"));
  cluster.start(0);
  EXPECT_TRUE(cluster.exported(0) == contents);
  import(cluster, 0, lines_of(0, 1, "third"));

  ASSERT_EQ(run({GRAPEVINE, "restore", folder, "--data-dir", cluster.file("clone"), "--backup", "1",
                 "--new-node"})
                .exit_code,
            0);
  EXPECT_EQ(verify(cluster.file("clone")).exit_code, 0);
}

TEST(BackupTest, OfOneOfThreeReplacesItsLostDiskAndTheOthersBringTheRest) {
  Cluster cluster(3);
  cluster.start_all();
  import(cluster, 0, lines_of(0, 500, "first"));
  cluster.wait_until_equal(std::chrono::seconds(30));
  const auto made =
      json_of(cluster.grapevine(1, {"backup", cluster.file("backups"), "--all", "--json"}));
  ASSERT_EQ(made.size(), 3U);
  import(cluster, 2, lines_of(100, 200, "second"));
  cluster.wait_until_equal(std::chrono::seconds(30));
  cluster.kill_hard(2);
  fs::remove_all(cluster.directory(2));
  const Finished restored = run({GRAPEVINE, "restore", std::string(made[2]["directory"]),
                                 "--data-dir", cluster.directory(2)});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  cluster.start(2);
  cluster.wait_until_equal(std::chrono::seconds(30));
  import(cluster, 2, lines_of(150, 250, "third"));
  cluster.wait_until_equal(std::chrono::seconds(30));
  const std::string first = cluster.exported(0);
  EXPECT_TRUE(cluster.exported(2) == first);
  EXPECT_EQ(std::count(first.begin(), first.end(), '\n'), 500);
}

TEST(VerifyTest, TellsDamageByItsExitCodeAndNamesTheFile) {
  Cluster cluster(1);
  cluster.start(0);
  import(cluster, 0, lines_of(0, 3000, "value"));
  EXPECT_EQ(verify(cluster.directory(0)).exit_code, 2) << "in use";
  // A backup writes the tables out.
  json_of(cluster.grapevine(0, {"backup", cluster.file("backups"), "--json"}));
  ASSERT_EQ(cluster.stop(0), 0);
  const Finished whole = verify(cluster.directory(0));
  EXPECT_EQ(whole.exit_code, 0) << whole.out << whole.err;
  EXPECT_THAT(whole.out, HasSubstr("3000 keys"));
  std::string table;
  for (const auto& entry : fs::directory_iterator(cluster.directory(0))) {
    if (entry.path().extension() == ".sst" && fs::file_size(entry.path()) > 50'000) {
      table = entry.path();
    }
  }
  ASSERT_FALSE(table.empty());
  std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(1000);
  file.put('!');
  file.seekp(1001);
  file.put('?');
  file.close();
  const Finished damaged = verify(cluster.directory(0));
  EXPECT_EQ(damaged.exit_code, 1);
  EXPECT_THAT(damaged.out, HasSubstr(fs::path(table).filename().string()));
  EXPECT_EQ(verify(cluster.file("nothing")).exit_code, 2);
}

TEST(OpeningTest, ANodeToldToStopMeanwhileEndsCleanly) {
  Cluster cluster(1);
  cluster.start(0);
  ASSERT_EQ(cluster.stop(0), 0);
  // RocksDB waits at a pipe in place of a file of its own.
  const std::string current = cluster.directory(0) + "/CURRENT";
  fs::rename(current, current + ".held");
  ASSERT_EQ(mkfifo(current.c_str(), 0600), 0);
  Process node({GRAPEVINED, "--data-dir", cluster.directory(0), "--client-listen",
                cluster.endpoint(0), "--peer-listen", cluster.host(0) + ":4741", "--http-listen",
                cluster.host(0) + ":4742"});
  ASSERT_TRUE(node.wait_for_line("opening the data directory: 0 %", std::chrono::seconds(20)))
      << node.log();
  const Finished refused = cluster.grapevine(0, {"status"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("starting"));
  node.signal(SIGTERM);
  ASSERT_TRUE(node.wait_for_line("stopping", std::chrono::seconds(20))) << node.log();
  {
    std::string content;
    std::getline(std::ifstream(current + ".held"), content);
    std::ofstream pipe(current);
    fs::rename(current + ".held", current);
    pipe << content << '\n';
  }
  EXPECT_EQ(node.wait(), 0) << node.log();
  EXPECT_EQ(verify(cluster.directory(0)).exit_code, 0);
}

}  // namespace
}  // namespace grapevine::cluster_test
