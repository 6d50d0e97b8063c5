#include "tests/storage/scene.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>
#include <stdlib.h>

#include "storage/base/check.h"
#include "storage/model/digest_tree.h"

namespace grapevine::storage {

bool HandExecutor::run_one() {
  if (waiting_.empty()) return false;
  const Job job = std::move(waiting_.front());
  waiting_.pop_front();
  job.work();
  ++works_done_;
  job.done();
  return true;
}

ScratchDirectory::ScratchDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "grapevine-test-XXXXXX").string();
  GRAPEVINE_CHECK(mkdtemp(pattern.data()) != nullptr, "tests need a temporary directory");
  path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

struct FailingDisk::State {
  rocksdb::IOStatus log_appends;
  rocksdb::IOStatus log_syncs;
  rocksdb::IOStatus everything;
  rocksdb::IOStatus reads;
  std::string below;
  rocksdb::IOStatus below_fails;
  std::uint64_t reads_left = 0;
  bool tear = false;
  std::uint64_t log_syncs_done = 0;

  std::mutex mutex;
  std::condition_variable released;
  bool tables_held = false;  // guarded by mutex
};

namespace {

class FailingFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FailingFile(std::unique_ptr<rocksdb::FSWritableFile>&& below, std::string name,
              std::shared_ptr<FailingDisk::State> state)
      : FSWritableFileOwnerWrapper(std::move(below)),
        name_(std::move(name)),
        is_log_(std::filesystem::path(name_).extension() == ".log"),
        state_(std::move(state)) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    const rocksdb::IOStatus failure = append_failure();
    if (failure.ok()) return FSWritableFileOwnerWrapper::Append(data, options, context);
    if (state_->tear) {
      const rocksdb::Slice half(data.data(), data.size() / 2);
      FSWritableFileOwnerWrapper::Append(half, options, context).PermitUncheckedError();
    }
    return failure;
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* context) override {
    return Append(data, options, context);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                         rocksdb::IODebugContext* context) override {
    if (is_log_) ++state_->log_syncs_done;
    if (is_log_ && !state_->log_syncs.ok()) return state_->log_syncs;
    return FSWritableFileOwnerWrapper::Sync(options, context);
  }
  // RocksDB's files in memory say no, though nothing in them minds; SyncWAL insists.
  bool IsSyncThreadSafe() const override { return true; }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* context) override {
    return Sync(options, context);
  }

 private:
  rocksdb::IOStatus append_failure() const {
    if (!state_->everything.ok()) return state_->everything;
    if (!state_->below_fails.ok() && name_.starts_with(state_->below)) return state_->below_fails;
    return is_log_ ? state_->log_appends : rocksdb::IOStatus::OK();
  }

  const std::string name_;
  const bool is_log_;
  std::shared_ptr<FailingDisk::State> state_;
};

class UnreadableFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  UnreadableFile(std::unique_ptr<rocksdb::FSRandomAccessFile>&& below,
                 std::shared_ptr<FailingDisk::State> state)
      : FSRandomAccessFileOwnerWrapper(std::move(below)), state_(std::move(state)) {}

  rocksdb::IOStatus Read(std::uint64_t offset, std::size_t count, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* context) const override {
    if (!state_->reads.ok() && state_->reads_left-- == 0) {
      state_->reads_left = 0;
      return state_->reads;
    }
    return FSRandomAccessFileOwnerWrapper::Read(offset, count, options, result, scratch, context);
  }

 private:
  std::shared_ptr<FailingDisk::State> state_;
};

class FailingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  FailingFileSystem(const std::shared_ptr<rocksdb::FileSystem>& below,
                    std::shared_ptr<FailingDisk::State> state)
      : FileSystemWrapper(below), state_(std::move(state)) {}

  const char* Name() const override { return "FailingFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (!state_->everything.ok()) return state_->everything;
    if (std::filesystem::path(name).extension() == ".sst") {
      std::unique_lock lock(state_->mutex);
      state_->released.wait(lock, [&] { return !state_->tables_held; });
    }
    std::unique_ptr<rocksdb::FSWritableFile> below;
    const rocksdb::IOStatus status = target()->NewWritableFile(name, options, &below, context);
    if (!status.ok()) return status;
    *file = std::make_unique<FailingFile>(std::move(below), name, state_);
    return status;
  }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* context) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> below;
    const rocksdb::IOStatus status = target()->NewRandomAccessFile(name, options, &below, context);
    if (status.ok()) *file = std::make_unique<UnreadableFile>(std::move(below), state_);
    return status;
  }

 private:
  std::shared_ptr<FailingDisk::State> state_;
};

}  // namespace

FailingDisk::FailingDisk(rocksdb::Env* below)
    : state_(std::make_shared<State>()),
      env_(rocksdb::NewCompositeEnv(
          std::make_shared<FailingFileSystem>(below->GetFileSystem(), state_))),
      environment_{env_.get(), {}} {}

FailingDisk::~FailingDisk() = default;

void FailingDisk::fail_log_appends(rocksdb::IOStatus status) {
  state_->log_appends = status;
}
void FailingDisk::tear_failing_appends(bool tear) {
  state_->tear = tear;
}
void FailingDisk::fail_log_syncs(rocksdb::IOStatus status) {
  state_->log_syncs = status;
}
void FailingDisk::fail_everything(rocksdb::IOStatus status) {
  state_->everything = status;
}
void FailingDisk::fail_reads_after(std::uint64_t reads, rocksdb::IOStatus status) {
  state_->reads_left = reads;
  state_->reads = status;
}
void FailingDisk::fail_below(const std::string& directory, rocksdb::IOStatus status) {
  state_->below = directory + "/";
  state_->below_fails = status;
}
void FailingDisk::hold_tables(bool hold) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->tables_held = hold;
  }
  state_->released.notify_all();
}
std::uint64_t FailingDisk::log_syncs() const {
  return state_->log_syncs_done;
}

Scene::Scene() : memory_(rocksdb::NewMemEnv(rocksdb::Env::Default())), disk(memory_.get()) {
  options.directory = "/store";
  options.partitions = 1;
  options.environment = disk.environment();
  options.life = {"machine", "boot", "directory"};
  options.block_cache_bytes = std::size_t{1} << 20;
}

Scene::~Scene() {
  disk.hold_tables(false);
  executor.run_all();
}

absl::Status Scene::open() {
  auto opened = Store::open(options, executor, time, random,
                            [this](absl::Status status) { fatal.push_back(std::move(status)); });
  if (!opened.ok()) return opened.status();
  store_ = *std::move(opened);
  return absl::OkStatus();
}

void Scene::crash() {
  executor.run_all();
  store_.reset();
}

absl::Status Scene::close() {
  executor.run_all();
  const absl::Status status = store_->close();
  store_.reset();
  return status;
}

void Scene::cool_down() {
  crash();
  ASSERT_TRUE(ok(open()));
}

Committed Scene::commit(const WriteRequest& request, WriteOutcome* outcome) {
  for (;;) {
    auto batch = store_->begin();
    EXPECT_TRUE(batch.ok()) << text_of(batch.status());
    auto written = (*batch)->write(request);
    EXPECT_TRUE(written.ok()) << text_of(written.status());
    if (outcome != nullptr) *outcome = *std::move(written);
    auto committed = store_->commit(*std::move(batch));
    if (is_stalled(committed.status())) {
      // Flushes lag behind a small memtable: unlike a commit, a note waits for them.
      EXPECT_TRUE(ok(store_->put_note("waits", "for a flush")));
      continue;
    }
    EXPECT_TRUE(committed.ok()) << text_of(committed.status());
    return *std::move(committed);
  }
}

WriteOutcome Scene::put(std::string_view key, std::string_view value,
                        std::optional<model::VersionVector> context) {
  WriteOutcome outcome;
  commit(write_of(key, std::string(value), std::move(context)), &outcome);
  return outcome;
}

WriteOutcome Scene::remove(std::string_view key, std::optional<model::VersionVector> context) {
  WriteOutcome outcome;
  commit(write_of(key, std::nullopt, std::move(context)), &outcome);
  return outcome;
}

absl::Status Scene::receive(model::KeyedEntry received) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_->begin());
  GRAPEVINE_RETURN_IF_ERROR(batch->receive(std::move(received)));
  return store_->commit(std::move(batch)).status();
}

absl::Status Scene::adopt(PartitionId partition, const model::Clock& clock) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_->begin());
  GRAPEVINE_RETURN_IF_ERROR(batch->adopt(partition, clock));
  return store_->commit(std::move(batch)).status();
}

void Scene::upkeep() {
  constexpr int kStepsMax = 100'000;
  for (int step = 0; step < kStepsMax; ++step) {
    const auto more = store_->upkeep(100);
    ASSERT_TRUE(more.ok()) << text_of(more.status());
    if (!*more) return;
    executor.run_all();  // what was cold
  }
  FAIL() << "upkeep never ends";
}

model::Entry Scene::load(std::string_view key) {
  auto entry = store_->load(key, model::Values::kWith);
  EXPECT_TRUE(entry.ok()) << text_of(entry.status());
  return entry.ok() ? *std::move(entry) : model::Entry{};
}

std::vector<std::string> Scene::values(std::string_view key) {
  std::vector<std::string> values;
  for (const model::Version& version : load(key).versions) values.push_back(version.value);
  std::sort(values.begin(), values.end());
  return values;
}

namespace {

std::string describe(std::string_view key, const model::Entry& entry) {
  std::string text = fmt::format("{} =", key);
  for (const model::Version& version : entry.versions) {
    text +=
        fmt::format(" ({}, {})={} at {} id {}", to_string(version.dot.actor), version.dot.counter,
                    version.value, version.written.unix_ms, version.write_id);
  }
  text += " knows";
  for (const auto& [who, counter] : entry.vector.items()) {
    text += fmt::format(" {}:{}", to_string(who), counter);
  }
  return text;
}

}  // namespace

std::vector<std::string> contents_of(const Store& store) {
  std::vector<std::string> lines;
  for (std::uint32_t i = 0; i < store.partitioning().count(); ++i) {
    const View& view = store.live(PartitionId{i});
    const model::DigestShare root = view.tree().root();
    lines.push_back(fmt::format("partition {}: {} digest {:x}{:016x}, {} keys, {} not quiet", i,
                                model::to_string(view.clock()), root.sum.high, root.sum.low,
                                root.keys, root.unquiet));
    const absl::Status status = view.scan(view.range(), std::nullopt, model::Values::kWith,
                                          [&](std::string_view key, const model::Entry& entry) {
                                            lines.push_back(describe(key, entry));
                                            return true;
                                          });
    EXPECT_TRUE(status.ok()) << text_of(status);
  }
  return lines;
}

::testing::AssertionResult Scene::trees_are_true() {
  return storage::trees_are_true(*store_);
}

::testing::AssertionResult trees_are_true(const Store& store) {
  for (std::uint32_t i = 0; i < store.partitioning().count(); ++i) {
    const View& view = store.live(PartitionId{i});
    model::DigestTree expected(view.range());
    std::vector<std::pair<model::Token, model::DigestShare>> shares;
    const absl::Status status =
        view.scan(view.range(), std::nullopt, model::Values::kWithout,
                  [&](std::string_view key, model::Entry entry) {
                    model::strip(entry, view.clock());
                    const model::Token token = model::token_of(key);
                    shares.emplace_back(token, model::share_of(store.digester(), key, entry));
                    return true;
                  });
    if (!status.ok()) return ::testing::AssertionFailure() << text_of(status);
    model::Sketch sketch(view.sketch()->cells().size());
    for (const auto& [token, share] : shares) sketch.change(token, {}, share.sum);
    if (sketch != *view.sketch()) return ::testing::AssertionFailure() << "sketch of " << i;
    // Every leaf of the tree, against what lies in its range.
    model::Token from = view.range().first;
    for (;;) {
      const model::TokenRange leaf = view.tree().leaf_range(from);
      model::DigestShare sum;
      for (const auto& [token, share] : shares) {
        if (leaf.contains(token)) sum += share;
      }
      const model::DigestShare held = view.tree().range(leaf);
      if (held.sum != sum.sum || held.keys < sum.keys) {
        return ::testing::AssertionFailure()
               << fmt::format("partition {}: the leaf at {:x} is not the sum of its entries", i,
                              leaf.first.value);
      }
      if (leaf.last == view.range().last) break;
      from = model::Token{leaf.last.value + 1};
    }
  }
  return ::testing::AssertionSuccess();
}

model::Version version_of(model::Dot dot, std::string_view value) {
  model::Version version;
  version.dot = dot;
  version.written = WallTime{1};
  version.checksum = model::value_checksum(value);
  version.value_bytes = value.size();
  version.value = value;
  return version;
}

model::Entry filled_entry(std::vector<model::Version> versions, std::vector<model::Dot> more) {
  model::Entry entry;
  for (model::Version& version : versions) {
    entry.vector.raise(version.dot);
    entry.insert(std::move(version));
  }
  for (const model::Dot dot : more) entry.vector.raise(dot);
  return entry;
}

}  // namespace grapevine::storage
