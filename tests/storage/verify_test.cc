// Goal: the offline check finds whatever is planted, says where, and changes nothing. Method:
// directories on disk, damaged in one place each.
#include "storage/verify.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/clock_journal.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    scene_.options.directory = scratch_.path();
    scene_.options.environment = nullptr;
    scene_.options.partitions = 4;
    EXPECT_TRUE(ok(scene_.open()));
    for (int i = 0; i < 200; ++i) scene_.put(fmt::format("key {}", i), "value");
  }

  std::vector<std::string> findings() {
    std::vector<std::string> findings;
    VerifyOptions options;
    options.directory = scratch_.path();
    options.on_finding = [&](const std::string& finding) { findings.push_back(finding); };
    auto report = verify_directory(options);
    EXPECT_TRUE(ok(report));
    if (report.ok()) report_ = *std::move(report);
    EXPECT_EQ(report_.findings, findings.size());
    return findings;
  }
  // Stops the store and changes what it holds.
  void plant(const std::function<void(Engine&, rocksdb::WriteBatch&)>& change) {
    ASSERT_TRUE(ok(scene_.close()));
    auto engine = Engine::open(scene_.options);
    ASSERT_TRUE(ok(engine));
    rocksdb::WriteBatch writes;
    change(**engine, writes);
    ASSERT_TRUE(ok((*engine)->write(writes, Stall::kWait)));
  }
  std::map<std::string, fs::file_time_type> files() {
    std::map<std::string, fs::file_time_type> files;
    for (const auto& entry : fs::directory_iterator(scratch_.path())) {
      files[entry.path()] = entry.last_write_time();
    }
    return files;
  }

  ScratchDirectory scratch_;
  Scene scene_;
  VerifyReport report_;
};

TEST_F(VerifyTest, FindsNothingAfterACleanStopAndCountsWhatIsThere) {
  ASSERT_TRUE(ok(scene_.close()));
  const auto before = files();
  EXPECT_THAT(findings(), IsEmpty());
  EXPECT_EQ(files(), before) << "nothing was changed";
  EXPECT_EQ(report_.keys, 200U);
  EXPECT_EQ(report_.versions, 200U);
  EXPECT_EQ(report_.value_bytes, 1000U);
  EXPECT_EQ(report_.journal_records, 200U);
  EXPECT_EQ(report_.tree_checkpoints, 4U);
  EXPECT_EQ(report_.cluster_name, "grapevine");
}

TEST_F(VerifyTest, FindsNothingAfterACrash) {
  scene_.crash();
  EXPECT_THAT(findings(), IsEmpty());
  EXPECT_EQ(report_.keys, 200U);
}

TEST_F(VerifyTest, OfADirectoryInUseOrWithoutADatabaseIsRefused) {
  VerifyOptions options;
  options.on_finding = [](const std::string&) {};
  options.directory = scratch_.path();
  EXPECT_TRUE(absl::IsFailedPrecondition(verify_directory(options).status()));
  options.directory = scratch_ / "nothing";
  EXPECT_TRUE(absl::IsFailedPrecondition(verify_directory(options).status()));
  EXPECT_FALSE(fs::exists(options.directory));
}

TEST_F(VerifyTest, FindsABlockOfATableThatDoesNotMatch) {
  {
    BackupOptions flushes;  // a backup writes the memtables out
    flushes.directory = scratch_ / "backups";
    HandExecutor executor;
    scene_.store().back_up(flushes, executor,
                           [](const absl::StatusOr<BackupReport>& made) { EXPECT_TRUE(ok(made)); });
    executor.run_all();
  }
  ASSERT_TRUE(ok(scene_.close()));
  std::string table;
  for (const auto& [name, time] : files()) {
    if (name.ends_with(".sst")) table = name;
  }
  ASSERT_FALSE(table.empty());
  std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(20);
  file.put('!');
  file.close();
  EXPECT_THAT(findings(), Contains(HasSubstr(fs::path(table).filename().string())));
}

TEST_F(VerifyTest, FindsAnEntryThatCannotBeDecodedAndGoesOn) {
  plant([](Engine& engine, rocksdb::WriteBatch& writes) {
    model::Entry entry = filled_entry({version_of({actor(3), 1}, "value")});
    entry.versions[0].checksum ^= 1;
    engine.put_entry(writes, model::token_of("bad"), "bad", entry, {});
  });
  const auto found = findings();
  EXPECT_THAT(found, Contains("key bad: stored entry: value does not match its checksum"));
  EXPECT_EQ(report_.keys, 201U);
}

TEST_F(VerifyTest, FindsAKeyThatDoesNotLieAtItsToken) {
  plant([](Engine& engine, rocksdb::WriteBatch& writes) {
    engine.put_entry(writes, model::Token{1}, "stray",
                     filled_entry({version_of({actor(3), 1}, "value")}), {});
  });
  EXPECT_THAT(findings(), Contains("key stray: does not lie at its token"));
}

TEST_F(VerifyTest, FindsAVersionThatTheClockDoesNotKnowAndATreeThatIsNotTheSum) {
  plant([](Engine& engine, rocksdb::WriteBatch& writes) {
    model::Entry entry;
    entry.insert(version_of({actor(3), 1}, "value"));
    engine.put_entry(writes, model::token_of("alien"), "alien", entry, {});
  });
  const auto found = findings();
  EXPECT_THAT(found, Contains(HasSubstr("key alien: the clock does not know its version")));
  EXPECT_THAT(found, Contains(HasSubstr("is not the sum of its entries")));
  EXPECT_THAT(found, Contains("entries: do not add up to what the last journal record says"));
}

TEST_F(VerifyTest, FindsAValueThatStandsApartAndIsMissingAndAnExpiryThatIsNotNoted) {
  scene_.put("large", std::string(10'000, 'v'));
  WriteRequest brief = write_of("brief", "value");
  brief.expires = WallTime{1'000'000};
  scene_.commit(std::move(brief));
  scene_.crash();
  EXPECT_THAT(findings(), IsEmpty());
  {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    const auto cache = rocksdb::NewLRUCache(1 << 20);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : {"default", kDataFamily, kValuesFamily, kExpiryFamily, kMetaFamily}) {
      families.emplace_back(name, options_of_family(name, scene_.options, cache));
    }
    ASSERT_TRUE(rocksdb::DB::Open(database_options(scene_.options), scratch_.path(), families,
                                  &handles, &db)
                    .ok());
    const std::unique_ptr<rocksdb::DB> owned(db);
    for (const std::size_t family : {2, 3}) {
      const std::unique_ptr<rocksdb::Iterator> at(db->NewIterator({}, handles[family]));
      for (at->SeekToFirst(); at->Valid(); at->Next()) {
        ASSERT_TRUE(db->Delete({}, handles[family], at->key()).ok());
      }
    }
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }
  const auto found = findings();
  EXPECT_THAT(found, Contains(HasSubstr("key large: its value cannot be read")));
  EXPECT_THAT(found, Contains(HasSubstr("key brief: nothing notes that it expires")));
}

TEST_F(VerifyTest, FindsMetadataThatCannotBeRead) {
  plant([](Engine& engine, rocksdb::WriteBatch& writes) {
    engine.put_meta(writes, meta_key(kMetaClock, 1), "\xff\xff\xff");
    engine.put_meta(writes, meta_key(kMetaJournal, 900), "\xff");
    JournalRecord record;
    record.sequence = 5;
    engine.put_meta(writes, meta_key(kMetaJournal, 901), record.encode());
    engine.put_meta(writes, meta_key(kMetaTree, 2), "tree");
    engine.put_meta(writes, "strange", "");
    engine.put_meta(writes, meta_key(kMetaSuspect, 3), "");
  });
  const auto found = findings();
  EXPECT_THAT(found, Contains(HasSubstr("clock of partition 1")));
  EXPECT_THAT(found, Contains(HasSubstr("journal slot 900")));
  EXPECT_THAT(found, Contains("journal slot 901: holds record 5"));
  EXPECT_THAT(found, Contains(HasSubstr("tree of partition 2")));
  EXPECT_THAT(found, Contains("metadata: unknown key strange"));
  EXPECT_THAT(found, Contains(HasSubstr("partition 3: has lost entries")));
}

TEST_F(VerifyTest, FindsAnIdentityThatIsDamagedAndADatabaseThatCannotBeOpened) {
  plant([](Engine& engine, rocksdb::WriteBatch& writes) {
    engine.put_meta(writes, kMetaIdentity, "\x01");
  });
  EXPECT_THAT(findings(), Contains(HasSubstr("identity:")));
  std::ofstream(scratch_ / "CURRENT") << "no manifest\n";
  EXPECT_THAT(findings(), Contains(HasSubstr("database: cannot be opened")));
  fs::remove(scratch_ / "CURRENT");
  EXPECT_THAT(findings(), Contains(HasSubstr("CURRENT is missing")));
}

}  // namespace
}  // namespace grapevine::storage
