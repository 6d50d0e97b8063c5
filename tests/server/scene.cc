#include "tests/server/scene.h"

#include <algorithm>

#include <rocksdb/file_system.h>

#include "storage/base/check.h"
#include "storage/engine_rocksdb.h"

namespace grapevine::server::test {
namespace {

// RocksDB's files in memory deny that they can be synced beside a write, though nothing in them
// minds; SyncWAL insists. And their disk is never full.
class MemoryFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  MemoryFile(std::unique_ptr<rocksdb::FSWritableFile>&& below, std::shared_ptr<const bool> full)
      : FSWritableFileOwnerWrapper(std::move(below)), full_(std::move(full)) {}

  bool IsSyncThreadSafe() const override { return true; }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    if (*full_) return rocksdb::IOStatus::NoSpace("full, says the test");
    return FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&,
                           rocksdb::IODebugContext* context) override {
    return Append(data, options, context);
  }

 private:
  std::shared_ptr<const bool> full_;
};

class MemoryTable final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  MemoryTable(std::unique_ptr<rocksdb::FSRandomAccessFile>&& below, std::shared_ptr<Gate> reads)
      : FSRandomAccessFileOwnerWrapper(std::move(below)), reads_(std::move(reads)) {}

  rocksdb::IOStatus Read(std::uint64_t offset, std::size_t count, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* context) const override {
    reads_->pass();
    return FSRandomAccessFileOwnerWrapper::Read(offset, count, options, result, scratch, context);
  }

 private:
  std::shared_ptr<Gate> reads_;
};

class MemoryFiles final : public rocksdb::FileSystemWrapper {
 public:
  MemoryFiles(const std::shared_ptr<rocksdb::FileSystem>& below, std::shared_ptr<const bool> full,
              std::shared_ptr<Gate> tables, std::shared_ptr<Gate> reads)
      : FileSystemWrapper(below),
        full_(std::move(full)),
        tables_(std::move(tables)),
        reads_(std::move(reads)) {}

  const char* Name() const override { return "MemoryFiles"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (name.ends_with(".sst")) tables_->pass();
    std::unique_ptr<rocksdb::FSWritableFile> below;
    const rocksdb::IOStatus status = target()->NewWritableFile(name, options, &below, context);
    if (status.ok()) *file = std::make_unique<MemoryFile>(std::move(below), full_);
    return status;
  }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* context) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> below;
    const rocksdb::IOStatus status = target()->NewRandomAccessFile(name, options, &below, context);
    if (status.ok()) *file = std::make_unique<MemoryTable>(std::move(below), reads_);
    return status;
  }

 private:
  std::shared_ptr<const bool> full_;
  std::shared_ptr<Gate> tables_;
  std::shared_ptr<Gate> reads_;
};

}  // namespace

MemoryStore::MemoryStore(std::uint64_t seed, std::uint32_t partitions)
    : MemoryStore(seed, partitions, Earlier()) {}

MemoryStore::MemoryStore(std::uint64_t seed, std::uint32_t partitions, const Earlier& earlier)
    : memory_(rocksdb::NewMemEnv(rocksdb::Env::Default())),
      disk_(rocksdb::NewCompositeEnv(
          std::make_shared<MemoryFiles>(memory_->GetFileSystem(), full_, tables_, reads_))),
      environment_{disk_.get(), {}},
      random_(seed) {
  storage::StoreOptions options;
  options.directory = "/store";
  options.partitions = partitions;
  options.life = {"machine", "boot", "directory"};
  options.block_cache_bytes = std::size_t{1} << 20;
  options.environment = &environment_;
  options.memtable_bytes = earlier.memtable_bytes;
  storage::Executor& executor = earlier.executor != nullptr ? *earlier.executor : executor_;
  open(options, executor);
  if (earlier.written.empty()) return;
  for (const auto& [key, value] : earlier.written) put(key, value);
  store_.reset();
  if (!earlier.lost.empty()) {
    auto engine = storage::Engine::open(options);
    GRAPEVINE_CHECK(engine.ok(), "a store in memory opens");
    rocksdb::WriteBatch batch;
    (*engine)->put_entry(batch, model::token_of(earlier.lost), earlier.lost, {}, {});
    EXPECT_TRUE(ok((*engine)->write(batch, storage::Stall::kWait)));
  }
  open(options, executor);
}

void MemoryStore::open(const storage::StoreOptions& options, storage::Executor& executor) {
  auto opened = storage::Store::open(options, executor, time_, random_,
                                     [](const absl::Status& status) { ADD_FAILURE() << status; });
  EXPECT_TRUE(ok(opened.status()));
  GRAPEVINE_CHECK(opened.ok(), "a store in memory opens");
  store_ = *std::move(opened);
}

void MemoryStore::stall() {
  tables_->shut();
  for (int i = 0; i < 100'000; ++i) {
    auto batch = store_->begin();
    ASSERT_TRUE(ok(batch.status()));
    const std::string key = "fill" + std::to_string(i);
    ASSERT_TRUE(
        ok((*batch)->write({key, std::string(4'000, 'v'), std::nullopt, WallTime{1}, 0}).status()));
    const absl::Status status = store_->commit(*std::move(batch)).status();
    if (storage::is_stalled(status)) return;
    ASSERT_TRUE(ok(status));
  }
  FAIL() << "never stalled";
}

void MemoryStore::flow_again() {
  tables_->open();
  ASSERT_TRUE(ok(store_->put_note("waits", "for the flush")));
}

MemoryStore::~MemoryStore() {
  tables_->open();
  reads_->open();
  sync();
}

void MemoryStore::sync() {
  while (!executor_.waiting.empty()) {
    const auto [work, done] = std::move(executor_.waiting.front());
    executor_.waiting.pop_front();
    work();
    done();
  }
}

model::Dot MemoryStore::put(std::string_view key, std::string_view value) {
  auto batch = store_->begin();
  EXPECT_TRUE(batch.ok()) << batch.status();
  const auto outcome =
      (*batch)->write({key, std::string(value), std::nullopt, WallTime{1}, /*write_id=*/0});
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(ok(store_->commit(*std::move(batch)).status()));
  sync();
  return outcome->dot;
}

absl::Status MemoryStore::receive(model::KeyedEntry received) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto batch, store_->begin());
  GRAPEVINE_RETURN_IF_ERROR(batch->receive(std::move(received)));
  return store_->commit(std::move(batch)).status();
}

model::Entry MemoryStore::entry(std::string_view key) const {
  auto entry = store_->load(key, model::Values::kWith);
  EXPECT_TRUE(entry.ok()) << entry.status();
  return entry.ok() ? *std::move(entry) : model::Entry{};
}

Strings MemoryStore::values(std::string_view key) const {
  Strings values;
  for (const model::Version& version : entry(key).versions) values.push_back(version.value);
  std::sort(values.begin(), values.end());
  return values;
}

model::Version version_of(model::Dot dot, std::string_view value, std::uint64_t write_id) {
  model::Version version;
  version.dot = dot;
  version.written = WallTime{1};
  version.write_id = static_cast<std::uint32_t>(write_id);
  version.checksum = model::value_checksum(value);
  version.value_bytes = value.size();
  version.value = value;
  return version;
}

model::Entry entry_of(std::vector<model::Version> versions, std::vector<model::Dot> more) {
  model::Entry entry;
  for (model::Version& version : versions) {
    entry.vector.raise(version.dot);
    entry.insert(std::move(version));
  }
  for (const model::Dot dot : more) entry.vector.raise(dot);
  return entry;
}

model::Entry heads_of(model::Entry entry) {
  for (model::Version& version : entry.versions) model::drop_value(version);
  return entry;
}

absl::StatusCode code_of(const OperationAnswer& answer) {
  const auto* status = std::get_if<absl::Status>(&answer);
  return status == nullptr ? absl::StatusCode::kOk : status->code();
}

std::string text_of_answer(const OperationAnswer& answer) {
  const auto* status = std::get_if<absl::Status>(&answer);
  return status == nullptr ? std::string() : std::string(text_of(*status));
}

Strings values_of(const OperationAnswer& answer) {
  const auto* read = std::get_if<ReadAnswer>(&answer);
  if (read == nullptr) {
    ADD_FAILURE() << "not what a read answers: " << text_of_answer(answer);
    return {};
  }
  Strings values;
  for (const model::Version& version : read->siblings) {
    EXPECT_TRUE(version.has_value);
    values.push_back(version.value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

std::string context_of(const OperationAnswer& answer) {
  if (const auto* read = std::get_if<ReadAnswer>(&answer)) return read->context;
  if (const auto* written = std::get_if<WriteAnswer>(&answer)) return written->context;
  ADD_FAILURE() << "an error has no context: " << text_of_answer(answer);
  return {};
}

model::Dot dot_of(const OperationAnswer& answer) {
  const auto* written = std::get_if<WriteAnswer>(&answer);
  if (written == nullptr) {
    ADD_FAILURE() << "not what a write answers: " << text_of_answer(answer);
    return {};
  }
  return written->dot;
}

}  // namespace grapevine::server::test
