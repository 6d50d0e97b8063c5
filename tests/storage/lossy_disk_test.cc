#include "tests/storage/lossy_disk.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

class LossyDiskTest : public testing::Test {
 protected:
  rocksdb::Env* env() { return disk_.environment()->env; }
  // Appends to a new file, and syncs the first `synced` bytes of it.
  void write(const std::string& name, const std::string& bytes, std::size_t synced) {
    std::unique_ptr<rocksdb::WritableFile> file;
    ASSERT_TRUE(env()->NewWritableFile("/d/" + name, &file, {}).ok());
    ASSERT_TRUE(file->Append(bytes.substr(0, synced)).ok());
    ASSERT_TRUE(file->Sync().ok());
    ASSERT_TRUE(file->Append(bytes.substr(synced)).ok());
  }
  void sync_directory() {
    std::unique_ptr<rocksdb::Directory> directory;
    ASSERT_TRUE(env()->NewDirectory("/d", &directory).ok());
    ASSERT_TRUE(directory->Fsync().ok());
  }

  LossyDisk disk_;
  Random random_{1};
};

TEST_F(LossyDiskTest, APowerLossKeepsWhatWasSyncedAndSomeOfTheRest) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    disk_.remove("/d");
    write("f", "0123456789", 4);
    sync_directory();
    disk_.lose_power("/d", random_);
    seen.insert(disk_.copy("/d").at("f"));
  }
  EXPECT_EQ(seen.size(), 7U);
  for (const std::string& kept : seen) {
    EXPECT_GE(kept.size(), 4U);
    EXPECT_EQ(kept, std::string("0123456789").substr(0, kept.size()));
  }
}

TEST_F(LossyDiskTest, APowerLossKeepsTheFirstFewOfTheUnsyncedChangesOfADirectory) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    disk_.remove("/d");
    write("CURRENT", "old", 3);
    sync_directory();
    write("new", "new", 3);
    ASSERT_TRUE(env()->RenameFile("/d/new", "/d/CURRENT").ok());
    write("last", "", 0);
    disk_.lose_power("/d", random_);
    const LossyDisk::Image image = disk_.copy("/d");
    std::string state = image.at("CURRENT");
    if (image.contains("new")) state += " new";
    if (image.contains("last")) state += " last";
    seen.insert(state);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old", "old new", "new", "new last"}));
}

TEST_F(LossyDiskTest, NothingChangesInAFrozenDirectory) {
  write("f", "before", 0);
  std::unique_ptr<rocksdb::WritableFile> open;
  ASSERT_TRUE(env()->NewWritableFile("/d/open", &open, {}).ok());
  disk_.freeze("/d");
  EXPECT_TRUE(open->Append("more").ok());
  EXPECT_TRUE(env()->DeleteFile("/d/f").ok());
  write("g", "after", 0);
  disk_.thaw("/d");
  EXPECT_EQ(disk_.copy("/d"), (LossyDisk::Image{{"f", "before"}, {"open", ""}}));
}

TEST_F(LossyDiskTest, SaysWhetherALogIsStillThereUpToAnEnd) {
  write("000007.log", "0123456789", 10);
  const LossyDisk::LogEnd end = disk_.log_end("/d");
  EXPECT_TRUE(disk_.holds("/d", end));
  EXPECT_FALSE(LossyDisk::holds({{"000007.log", "012345678"}}, end));
  EXPECT_TRUE(LossyDisk::holds({{"000009.log", ""}}, end)) << "written out since";
  EXPECT_FALSE(LossyDisk::holds({{"000005.log", "0123"}}, end)) << "its creation was lost";
}

TEST_F(LossyDiskTest, BadReadsAreThoseOfTablesInOneDirectory) {
  write("1.sst", "abc", 3);
  write("2.log", "abc", 3);
  disk_.fail_reads("/d", 1, LossyDisk::BadRead::kError);
  const auto read = [&](const std::string& name) {
    std::unique_ptr<rocksdb::RandomAccessFile> file;
    EXPECT_TRUE(env()->NewRandomAccessFile("/d/" + name, &file, {}).ok());
    char scratch[3];
    rocksdb::Slice bytes;
    const rocksdb::Status status = file->Read(0, 3, &bytes, scratch);
    return status.ok() ? bytes.ToString() : "error";
  };
  EXPECT_EQ(read("1.sst"), "abc");
  EXPECT_EQ(read("1.sst"), "error");
  EXPECT_EQ(read("2.log"), "abc");
  disk_.fail_reads("/d", 0, LossyDisk::BadRead::kFlippedBit);
  EXPECT_NE(read("1.sst"), "abc");
  disk_.heal_reads();
  EXPECT_EQ(read("1.sst"), "abc");
}

TEST_F(LossyDiskTest, AfterSoManyChangesNothingChangesAnyMore) {
  disk_.remove("/d");
  disk_.stop_after("/d", 4);
  write("f", "0123456789", 4);  // makes, appends, syncs, appends
  EXPECT_TRUE(disk_.stopped());
  write("g", "late", 4);
  ASSERT_TRUE(env()->RenameFile("/d/f", "/d/h").ok());
  EXPECT_EQ(disk_.copy("/d"), (LossyDisk::Image{{"f", "0123456789"}}));
  disk_.go_on();
  EXPECT_FALSE(disk_.stopped());
  write("g", "now", 3);
  EXPECT_EQ(disk_.copy("/d").count("g"), 1U);
}

TEST_F(LossyDiskTest, AFolderIsAChildAndGoesOnlyWhenItIsEmpty) {
  disk_.remove("/d");
  ASSERT_TRUE(env()->CreateDir("/d").ok());
  ASSERT_TRUE(env()->CreateDir("/d/below/").ok());
  write("below/f", "bytes", 5);
  std::vector<std::string> children;
  ASSERT_TRUE(env()->GetChildren("/d/", &children).ok());
  EXPECT_EQ(children, std::vector<std::string>{"below"});
  EXPECT_FALSE(env()->DeleteDir("/d/below").ok());
  ASSERT_TRUE(env()->RenameFile("/d/below/f", "/d/f").ok());
  EXPECT_TRUE(env()->DeleteDir("/d/below").ok());
  EXPECT_TRUE(env()->FileExists("/d/below").IsNotFound());
  EXPECT_EQ(disk_.copy("/d").at("f"), "bytes");
}

}  // namespace
}  // namespace grapevine::storage
