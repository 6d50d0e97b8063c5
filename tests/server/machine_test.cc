// Goal: a directory is known again by what it is, not by its name; what cannot be one is refused
// with the remedy. Method: real directories below a temporary one.
#include "server/machine.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grapevine::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class MachineLifeTest : public ::testing::Test {
 protected:
  MachineLifeTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "grapevine-test-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  ~MachineLifeTest() override { std::filesystem::remove_all(root_); }

  std::string operator/(const std::string& name) const { return (root_ / name).string(); }
  storage::Life life(const std::string& name) const {
    const auto found = machine_life(*this / name);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.value_or(storage::Life{});
  }
  void expect_refused(const std::string& name) const {
    const auto found = machine_life(*this / name);
    EXPECT_TRUE(absl::IsFailedPrecondition(found.status())) << found.status();
    EXPECT_THAT(std::string(text_of(found.status())),
                AllOf(HasSubstr(*this / name), HasSubstr("--data-dir")));
  }

  std::filesystem::path root_;
};

TEST_F(MachineLifeTest, MakesTheDirectoryAndThoseAboveIt) {
  life("a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(*this / "a/b/c"));
}

TEST_F(MachineLifeTest, OneDirectoryIsOneLifeWhateverItIsCalled) {
  const storage::Life first = life("data");
  EXPECT_FALSE(first.machine.empty());
  EXPECT_FALSE(first.boot.empty());
  EXPECT_FALSE(first.directory.empty());
  EXPECT_EQ(life("data"), first);
  EXPECT_EQ(life("data/../data/"), first);
  std::filesystem::rename(*this / "data", *this / "moved");
  EXPECT_EQ(life("moved"), first);
}

TEST_F(MachineLifeTest, ACopyIsAnotherDirectoryOfTheSameMachine) {
  const storage::Life first = life("data");
  std::filesystem::copy(*this / "data", *this / "copy");
  const storage::Life copy = life("copy");
  EXPECT_NE(copy.directory, first.directory);
  EXPECT_EQ(copy.machine, first.machine);
  EXPECT_EQ(copy.boot, first.boot);
}

TEST_F(MachineLifeTest, AFileIsNoDirectory) {
  std::ofstream(*this / "file") << "x";
  expect_refused("file");
  expect_refused("file/below");
}

TEST_F(MachineLifeTest, ALinkToNowhereIsRefused) {
  std::filesystem::create_symlink(*this / "nowhere", *this / "link");
  expect_refused("link");
}

TEST(CpuPercent, IsTheShareOfTimeThatWasNotIdle) {
  EXPECT_EQ(cpu_percent("cpu  100 0 100 700 100 0 0", "cpu  150 0 125 775 150 0 0"), 37U);
  EXPECT_EQ(cpu_percent("cpu  1 1 1 1 1", "cpu  2 2 2 1 1"), 100U);
  for (const char* const line : {"", "cpu", "nonsense 1 2", "cpu  1 1 1 1 1"}) {
    EXPECT_EQ(cpu_percent("cpu  1 1 1 1 1", line), 0U) << line;
  }
}

TEST(MachineMeasure, SaysWhatIsFreeAndIsZeroWhereThereIsNothing) {
  Machine machine = real_machine();
  const Machine::Load load = machine.measure("/");
  EXPECT_LE(load.cpu_percent, 100U);
  EXPECT_GT(load.disk_free_mib, 0U);
  EXPECT_EQ(machine.measure("/no/such/directory").disk_free_mib, 0U);
}

}  // namespace
}  // namespace grapevine::server
