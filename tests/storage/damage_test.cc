// Goal: lost or altered bytes are noticed, cost no more than themselves, and are never taken for
// deletes. Method: stores in memory whose files are altered behind their backs.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "storage/damage.h"
#include "storage/table_end.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kKeys = 300;

class DamageTest : public ::testing::Test {
 protected:
  static std::string key(std::size_t i) { return fmt::format("key {:04}", i); }

  // Two tables: all keys, and some of them once more.
  void fill() {
    scene_.options.partitions = 4;
    ASSERT_TRUE(ok(scene_.open()));
    for (std::size_t i = 0; i < kKeys; ++i) scene_.put(key(i), "first");
    reopen();
    for (std::size_t i = 0; i < kKeys; i += 3) scene_.put(key(i), "second");
    reopen();
  }
  // RocksDB writes a table of what the log held.
  void reopen() {
    scene_.crash();
    ASSERT_TRUE(ok(scene_.open()));
    ASSERT_TRUE(scene_.store().findings().empty()) << scene_.store().findings().front();
  }

  // Of one that stands apart, while the store is down.
  void turn_a_bit_of_a_value() {
    std::string file;
    for (const std::string& blob : files(".blob")) file = blob;
    ASSERT_NE(file, "");
    scene_.crash();
    std::string bytes = read(file);
    bytes[bytes.size() / 2] ^= 1;
    replace(file, bytes);
    ASSERT_TRUE(ok(scene_.open()));
  }

  std::vector<std::string> files(std::string_view extension) {
    std::vector<std::string> names;
    std::vector<std::string> all;
    EXPECT_TRUE(env().GetChildren("/store", &all).ok());
    for (const std::string& name : all) {
      if (name.ends_with(extension)) names.push_back("/store/" + name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string read(const std::string& file) {
    std::string bytes;
    EXPECT_TRUE(rocksdb::ReadFileToString(&env(), file, &bytes).ok());
    return bytes;
  }
  void replace(const std::string& file, const std::string& bytes) {
    EXPECT_TRUE(env().DeleteFile(file).ok());
    EXPECT_TRUE(rocksdb::WriteStringToFile(&env(), bytes, file).ok());
  }
  using Files = std::map<std::string, std::string>;
  void place(const Files& files) {
    for (const auto& [file, bytes] : files) {
      ASSERT_TRUE(rocksdb::WriteStringToFile(&env(), bytes, file).ok());
    }
  }
  // Of the database only files whose names hold one of `parts` are left. Returns what there was.
  Files lose_but(const std::vector<std::string>& parts) {
    Files before;
    for (const std::string& file : files("")) {
      if (file.ends_with("/LOCK") || file.find("/LOG") != file.npos) continue;
      before[file] = read(file);
      const auto is_in = [&](const std::string& part) { return file.find(part) != file.npos; };
      if (std::any_of(parts.begin(), parts.end(), is_in)) continue;
      EXPECT_TRUE(env().DeleteFile(file).ok());
    }
    return before;
  }
  // The entry is gone, and every file is whole. REQUIRES: no store is open.
  void lose_behind_its_back(const std::string& lost) {
    auto engine = Engine::open(scene_.options);
    ASSERT_TRUE(ok(engine));
    rocksdb::WriteBatch batch;
    (*engine)->put_entry(batch, model::token_of(lost), lost, {}, {});
    ASSERT_TRUE(ok((*engine)->write(batch, Stall::kWait)));
  }
  // The table that holds `text`.
  std::string table_with(std::string_view text) {
    for (const std::string& file : files(".sst")) {
      if (read(file).find(text) != std::string::npos) return file;
    }
    ADD_FAILURE() << "no table holds " << text;
    return "";
  }
  rocksdb::Env& env() { return *scene_.options.environment->env; }

  std::size_t keys_left() {
    std::size_t left = 0;
    for (std::size_t i = 0; i < kKeys; ++i) left += scene_.load(key(i)).versions.empty() ? 0 : 1;
    return left;
  }
  bool all_suspect() {
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (!scene_.store().suspect(PartitionId{i})) return false;
    }
    return true;
  }

  // No entry, and no absence, claims a dot that is not live in it.
  void expect_claims_nothing_but_entries() {
    for (std::size_t i = 0; i < kKeys; ++i) {
      const model::Entry entry = scene_.load(key(i));
      for (const auto& [actor, counter] : entry.vector.items()) {
        std::uint64_t top = 0;
        for (const auto& version : entry.versions) {
          if (version.dot.actor == actor) top = std::max(top, version.dot.counter);
        }
        const std::uint64_t base =
            scene_.store().live(scene_.store().partitioning().of(key(i))).clock().base(actor);
        EXPECT_LE(counter, std::max(top, base)) << key(i);
      }
    }
  }

  Scene scene_;
};

TEST_F(DamageTest, AFlippedByteInATableCostsItsBlockAlone) {
  fill();
  const ActorId before = scene_.store().actor();
  const std::string file = table_with("first");
  scene_.crash();
  std::string bytes = read(file);
  bytes[bytes.find("first")] ^= 1;
  replace(file, bytes);
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_FALSE(scene_.store().findings().empty());
  EXPECT_NE(scene_.store().findings().front().find(file.substr(7)), std::string::npos)
      << scene_.store().findings().front();
  EXPECT_TRUE(all_suspect());
  EXPECT_NE(scene_.store().actor(), before);
  EXPECT_LT(keys_left(), kKeys);
  EXPECT_GT(keys_left(), kKeys / 3);
  expect_claims_nothing_but_entries();
  EXPECT_TRUE(scene_.trees_are_true());

  // It goes on with what is left, and the damage is gone.
  scene_.put(key(1), "third");
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(scene_.store().findings().empty());
  EXPECT_TRUE(all_suspect());
  EXPECT_EQ(scene_.values(key(1)).back(), "third");
}

// Where a table is lost, RocksDB's repair brings back what the table had replaced.
TEST_F(DamageTest, ALostTableIsRefusedAndAfterARepairNothingOldDeletesWhatIsNew) {
  fill();
  const model::Entry newest = scene_.load(key(0));
  const std::string file = table_with("second");
  scene_.crash();
  ASSERT_TRUE(env().DeleteFile(file).ok());
  const absl::Status refused = scene_.open();
  ASSERT_TRUE(absl::IsDataLoss(refused)) << refused;

  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  EXPECT_EQ(scene_.values(key(0)), std::vector<std::string>{"first"});
  expect_claims_nothing_but_entries();

  // A healthy replica still has the newest version: both joined in either order leave that alone.
  ASSERT_TRUE(ok(scene_.receive({key(0), newest, {}})));
  EXPECT_EQ(scene_.values(key(0)), std::vector<std::string>{"second"});
}

// A repair may bring back an older identity, clock and record of what there was, or none at all: then
// what is left may well add up.
TEST_F(DamageTest, WhatWasRepairedIsTrustedInNothingThoughItAddsUp) {
  fill();
  const ActorId before = scene_.store().actor();
  scene_.crash();
  std::vector<std::string> all;
  ASSERT_TRUE(env().GetChildren("/store", &all).ok());
  for (const std::string& name : all) {
    if (!name.starts_with("MANIFEST")) continue;
    ASSERT_TRUE(env().DeleteFile("/store/" + name).ok());
  }
  const absl::Status refused = scene_.open();
  ASSERT_TRUE(absl::IsDataLoss(refused)) << refused;

  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  EXPECT_GE(scene_.store().actor().epoch(), before.epoch() + kEpochJump);
  EXPECT_EQ(keys_left(), kKeys);
  expect_claims_nothing_but_entries();
}

// RocksDB would make a new database there, and delete what is left of the old one.
TEST_F(DamageTest, ADirectoryWithoutItsBeginningIsNotTakenForANewOne) {
  fill();
  const ActorId before = scene_.store().actor();
  scene_.crash();
  const Files all = lose_but({".sst", ".log", "MANIFEST", "IDENTITY"});
  for (const auto* const left : {".sst", ".log", "MANIFEST", "IDENTITY"}) {
    lose_but({left});
    const absl::Status refused = scene_.open();
    EXPECT_TRUE(absl::IsDataLoss(refused)) << left << ": " << refused;
    const std::string text(text_of(refused));
    for (const char* const part : {"data directory /store: ", "CURRENT", left, "--salvage"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    const bool misses_manifest = text.find("CURRENT and MANIFEST are missing") != text.npos;
    EXPECT_EQ(misses_manifest, left != std::string("MANIFEST")) << text;
    EXPECT_FALSE(env().FileExists("/store/CURRENT").ok());
    place(all);
  }
  lose_but({".sst", ".log", "IDENTITY"});
  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  EXPECT_GE(scene_.store().actor().epoch(), before.epoch() + kEpochJump);
  EXPECT_EQ(keys_left(), kKeys);
}

TEST_F(DamageTest, ANewDirectoryIsOneThatHoldsNothingOrForeignThingsAlone) {
  ASSERT_TRUE(env().CreateDirIfMissing("/store").ok());
  ASSERT_TRUE(env().CreateDirIfMissing("/store/lost+found").ok());
  place({{"/store/notes.log", "theirs"}, {"/store/LOG", "ours"}});
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_FALSE(env().FileExists("/store/creating").ok());
}

// What a crash leaves of a first opening; and the mark excuses nothing else.
TEST_F(DamageTest, AFirstOpeningThatEndedOnItsWayIsBegunAgain) {
  ASSERT_TRUE(env().CreateDirIfMissing("/store").ok());
  place({{"/store/creating", ""}, {"/store/IDENTITY", "id"}, {"/store/MANIFEST-000001", "half"}});
  ASSERT_TRUE(ok(scene_.open()));
  scene_.put(key(0), "first");
  scene_.crash();
  lose_but({".sst", ".log"});
  place({{"/store/creating", ""}});
  const absl::Status refused = scene_.open();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
}

// From then on the families of the data have other names, which stand in the manifest and in tables.
TEST_F(DamageTest, WhatWasSalvagedOnceCanBeSalvagedWithoutAManifest) {
  fill();
  const std::string file = table_with("first");
  scene_.crash();
  std::string bytes = read(file);
  bytes[bytes.find("first")] ^= 1;
  replace(file, bytes);
  ASSERT_TRUE(ok(scene_.open()));
  const std::size_t left = keys_left();
  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  scene_.crash();
  lose_but({".sst", ".log", "IDENTITY"});
  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  EXPECT_EQ(keys_left(), left);
}

// Where RocksDB reads before it looks at a checksum, or there is none: it would end in an assertion.
TEST_F(DamageTest, ATurnedBitInTheEndOfATableIsDataLossOrMakesNoDifference) {
  fill();
  const std::string file = table_with("second");
  scene_.crash();
  const Files all = lose_but({});
  const std::string& bytes = all.at(file);
  // Before the properties stands a block that has a checksum as any other.
  const std::size_t from = bytes.find("rocksdb.") - 20;
  std::size_t refused = 0;
  for (std::size_t at = from; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string turned = bytes;
      turned[at] = static_cast<char>(turned[at] ^ (1 << bit));
      const bool whole = is_table_end_whole(turned.size(), [&](auto offset, std::size_t count) {
        return turned.substr(std::min<std::size_t>(offset, turned.size()), count);
      });
      refused += whole ? 0 : 1;
      if (!whole && (at * 8 + static_cast<std::size_t>(bit)) % 61 != 0) continue;
      lose_but({});
      place(all);
      replace(file, turned);
      const absl::Status opened = scene_.open();
      if (!opened.ok()) {
        EXPECT_TRUE(absl::IsDataLoss(opened)) << at << ", " << bit << ": " << opened;
        continue;
      }
      EXPECT_TRUE(whole) << at << ", " << bit;
      EXPECT_TRUE(scene_.store().any_suspect() || keys_left() == kKeys) << at << ", " << bit;
      scene_.crash();
    }
  }
  EXPECT_GT(refused, (bytes.size() - from) * 7);

  std::string turned = bytes;
  turned[bytes.find("rocksdb.") + 1] ^= 1;
  lose_but({});
  place(all);
  replace(file, turned);
  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  EXPECT_EQ(keys_left(), kKeys);
  EXPECT_EQ(scene_.values(key(0)), std::vector<std::string>{"first"});
}

// RocksDB's repair knows nothing of blob files: what stood there is lost, and no read stops for it.
TEST_F(DamageTest, ARepairCostsTheValuesThatStoodApartAndNothingElse) {
  fill();
  scene_.put("large", std::string(20'000, 'v'));
  reopen();
  scene_.crash();
  lose_but({".sst", ".log", ".blob", "IDENTITY"});
  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  for (const bool again : {false, true}) {
    EXPECT_TRUE(all_suspect());
    EXPECT_EQ(keys_left(), kKeys);
    EXPECT_TRUE(scene_.load("large").versions.empty());
    EXPECT_TRUE(scene_.store().upkeep(10).ok());
    EXPECT_TRUE(scene_.fatal.empty());
    if (again) break;
    scene_.options.salvage = false;
    scene_.crash();
    ASSERT_TRUE(ok(scene_.open()));
  }
}

TEST_F(DamageTest, SalvageLeavesAloneWhatOpensWithoutIt) {
  fill();
  const ActorId before = scene_.store().actor();
  scene_.crash();
  scene_.options.salvage = true;
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_FALSE(scene_.store().any_suspect());
  EXPECT_TRUE(scene_.store().findings().empty());
  EXPECT_EQ(scene_.store().actor(), before);
}

// Entries name actors by number: a number must not come to stand for another actor.
TEST_F(DamageTest, AnActorThatIsMissingFromTheTableIsNotTheNextOne) {
  fill();
  const model::Dot theirs{actor(7), 1};
  ASSERT_TRUE(ok(scene_.receive({key(0), filled_entry({version_of(theirs, "theirs")}), {}})));
  scene_.crash();
  {
    auto engine = Engine::open(scene_.options);
    ASSERT_TRUE(ok(engine));
    rocksdb::WriteBatch batch;
    (*engine)->delete_meta(batch, meta_key(kMetaActor, 0));
    ASSERT_TRUE(ok((*engine)->write(batch, Stall::kWait)));
  }
  const absl::Status refused = scene_.open();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
}

TEST_F(DamageTest, EntriesThatVanishAreMissedThoughAllFilesAreWhole) {
  fill();
  scene_.crash();
  lose_behind_its_back(key(7));
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(all_suspect());
  expect_claims_nothing_but_entries();
}

TEST_F(DamageTest, AStoreThatStoppedForDamageKnowsWhichPartitionsAreWhole) {
  fill();
  const PartitionId hit = scene_.store().partitioning().of(key(7));
  DamageNote note;
  for (std::uint32_t i = 0; i < 4; ++i) {
    note.partitions.emplace_back() += scene_.store().live(PartitionId{i}).tree().root();
  }
  note.sequence = kKeys + kKeys / 3;
  scene_.crash();
  lose_behind_its_back(key(7));
  ASSERT_TRUE(ok(write_damage_note(env(), "/store", note)));
  ASSERT_TRUE(ok(scene_.open()));
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(scene_.store().suspect(PartitionId{i}), PartitionId{i} == hit) << i;
  }
  EXPECT_FALSE(read_damage_note(env(), "/store").has_value());

  ASSERT_TRUE(ok(scene_.store().trust_again(hit)));
  EXPECT_FALSE(scene_.store().any_suspect());
  reopen();
  EXPECT_FALSE(scene_.store().any_suspect());
}

TEST_F(DamageTest, AReadThatMeetsDamageStopsTheStoreWithANote) {
  fill();
  scene_.crash();
  scene_.options.block_cache_bytes = 0;
  ASSERT_TRUE(ok(scene_.open()));
  scene_.disk.fail_reads_after(0, rocksdb::IOStatus::Corruption("a bad block"));
  EXPECT_TRUE(absl::IsDataLoss(scene_.store().load(key(1), model::Values::kWith).status()));
  EXPECT_FALSE(scene_.store().upkeep(10).ok());
  ASSERT_EQ(scene_.fatal.size(), 1U);
  EXPECT_TRUE(absl::IsDataLoss(scene_.fatal.front())) << scene_.fatal.front();
  EXPECT_TRUE(read_damage_note(env(), "/store").has_value());
  scene_.disk.fail_reads_after(0, rocksdb::IOStatus::OK());
}

TEST_F(DamageTest, DamageInTheNotesOfWhatExpiresIsNoticedAndMendedFromTheEntries) {
  fill();
  WriteRequest request = write_of("mayfly", "short-lived");
  request.expires = WallTime{1000};
  scene_.commit(request);
  reopen();
  std::string notes;
  for (const std::string& file : files(".sst")) {
    const std::string bytes = read(file);
    if (bytes.find("mayfly") != bytes.npos && bytes.find("short-lived") == bytes.npos) notes = file;
  }
  ASSERT_NE(notes, "");
  scene_.crash();
  std::string bytes = read(notes);
  bytes[bytes.find("mayfly")] ^= 1;
  replace(notes, bytes);
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(absl::IsDataLoss(scene_.store().upkeep(10).status()));
  EXPECT_FALSE(scene_.store().upkeep(10).ok());
  ASSERT_EQ(scene_.fatal.size(), 1U);
  EXPECT_TRUE(absl::IsDataLoss(scene_.fatal.front())) << scene_.fatal.front();

  scene_.crash();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_FALSE(scene_.store().findings().empty());
  EXPECT_FALSE(scene_.store().any_suspect()) << "no entry is lost";
  EXPECT_EQ(scene_.values("mayfly").size(), 1U);
  scene_.time.advance(std::chrono::seconds(1));
  scene_.upkeep();
  EXPECT_TRUE(scene_.values("mayfly").empty());
}

TEST_F(DamageTest, TheScrubChecksAsManyEntriesAsItIsAskedForWhateverPartitionTheyAreIn) {
  fill();
  scene_.store().scrub(kKeys);
  for (std::uint32_t i = 0; i < scene_.options.partitions; ++i) scene_.executor.run_all();
  EXPECT_EQ(scene_.store().statistics().keys_scrubbed, kKeys);
  EXPECT_TRUE(scene_.fatal.empty());
}

TEST_F(DamageTest, APartitionIsAddedUpStretchByStretch) {
  fill();
  scene_.put("large", std::string(20'000, 'v') + "needle");
  const auto add_up = [&](PartitionId partition) {
    std::size_t stretches = 0;
    std::optional<model::Token> from = scene_.store().partitioning().range(partition).first;
    absl::Status status;
    while (from.has_value() && status.ok()) {
      ++stretches;
      bool answered = false;
      scene_.store().add_up(partition, *from, 10,
                            [&](const absl::StatusOr<std::optional<model::Token>>& next) {
                              answered = true;
                              status = next.status();
                              if (next.ok()) from = *next;
                            });
      scene_.executor.run_all();
      if (!answered) return absl::InternalError("no answer");
    }
    if (status.ok() && stretches < 2) return absl::InternalError("all in one stretch");
    return status;
  };
  const auto all = [&] {
    absl::Status status;
    for (std::uint32_t i = 0; i < scene_.options.partitions && status.ok(); ++i) {
      status = add_up(PartitionId{i});
    }
    return status;
  };
  EXPECT_TRUE(ok(all()));
  EXPECT_TRUE(scene_.fatal.empty());

  reopen();
  ASSERT_NO_FATAL_FAILURE(turn_a_bit_of_a_value());
  EXPECT_TRUE(absl::IsDataLoss(all()));
  ASSERT_EQ(scene_.fatal.size(), 1U);
  EXPECT_TRUE(absl::IsDataLoss(scene_.fatal.front()));
  EXPECT_TRUE(absl::IsUnavailable(add_up(PartitionId{0})));
}

TEST_F(DamageTest, TheScrubFindsAFlippedByteInAValue) {
  fill();
  scene_.put("large", std::string(20'000, 'v') + "needle");
  const auto round = [&] {
    for (std::uint64_t before = ~std::uint64_t{0}; scene_.fatal.empty();) {
      const std::uint64_t scrubbed = scene_.store().statistics().keys_scrubbed;
      if (scrubbed >= kKeys + 1) break;
      ASSERT_TRUE(scrubbed != before || scene_.executor.waiting() == 0);
      before = scrubbed;
      scene_.store().scrub(50);
      scene_.executor.run_all();
    }
  };
  round();
  EXPECT_TRUE(scene_.fatal.empty());

  reopen();
  ASSERT_NO_FATAL_FAILURE(turn_a_bit_of_a_value());
  EXPECT_TRUE(scene_.store().findings().empty());  // opening reads no values
  round();
  ASSERT_EQ(scene_.fatal.size(), 1U);
  EXPECT_TRUE(absl::IsDataLoss(scene_.fatal.front())) << scene_.fatal.front();

  // Opened once more it goes on without that value, and does not stop for it again.
  scene_.crash();
  scene_.fatal.clear();
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_TRUE(scene_.store().any_suspect());
  EXPECT_TRUE(scene_.load("large").versions.empty());
  EXPECT_EQ(keys_left(), kKeys);
  round();
  EXPECT_TRUE(scene_.fatal.empty());
}

TEST_F(DamageTest, AFlippedByteInTheLogGivesAnOlderStateAndANewActor) {
  ASSERT_TRUE(ok(scene_.open()));
  for (std::size_t i = 0; i < kKeys; ++i) scene_.put(key(i), "first");
  const ActorId before = scene_.store().actor();
  scene_.crash();
  const std::string log = files(".log").back();
  std::string bytes = read(log);
  bytes[bytes.find(key(200))] ^= 1;
  replace(log, bytes);
  ASSERT_TRUE(ok(scene_.open()));
  EXPECT_EQ(scene_.store().findings().size(), 1U);
  EXPECT_NE(scene_.store().actor(), before);
  EXPECT_FALSE(scene_.store().any_suspect());
  EXPECT_EQ(keys_left(), 200U);
  EXPECT_TRUE(scene_.trees_are_true());
}

TEST(DamageNote, ComesBackAsItWasWrittenOrNotAtAll) {
  DamageNote note{300, {{{1, 2}, 3}, {{4, 5}, 6}}};
  const std::string bytes = note.encode();
  const auto back = DamageNote::decode(bytes);
  ASSERT_TRUE(ok(back));
  EXPECT_EQ(back->sequence, 300U);
  EXPECT_EQ(back->partitions, note.partitions);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] ^= 1;
    EXPECT_FALSE(DamageNote::decode(flipped).ok()) << i;
    EXPECT_FALSE(DamageNote::decode(bytes.substr(0, i)).ok()) << i;
  }
}

}  // namespace
}  // namespace grapevine::storage
