// Goal: large values, which stand apart from their entries, behave as small ones. Method: the same
// operations on values around the limit; the bytes on disk say when one is gone.
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

class ApartValuesTest : public ::testing::Test {
 protected:
  ApartValuesTest() { EXPECT_TRUE(ok(scene_.open())); }

  static std::string large(char letter) { return std::string(10 * model::kApartBytes, letter); }
  void reopen() {
    scene_.crash();
    ASSERT_TRUE(ok(scene_.open()));
  }
  // Values that lie apart.
  std::size_t apart() {
    std::size_t count = 0;
    const bool was_open = scene_.is_open();
    if (was_open) scene_.crash();
    rocksdb::DBOptions options = database_options(scene_.options);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* const name : {"default", "data", "values", "expiry", "meta"}) {
      families.emplace_back(name, options_of_family(name, scene_.options, nullptr));
    }
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    EXPECT_TRUE(rocksdb::DB::OpenForReadOnly(options, "/store", families, &handles, &db).ok());
    {
      const std::unique_ptr<rocksdb::Iterator> at(db->NewIterator({}, handles[2]));
      for (at->SeekToFirst(); at->Valid(); at->Next()) ++count;
    }
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
    delete db;
    if (was_open) {
      EXPECT_TRUE(ok(scene_.open()));
    }
    return count;
  }

  Scene scene_;
};

TEST_F(ApartValuesTest, AnyValueComesBackWhateverItsSize) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, model::kApartBytes - 1, model::kApartBytes,
        model::kApartBytes + 1, std::size_t{16} << 20}) {
    const std::string value(size, 'v');
    scene_.put("k", value);
    EXPECT_TRUE(scene_.values("k") == std::vector<std::string>{value}) << size;
    reopen();
    EXPECT_TRUE(scene_.values("k") == std::vector<std::string>{value}) << size;
  }
}

TEST_F(ApartValuesTest, ASupersededOrDeletedValueIsGone) {
  scene_.put("k", large('a'));
  scene_.put("l", large('a'));
  EXPECT_EQ(apart(), 2U);
  scene_.put("k", large('b'));
  EXPECT_EQ(apart(), 2U);
  scene_.put("k", "small");
  EXPECT_EQ(apart(), 1U);
  scene_.remove("l");
  EXPECT_EQ(apart(), 0U);
}

TEST_F(ApartValuesTest, SiblingsKeepTheirValuesWhateverIsWrittenBesideThem) {
  scene_.put("k", large('a'));
  scene_.put("k", large('b'), model::VersionVector{});
  scene_.put("k", "small", model::VersionVector{});
  const model::Version from_peer = version_of({actor(9), 1}, large('c'));
  ASSERT_TRUE(ok(scene_.receive({"k", filled_entry({from_peer}), {}})));
  EXPECT_TRUE((scene_.values("k") ==
               std::vector<std::string>{large('a'), large('b'), large('c'), "small"}));
  EXPECT_EQ(apart(), 3U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST_F(ApartValuesTest, AHeadOfAPeerNeedsItsValueHere) {
  model::Version head = version_of({actor(9), 1}, large('c'));
  model::drop_value(head);
  EXPECT_TRUE(absl::IsInvalidArgument(scene_.receive({"k", filled_entry({head}), {}})));
}

TEST_F(ApartValuesTest, WhatIsReplicatedCarriesItsValues) {
  scene_.put("k", large('a'));
  const Committed committed = scene_.commit(write_of("k", "small", model::VersionVector{}));
  ASSERT_EQ(committed.to_replicate.size(), 1U);
  for (const model::Version& version : committed.to_replicate.front().entry.versions) {
    EXPECT_TRUE(version.has_value);
  }
}

TEST_F(ApartValuesTest, ReadersOfVersionsDoNotReadThem) {
  scene_.put("k", large('a'));
  reopen();
  scene_.crash();
  std::vector<std::string> names;
  rocksdb::Env& env = *scene_.options.environment->env;
  ASSERT_TRUE(env.GetChildren("/store", &names).ok());
  std::string blob;
  for (const std::string& name : names) {
    if (name.ends_with(".blob")) blob = "/store/" + name;
  }
  ASSERT_NE(blob, "");
  std::string bytes;
  ASSERT_TRUE(rocksdb::ReadFileToString(&env, blob, &bytes).ok());
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(env.DeleteFile(blob).ok());
  ASSERT_TRUE(rocksdb::WriteStringToFile(&env, bytes, blob).ok());
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(ok(scene_.store().load("k", model::Values::kWithout)));
  EXPECT_TRUE(absl::IsDataLoss(scene_.store().load("k", model::Values::kWith).status()));
}

}  // namespace
}  // namespace grapevine::storage
