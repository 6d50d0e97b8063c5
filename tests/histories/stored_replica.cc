#include "tests/histories/stored_replica.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grapevine::histories {
namespace {

class View final : public gossip::GhostlyView {
 public:
  View(std::unique_ptr<gossip::PartitionView> frozen, ReachedByKey reached)
      : frozen_(std::move(frozen)), reached_(std::move(reached)) {}

  const model::Clock& clock() const override { return frozen_->clock(); }
  const model::TokenRange& range() const override { return frozen_->range(); }
  std::optional<model::DigestShare> share(const model::TokenRange& range) const override {
    return frozen_->share(range);
  }
  absl::StatusOr<std::vector<model::Item>> items(
      const model::TokenRange& range, std::size_t limit,
      const std::optional<std::string>& after_key) const override {
    return frozen_->items(range, limit, after_key);
  }
  absl::StatusOr<model::Entry> load(std::string_view key) const override {
    return frozen_->load(key);
  }
  const ReachedByKey& reached() const override { return reached_; }

 private:
  const std::unique_ptr<gossip::PartitionView> frozen_;
  const ReachedByKey reached_;
};

}  // namespace

StoredReplica::StoredReplica(LossyDisk& disk, HandTime& time, std::size_t index, std::uint64_t seed,
                             storage::StoreOptions options)
    : disk_(disk), time_(time), random_(seed), options_(std::move(options)) {
  options_.directory = fmt::format("/replica{}", index);
  options_.environment = disk_.environment();
  options_.life = {fmt::format("machine {}", index), "boot 1", "directory 1"};
}

StoredReplica::~StoredReplica() {
  if (store_ != nullptr) drop();
  disk_.remove(options_.directory);
}

// ---- ports ----

const gossip::PartitionView& StoredReplica::live(PartitionId partition) const {
  return replica_->live(partition);
}

std::unique_ptr<gossip::PartitionView> StoredReplica::freeze(PartitionId partition) const {
  return std::make_unique<View>(replica_->freeze(partition), reached(partition));
}

gossip::Replica::NamedDots StoredReplica::name_dots(PartitionId partition,
                                                    const std::vector<model::DotRange>& dots,
                                                    bool with_young, std::size_t limit) const {
  return replica_->name_dots(partition, dots, with_young, limit);
}

absl::Status StoredReplica::merge(PartitionId partition, std::vector<model::KeyedEntry> entries) {
  std::vector<std::string> keys;
  for (const model::KeyedEntry& entry : entries) keys.push_back(entry.key);
  GRAPEVINE_RETURN_IF_ERROR(replica_->merge(partition, std::move(entries)));
  for (const std::string& key : keys) {
    const auto ghost = arriving_->find(key);
    if (ghost != arriving_->end()) reached_[key] |= ghost->second;
  }
  remember();
  return absl::OkStatus();
}

absl::Status StoredReplica::adopt(PartitionId partition, const model::Clock& clock) {
  GRAPEVINE_RETURN_IF_ERROR(replica_->adopt(partition, clock));
  if (arriving_ != nullptr) {
    for (const auto& [key, events] : *arriving_) {
      if (store_->partitioning().of(key) == partition) reached_[key] |= events;
    }
  }
  remember();
  return absl::OkStatus();
}

std::vector<PartitionId> StoredReplica::partitions() const {
  std::vector<PartitionId> ids;
  for (std::uint32_t i = 0; i < options_.partitions; ++i) ids.push_back({i});
  return ids;
}

ReachedByKey StoredReplica::reached(PartitionId partition) const {
  ReachedByKey of_partition;
  for (const auto& [key, events] : reached_) {
    if (store_->partitioning().of(key) == partition) of_partition.emplace(key, events);
  }
  return of_partition;
}

Reached StoredReplica::reached(std::string_view key) const {
  const auto ghost = reached_.find(std::string(key));
  return ghost == reached_.end() ? Reached{} : ghost->second;
}

absl::Status StoredReplica::receive(const std::vector<model::KeyedEntry>& entries,
                                    const ReachedByKey& reached) {
  GRAPEVINE_RETURN_IF_ERROR(replica_->receive(entries, storage::Reach::kDisk).status());
  for (const auto& [key, events] : reached) reached_[key] |= events;
  remember();
  return absl::OkStatus();
}

absl::Status StoredReplica::close(PartitionId partition, ActorId last, const ReachedByKey& gone) {
  GRAPEVINE_RETURN_IF_ERROR(replica_->close_actors(partition, last.node(), last.epoch()));
  for (const auto& [key, events] : gone) reached_[key] |= events;
  remember();
  return absl::OkStatus();
}

void StoredReplica::committed(storage::CommitNumber number, const ReachedByKey& reached) {
  for (const auto& [key, events] : reached) reached_[key] |= events;
  remember();
  store_->when_durable(number, [this, point = points_.size() - 1] {
    acknowledged_ = std::max(acknowledged_, point);
  });
}

void StoredReplica::remember() {
  points_.push_back({disk_.log_end(options_.directory), reached_});
}

absl::Status StoredReplica::upkeep_all() {
  constexpr int kStepsMax = 10'000;
  for (int step = 0; step < kStepsMax; ++step) {
    GRAPEVINE_ASSIGN_OR_RETURN(const bool more, store_->upkeep(1'000));
    if (!more) return absl::OkStatus();
    executor_->run_all();
  }
  return absl::InternalError("upkeep never ends");
}

// ---- lives ----

absl::Status StoredReplica::open(bool salvage) {
  executor_ = std::make_unique<HandExecutor>();
  fatal_.clear();
  options_.salvage = salvage;
  auto opened =
      storage::Store::open(options_, *executor_, time_, random_,
                           [this](absl::Status status) { fatal_.push_back(std::move(status)); });
  if (!opened.ok()) return opened.status();
  store_ = *std::move(opened);
  replica_ = std::make_unique<server::StoreReplica>(*store_, [this] {
    ++renewals_;
    return store_->renew_actor();
  });
  // Opening writes out what it reads from the log.
  points_.assign(1, Point{{}, reached_});
  acknowledged_ = 0;
  return absl::OkStatus();
}

// The objects go; on the disk nothing happens.
void StoredReplica::drop() {
  disk_.freeze(options_.directory);
  replica_.reset();
  store_.reset();
  executor_.reset();
  disk_.thaw(options_.directory);
}

absl::Status StoredReplica::stop() {
  executor_->run_all();
  replica_.reset();
  const absl::Status closed = store_->close();
  store_.reset();
  executor_.reset();
  return closed;
}

void StoredReplica::kill() {
  drop();
}

template <typename Holds>
std::size_t StoredReplica::last_held(const Holds& holds) const {
  std::size_t last = points_.size() - 1;
  while (last > 0 && !holds(points_[last].end)) --last;
  return last;
}

bool StoredReplica::lose_power(Random& random) {
  const bool was_open = store_ != nullptr;
  if (was_open) drop();
  disk_.lose_power(options_.directory, random);
  options_.life.boot = fmt::format("boot {}", ++boots_);
  if (!was_open)
    return true;  // stopped cleanly: nothing may be lost, and nothing is forgotten here
  const std::size_t last =
      last_held([&](const LossyDisk::LogEnd& end) { return disk_.holds(options_.directory, end); });
  reached_ = points_[last].reached;
  return last >= acknowledged_;
}

StoredReplica::Backup StoredReplica::back_up() const {
  return {disk_.copy(options_.directory), reached_};
}

StoredReplica::Backup StoredReplica::copy_while_running(Random& random) const {
  Backup backup{disk_.copy_while_running(options_.directory, random), {}};
  const std::size_t last =
      last_held([&](const LossyDisk::LogEnd& end) { return LossyDisk::holds(backup.image, end); });
  backup.reached = points_[last].reached;
  return backup;
}

void StoredReplica::restore(const Backup& backup) {
  if (store_ != nullptr) drop();
  disk_.place(options_.directory, backup.image);
  options_.life.directory = fmt::format("directory {}", ++directories_);
  reached_ = backup.reached;
}

// ---- damage ----

std::string StoredReplica::damage(Random& random) {
  LossyDisk::Image image = disk_.copy(options_.directory);
  std::vector<std::string> tables;
  std::string manifest;
  for (const auto& [name, bytes] : image) {
    if (name.ends_with(".sst") && !bytes.empty()) tables.push_back(name);
    if (name.starts_with("MANIFEST")) manifest = name;
  }
  const double how = random.unit();
  std::string done;
  turned_ = {};
  if (how < 0.08 && !manifest.empty()) {
    if (how < 0.05) image.erase(manifest);
    if (how >= 0.03) image.erase("CURRENT");
    done = how < 0.03   ? "loses its manifest"
           : how < 0.05 ? "loses CURRENT and its manifest"
                        : "loses CURRENT";
  } else if (tables.empty()) {
    return {};
  } else if (const std::string& table = tables[random.below(tables.size())]; how < 0.4) {
    image.erase(table);
    done = "loses table " + table;
  } else {
    std::string& bytes = image[table];
    turned_ = {table, bytes};
    bytes[random.below(bytes.size())] ^= static_cast<char>(1U << random.below(8));
    done = "has a byte of table " + table + " turned over";
  }
  disk_.place(options_.directory, image);
  return done;
}

bool StoredReplica::turn_back() {
  if (turned_.table.empty()) return false;
  kill();
  LossyDisk::Image image = disk_.copy(options_.directory);
  const auto table = image.find(turned_.table);
  if (table != image.end()) table->second = turned_.bytes;
  disk_.place(options_.directory, image);
  return true;
}

void StoredReplica::refill() {
  disk_.remove(options_.directory);
  options_.life.directory = fmt::format("directory {}", ++directories_);
  reached_.clear();
}

absl::Status StoredReplica::add_up(PartitionId partition) {
  constexpr std::size_t kKeysAStretch = 3;
  std::optional<model::Token> from = store_->partitioning().range(partition).first;
  absl::Status status;
  while (from.has_value() && status.ok()) {
    store_->add_up(partition, *from, kKeysAStretch,
                   [&](const absl::StatusOr<std::optional<model::Token>>& next) {
                     status = next.status();
                     if (next.ok()) from = *next;
                   });
    executor_->run_all();
  }
  return status;
}

bool StoredReplica::scrub_all() {
  constexpr std::size_t kKeysAStretch = 100;
  const std::uint64_t keys = store_->statistics().keys;
  std::uint64_t before = ~std::uint64_t{0};
  while (fatal_.empty() && store_->statistics().keys_scrubbed < keys &&
         before != store_->statistics().keys_scrubbed) {
    before = store_->statistics().keys_scrubbed;
    for (std::uint32_t i = 0; i < options_.partitions; ++i) {
      store_->scrub(kKeysAStretch);
      executor_->run_all();
    }
  }
  // Where no entry is, the scrub reads nothing, and others do.
  for (const PartitionId id : partitions()) {
    const storage::View& view = store_->live(id);
    view.scan(view.range(), std::nullopt, model::Values::kWith,
              [](std::string_view, const model::Entry&) { return true; })
        .IgnoreError();
  }
  store_->upkeep(1).status().IgnoreError();
  return fatal_.empty();
}

void StoredReplica::left_with(ReachedByKey reached) {
  reached_ = std::move(reached);
  points_.assign(1, Point{{}, reached_});
}

}  // namespace grapevine::histories
