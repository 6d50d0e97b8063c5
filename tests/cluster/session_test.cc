// Goal: what a session has done at one node no other one un-does for it, at consistency one.
// Method: three real nodes, awake in turn, so that one of them certainly lags; `grapevine --session`.
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/cluster.h"

namespace grapevine::cluster_test {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() : cluster_(3), file_(cluster_.file("session")) {}

  Finished run(std::size_t node, std::vector<std::string> arguments, bool in_session) const {
    arguments.insert(arguments.end(), {"--consistency", "one", "--timeout", "10s"});
    if (in_session) arguments.insert(arguments.end(), {"--session", file_});
    return cluster_.grapevine(node, std::move(arguments));
  }

  Cluster cluster_;
  const std::string file_;
};

TEST_F(SessionTest, SeesItsWritesAndDeletesAtANodeThatMissedThem) {
  cluster_.start_all();
  ASSERT_EQ(run(0, {"put", "k", "old"}, false).exit_code, 0);
  ASSERT_EQ(run(0, {"put", "gone", "old"}, false).exit_code, 0);
  cluster_.wait_until_equal(seconds(30));
  cluster_.pause(2);
  cluster_.wait_until_seen_down(0, 2);
  cluster_.wait_until_seen_down(1, 2);
  ASSERT_EQ(run(0, {"put", "k", "new"}, true).exit_code, 0);
  ASSERT_EQ(run(0, {"del", "gone"}, true).exit_code, 0);

  cluster_.pause(0);
  cluster_.pause(1);
  cluster_.resume(2);
  EXPECT_EQ(run(2, {"get", "k"}, false).out, "old\n") << "it lags";
  EXPECT_EQ(run(2, {"get", "gone"}, false).out, "old\n");
  const Finished gone = run(2, {"get", "gone"}, true);
  EXPECT_EQ(gone.exit_code, 1) << "that needs nobody else: " << gone.err;
  const Finished refused = cluster_.grapevine(
      2, {"get", "k", "--consistency", "one", "--timeout", "1s", "--session", file_});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_EQ(refused.out, "");

  cluster_.resume(0);
  cluster_.resume(1);
  for (std::size_t node = 3; node-- > 0;) {
    const Finished found = run(node, {"get", "k"}, true);
    EXPECT_EQ(found.out, "new\n") << "node " << node + 1 << ": " << found.err;
  }
  ASSERT_EQ(run(2, {"put", "k", "newest"}, true).exit_code, 0);
  cluster_.wait_until_equal(seconds(30));
  EXPECT_EQ(run(1, {"get", "k"}, false).out, "newest\n") << "one value, and no sibling";
}

TEST_F(SessionTest, AFileThatHoldsSomethingElseIsNamedAndLeftAlone) {
  cluster_.start(0);
  std::ofstream(file_) << "notes of mine";
  const Finished refused = run(0, {"put", "k", "v"}, true);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr(file_));
  std::ifstream in(file_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "notes of mine");
  const Finished directory = cluster_.grapevine(0, {"get", "k", "--session", cluster_.file("")});
  EXPECT_EQ(directory.exit_code, 2);
  EXPECT_THAT(directory.err, HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace grapevine::cluster_test
