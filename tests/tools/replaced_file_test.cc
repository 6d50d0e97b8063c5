// Goal: a file is whole or not there; a failure leaves neither half a file nor an old one damaged.
// Method: a directory of its own, looked at after every outcome.
#include "tools/replaced_file.h"

#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tools/scratch.h"

namespace grapevine::tools {
namespace {

TEST(ReplacedFile, AppearsWithItsNameWhenItIsCommitted) {
  const Scratch scratch;
  auto file = ReplacedFile::create(scratch.file("out"));
  ASSERT_TRUE(file.ok()) << file.status();
  file->write("hello ");
  file->write("world");
  EXPECT_FALSE(std::filesystem::exists(scratch.file("out")));
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(scratch.content_of("out"), "hello world");
  EXPECT_EQ(scratch.files(), 1u);
}

TEST(ReplacedFile, ThatIsNotCommittedLeavesTheOldOneAsItWas) {
  const Scratch scratch;
  scratch.file_with("out", "old");
  {
    auto file = ReplacedFile::create(scratch.file("out"));
    ASSERT_TRUE(file.ok()) << file.status();
    file->write("new");
  }
  EXPECT_EQ(scratch.content_of("out"), "old");
  EXPECT_EQ(scratch.files(), 1u);
}

TEST(ReplacedFile, OnAFullDiskSaysSoAndLeavesNothing) {
  const Scratch scratch;
  std::filesystem::create_symlink("/dev/full", scratch.file("out.partial"));
  auto file = ReplacedFile::create(scratch.file("out"));
  ASSERT_TRUE(file.ok()) << file.status();
  file->write("does not fit");
  const absl::Status status = file->commit();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(text_of(status)), testing::HasSubstr("No space left"));
  EXPECT_EQ(scratch.files(), 0u);
}

TEST(ReplacedFile, ThatCannotBeCreatedSaysWhereAndWhy) {
  const auto file = ReplacedFile::create("/nowhere/out");
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(std::string(text_of(file.status())),
              testing::HasSubstr("/nowhere/out.partial cannot be created: No such"));
}

TEST(ReplacedFile, ThatIsADirectoryAlreadyIsNotReplaced) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.file("out"));
  auto file = ReplacedFile::create(scratch.file("out"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(file->commit().ok());
  EXPECT_TRUE(std::filesystem::is_directory(scratch.file("out")));
  EXPECT_EQ(scratch.files(), 1u);
}

}  // namespace
}  // namespace grapevine::tools
