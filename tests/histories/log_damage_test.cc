// Goal: whatever a power loss leaves of the write-ahead log's end, and whatever bit turns over in
// the files, a store shows what it held after some commit, or says that it cannot be read; it never
// shows another value, and never takes what it lost for a delete. Method: one store's files, cut at
// every byte and with every byte turned over, opened each time.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage/lossy_disk.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

class LogDamage : public testing::Test {
 protected:
  static constexpr int kCommits = 16;
  static constexpr int kSynced = 6;  // the commits up to this are durable
  static constexpr std::string_view kAt = "/store";

  struct State {
    LossyDisk::LogEnd end;
    std::vector<std::string> contents;
    std::uint64_t top = 0;  // of the actor
  };

  StoreOptions options(const Life& life) {
    StoreOptions options;
    options.directory = kAt;
    options.partitions = 1;
    options.environment = disk_.environment();
    options.life = life;
    options.memtable_bytes = std::size_t{64} << 10;
    options.block_cache_bytes = 0;
    return options;
  }
  absl::StatusOr<std::unique_ptr<Store>> open(const Life& life) {
    return Store::open(options(life), executor_, time_, random_, [](const absl::Status&) {});
  }

  // The files of a store killed after kCommits commits of puts, deletes, siblings and entries that
  // are not quiet. `states_` is what it held after each, from none on.
  LossyDisk::Image history() {
    auto store = open(kLife);
    EXPECT_TRUE(ok(store));
    remember(**store);
    for (int i = 1; i <= kCommits; ++i) {
      auto batch = (*store)->begin();
      EXPECT_TRUE(ok(batch));
      const std::string key = "key " + std::to_string(i % 5);
      if (i % 4 == 3) {
        EXPECT_TRUE(ok((*batch)->write(write_of(key, std::nullopt))));
      } else if (i % 5 == 4) {
        const model::Dot dot{actor(7), static_cast<std::uint64_t>(i)};
        EXPECT_TRUE(ok((*batch)->receive({key, filled_entry({version_of(dot, "theirs")}), {}})));
      } else {
        const std::string value = "value " + std::to_string(i);
        EXPECT_TRUE(ok((*batch)->write(write_of(key, value, model::VersionVector{}))));
      }
      auto committed = (*store)->commit(*std::move(batch));
      EXPECT_TRUE(ok(committed));
      if (i == kSynced) {
        (*store)->when_durable(committed->number, [] {});
        executor_.run_all();
      }
      remember(**store);
    }
    actor_ = (*store)->actor();
    disk_.freeze(std::string(kAt));
    store->reset();
    disk_.thaw(std::string(kAt));
    return disk_.copy(std::string(kAt));
  }
  void remember(const Store& store) {
    states_.push_back(
        {disk_.log_end(std::string(kAt)), contents_of(store), store.tops(store.actor()).front()});
  }

  static std::string& log_of(LossyDisk::Image& image) { return of_kind(image, ".log"); }
  // The last file whose name ends, or begins, so.
  static std::string& of_kind(LossyDisk::Image& image, std::string_view kind) {
    std::string* found = nullptr;
    for (auto& [name, bytes] : image) {
      if (name.ends_with(kind) || name.starts_with(kind)) found = &bytes;
    }
    EXPECT_NE(found, nullptr) << kind;
    return *found;
  }

  struct Outcomes {
    int refused = 0;   // opening or reading says that it is damaged
    int noticed = 0;   // opened, and it knows that something is lost (R9)
    int by_scrub = 0;  // opened, and its trees are not what a scan adds up to
    int whole = 0;     // everything is there
    int shorter = 0;   // what was there after an earlier commit
    int mixed = 0;     // what was there at different times
    int shortest = kCommits;
  };
  // Every byte from `from` on of the file `kind` turned over in turn.
  Outcomes turn_over(const LossyDisk::Image& image, std::string_view kind, std::size_t from) {
    Outcomes outcomes;
    LossyDisk::Image damaged = image;
    std::string& bytes = of_kind(damaged, kind);
    for (std::size_t at = from; at < bytes.size(); ++at) {
      const char turned = static_cast<char>(1U << (at % 8));
      bytes[at] ^= turned;
      disk_.place(std::string(kAt), damaged);
      bytes[at] ^= turned;
      const auto store = open(kRebooted);
      if (!store.ok()) {
        EXPECT_TRUE(absl::IsDataLoss(store.status())) << at << ": " << text_of(store.status());
        ++outcomes.refused;
        continue;
      }
      const View& view = (*store)->live(PartitionId{0});
      const absl::Status readable = view.scan(view.range(), std::nullopt, model::Values::kWith,
                                              [](std::string_view, const auto&) { return true; });
      if (!readable.ok()) {
        EXPECT_TRUE(absl::IsDataLoss(readable)) << at << ": " << text_of(readable);
        ++outcomes.refused;
        continue;
      }
      const std::vector<std::string> contents = contents_of(**store);
      const int commits = commits_of(contents);
      EXPECT_TRUE(only_what_was_written(contents)) << kind << ", byte " << at;
      if (!trees_are_true(**store)) {
        ++outcomes.by_scrub;
      } else if (!(*store)->findings().empty()) {
        EXPECT_NE((*store)->actor(), actor_) << kind << ", byte " << at;
        ++outcomes.noticed;
      } else if (commits < 0) {
        ++outcomes.mixed;
      } else {
        commits == kCommits ? ++outcomes.whole : ++outcomes.shorter;
        outcomes.shortest = std::min(outcomes.shortest, commits);
      }
    }
    std::cout << kind << ": " << bytes.size() - from << " bytes turned over, " << outcomes.refused
              << " refused, " << outcomes.noticed << " noticed, " << outcomes.by_scrub
              << " left to the scrub, " << outcomes.whole << " whole, " << outcomes.shorter
              << " shorter, of " << kCommits << " commits at least " << outcomes.shortest << '\n';
    return outcomes;
  }
  // Each entry as it was at some time, vectors aside: no value was made up.
  bool only_what_was_written(const std::vector<std::string>& contents) const {
    const auto versions = [](const std::string& line) {
      return line.substr(0, line.find(" knows"));
    };
    for (std::size_t i = 1; i < contents.size(); ++i) {
      const bool was = std::any_of(states_.begin(), states_.end(), [&](const State& state) {
        return std::any_of(
            state.contents.begin(), state.contents.end(),
            [&](const std::string& line) { return versions(line) == versions(contents[i]); });
      });
      if (!was) return false;
    }
    return true;
  }
  // After how many commits the store held this; -1: never.
  int commits_of(const std::vector<std::string>& contents) const {
    for (int i = kCommits; i >= 0; --i) {
      if (states_[static_cast<std::size_t>(i)].contents == contents) return i;
    }
    return -1;
  }

  const Life kLife{"machine", "boot", "directory"};
  const Life kRebooted{"machine", "another boot", "directory"};
  LossyDisk disk_;
  HandTime time_;
  HandExecutor executor_;
  Random random_{1};
  std::vector<State> states_;
  ActorId actor_;
};

TEST_F(LogDamage, ALogCutAnywhereShowsExactlyTheCommitsThatStandInIt) {
  const LossyDisk::Image image = history();
  const std::size_t from = states_[kSynced].end.bytes;
  const std::size_t whole = states_.back().end.bytes;
  ASSERT_GT(whole, from + 200);
  for (std::size_t length = from; length <= whole; ++length) {
    LossyDisk::Image cut = image;
    log_of(cut).resize(length);
    int left = kCommits;
    while (states_[static_cast<std::size_t>(left)].end.bytes > length) --left;
    const State& state = states_[static_cast<std::size_t>(left)];
    ASSERT_GE(left, kSynced);

    disk_.place(std::string(kAt), cut);
    auto store = open(kRebooted);
    ASSERT_TRUE(ok(store)) << length;
    ASSERT_EQ(contents_of(**store), state.contents) << length;
    ASSERT_TRUE(trees_are_true(**store));
    // R7: the power was lost, so its dots are another actor's.
    ASSERT_NE((*store)->actor(), actor_);
    store->reset();

    // If it cannot tell that the power was lost: it knows exactly how many of its dots it remembers,
    // so a peer that knows one more tells it.
    disk_.place(std::string(kAt), cut);
    store = open(kLife);
    ASSERT_TRUE(ok(store)) << length;
    ASSERT_TRUE((*store)->kept_actor());
    ASSERT_EQ((*store)->tops(actor_).front(), state.top) << length;
  }
}

TEST_F(LogDamage, ATurnedBitInTheLogNeverShowsWhatWasNotWritten) {
  const LossyDisk::Image image = history();
  const Outcomes outcomes = turn_over(image, ".log", states_[kSynced - 3].end.bytes);
  EXPECT_EQ(outcomes.mixed + outcomes.by_scrub, 0);
  EXPECT_GT(outcomes.shorter + outcomes.noticed, 200);
}

// What stands in tables was durable long ago: it must all be there, or the store must say that it
// cannot read it.
TEST_F(LogDamage, ATurnedBitInATableIsDataLossOrMakesNoDifference) {
  disk_.place(std::string(kAt), history());
  ASSERT_TRUE(ok((*open(kLife))->close()));  // opening writes the log's contents out
  const LossyDisk::Image image = disk_.copy(std::string(kAt));
  int tables = 0;
  for (const auto& [name, bytes] : image) {
    if (!name.ends_with(".sst")) continue;
    ++tables;
    const Outcomes outcomes = turn_over(image, name, 0);
    EXPECT_EQ(outcomes.shorter + outcomes.mixed + outcomes.by_scrub, 0) << name;
    EXPECT_GT(outcomes.refused + outcomes.noticed, 100) << name;
  }
  EXPECT_GE(tables, 2);
}

// RocksDB takes a turned bit in the length or the type of one of the last records for a record whose
// writing was interrupted, and opens with what the manifest said before: tables are missing then, at
// worst all. Nothing tells it before a peer's clock does (README.md).
TEST_F(LogDamage, ATurnedBitInTheManifestIsDataLossButInTheHeadsOfItsLastRecords) {
  disk_.place(std::string(kAt), history());
  ASSERT_TRUE(ok((*open(kLife))->close()));
  const Outcomes outcomes = turn_over(disk_.copy(std::string(kAt)), "MANIFEST", 0);
  constexpr int kHeads = 6;
  constexpr int kLengthAndTypeBytes = 3;
  EXPECT_LE(outcomes.shorter + outcomes.mixed, kHeads * kLengthAndTypeBytes);
  EXPECT_GT(outcomes.refused, 100);
}

}  // namespace
}  // namespace grapevine::storage
