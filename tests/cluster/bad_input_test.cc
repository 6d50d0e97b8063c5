// Goal: bad input gets one clear line that names the thing and the remedy, a non-zero exit or a refused
// call, and leaves everything as it was.
// Method: real grapevined and grapevine processes, given what they must refuse.
#include <arpa/inet.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "storage/base/random.h"
#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::HasSubstr;

// A directory as one node left it, with some keys in it.
class BadInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.start(0);
    put_some_keys();
  }
  void put_some_keys() {
    std::string lines;
    for (int i = 0; i < 200; ++i) {
      lines += fmt::format("{{\"key\":\"key-{}\",\"value\":\"value {}\"}}\n", i, i);
    }
    ASSERT_EQ(cluster_.grapevine(0, {"import", "-"}, lines).exit_code, 0);
  }
  // Runs grapevined, on ports of its own unless told otherwise; what it says when it refuses is one line, and its exit code.
  Finished refused(std::vector<std::string> flags, std::string client_endpoint = {}) {
    const std::string of_node = cluster_.host(0);
    const std::string host = of_node.substr(0, of_node.rfind('.')) + ".8";
    if (client_endpoint.empty()) client_endpoint = host + ":4740";
    std::vector<std::string> command{GRAPEVINED,      "--client-listen", client_endpoint,
                                     "--peer-listen", host + ":4741",    "--http-listen",
                                     host + ":4742"};
    command.insert(command.end(), flags.begin(), flags.end());
    Finished finished = run(command, {}, seconds(20));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_TRUE(finished.err.starts_with("grapevined: ")) << finished.err;
    return finished;
  }
  void expect_all_keys() {
    EXPECT_EQ(cluster_.grapevine(0, {"get", "key-0"}).out, "value 0\n");
    const std::string exported = cluster_.exported(0);
    EXPECT_EQ(std::count(exported.begin(), exported.end(), '\n'), 200);
  }

  Cluster cluster_{1};
};

TEST_F(BadInputTest, AnUnknownFlagIsAMistakeOfUsage) {
  const Finished finished = refused({"--bogus"});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_THAT(finished.err, HasSubstr("--bogus"));
}

TEST_F(BadInputTest, APortInUseIsNamedWithItsFlagAndTheDirectoryIsNotTouched) {
  const std::string directory = cluster_.file("untouched");
  const Finished finished = refused({"--data-dir", directory}, cluster_.endpoint(0));
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr(cluster_.endpoint(0)));
  EXPECT_THAT(finished.err, HasSubstr("--client-listen"));
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(BadInputTest, ALockedDirectoryIsRefusedAndItsOwnerServesOn) {
  const Finished finished = refused({"--data-dir", cluster_.directory(0)});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr("another process has it open"));
  expect_all_keys();
}

TEST_F(BadInputTest, ADirectoryOfAnotherClusterIsRefusedAndLeftAsItWas) {
  cluster_.stop(0);
  const Finished finished =
      refused({"--data-dir", cluster_.directory(0), "--cluster-name", "orchard"});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr("belongs to cluster \"grapevine\", not \"orchard\""));
  cluster_.start(0);
  expect_all_keys();
}

TEST_F(BadInputTest, ANewerFormatIsRefused) {
  cluster_.stop(0);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string name : {"default", "meta", "data", "values", "expiry"})
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, cluster_.directory(0), families, &handles, &db).ok());
  std::string identity;
  ASSERT_TRUE(db->Get({}, handles[1], "identity", &identity).ok());
  ASSERT_EQ(identity[0], 1);
  identity[0] = 2;
  ASSERT_TRUE(db->Put({}, handles[1], "identity", identity).ok());
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  delete db;

  const Finished finished = refused({"--data-dir", cluster_.directory(0)});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr("has format 2, this program knows formats up to 1"));
}

TEST_F(BadInputTest, ADamagedFileIsRefusedWithTheFileAndTheRemedy) {
  cluster_.stop(0);
  cluster_.start(0);  // writes what was in the log into a table
  cluster_.stop(0);
  std::vector<fs::path> tables;
  for (const auto& entry : fs::directory_iterator(cluster_.directory(0))) {
    if (entry.path().extension() == ".sst") tables.push_back(entry.path());
  }
  ASSERT_FALSE(tables.empty());
  for (const fs::path& table : tables) {
    std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file.write("garbage", 7);
  }
  const Finished finished = refused({"--data-dir", cluster_.directory(0)});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr(".sst"));
  EXPECT_THAT(finished.err, HasSubstr("start with an empty one"));
}

// Sends bytes to a port and waits until the other side has closed.
void send_garbage(const std::string& host, std::uint16_t port, const std::string& bytes) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  ASSERT_EQ(connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  std::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(::send(socket, bytes.data(), bytes.size(), 0));
  ::shutdown(socket, SHUT_WR);
  char answer[4096];
  while (::recv(socket, answer, sizeof answer, 0) > 0) {
  }
  close(socket);
}

TEST_F(BadInputTest, GarbageOnAnyPortEndsThatConnectionAlone) {
  Random random(11);
  for (int round = 0; round < 30; ++round) {
    std::string bytes(1 + random.below(5000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    for (const std::uint16_t port : std::initializer_list<std::uint16_t>{4740, 4741, 4742})
      send_garbage(cluster_.host(0), port, bytes);
  }
  expect_all_keys();
  EXPECT_TRUE(cluster_.process(0).wait_for_line("no Cap'n Proto message", seconds(5)))
      << cluster_.process(0).log();
  EXPECT_EQ(cluster_.stop(0), 0);
}

TEST_F(BadInputTest, KeysAndValuesOverTheLimitAreRefused) {
  const Finished key = cluster_.grapevine(0, {"put", std::string(32 * 1024 + 1, 'k'), "v"});
  EXPECT_EQ(key.exit_code, 4);
  EXPECT_THAT(key.err, HasSubstr("32769 bytes"));
  const Finished value =
      cluster_.grapevine(0, {"put", "k", "-"}, std::string(16 * 1024 * 1024 + 1, 'v'));
  EXPECT_EQ(value.exit_code, 4);
  EXPECT_EQ(cluster_.grapevine(0, {"get", "k"}).exit_code, 1);
  const std::string largest(16 * 1024 * 1024, 'v');
  EXPECT_EQ(cluster_.grapevine(0, {"put", std::string(32 * 1024, 'k'), "-"}, largest).exit_code, 0);
  EXPECT_TRUE(cluster_.grapevine(0, {"get", std::string(32 * 1024, 'k'), "--raw"}).out == largest);
}

// A small file system of its own, mounted at a directory that exists.
class SmallDisk {
 public:
  SmallDisk(std::string at, const char* size)
      : at_(std::move(at)), mounted_(mount("tmpfs", at_.c_str(), "tmpfs", 0, size) == 0) {}
  ~SmallDisk() {
    if (mounted_) umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  const std::string at_;
  const bool mounted_;
};

bool has(Client& client, const std::string& key) {
  const auto found = client.get(key);
  return found.ok() && found->found();
}

TEST(FullDiskTest, WritesAreRefusedUntilThereIsSpaceAndNothingIsLost) {
  Cluster cluster(1);
  fs::create_directory(cluster.directory(0));
  const SmallDisk disk(cluster.directory(0), "size=100m");
  if (!disk.mounted()) GTEST_SKIP() << "needs to mount a small file system: run as root";
  // When it goes there is space to write what the log holds into a table.
  const std::string ballast = cluster.directory(0) + "/ballast";
  std::ofstream(ballast, std::ios::binary) << std::string(60 << 20, 'b');

  cluster.start(0);
  const auto client = cluster.client_of(0);
  std::vector<std::string> acknowledged;
  absl::Status refused;
  Random random(3);
  for (int i = 0; i < 100 && refused.ok(); ++i) {
    std::string value(1 << 20, '\0');
    for (char& byte : value) byte = static_cast<char>(random.next());
    const std::string key = fmt::format("key-{}", i);
    refused = client->put(key, value).status();
    if (refused.ok()) acknowledged.push_back(key);
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("disk full"));
  EXPECT_GT(acknowledged.size(), 5U);
  for (const std::string& key : acknowledged) EXPECT_TRUE(has(*client, key)) << key;

  fs::remove(ballast);
  const auto after = client->put("after", "v");
  EXPECT_TRUE(after.ok()) << after.status();
  cluster.kill_hard(0);
  cluster.start(0);
  const auto again = cluster.client_of(0);
  for (const std::string& key : acknowledged) EXPECT_TRUE(has(*again, key)) << key;
  EXPECT_TRUE(has(*again, "after"));
  EXPECT_EQ(cluster.stop(0), 0);
}

}  // namespace
}  // namespace grapevine::cluster_test
