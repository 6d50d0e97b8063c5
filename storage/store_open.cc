// Opening a store: whose directory it is, which actor it goes on as, its clocks and its trees.
#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "storage/backup.h"
#include "storage/base/planted_flaws.h"
#include "storage/damage.h"
#include "storage/engine_rocksdb.h"
#include "storage/identity.h"
#include "storage/life.h"
#include "storage/store.h"
#include "storage/tree_checkpoint.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kKeysAReport = 4096;
constexpr std::size_t kLostToldMax = 20;

absl::Status in_directory(const std::string& directory, const absl::Status& status) {
  if (status.ok()) return status;
  const std::string place = fmt::format("data directory {}: ", directory);
  std::string text(text_of(status));
  if (!text.starts_with(place)) text = place + text;
  if (absl::IsDataLoss(status) && text.find(kRefill) == std::string::npos) {
    text += fmt::format("; {}", kRefillOrSalvage);
  }
  return {status.code(), text};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::open(StoreOptions options, Executor& executor,
                                                   const TimeSource& time, Random& random,
                                                   std::function<void(absl::Status)> on_fatal) {
  GRAPEVINE_RETURN_IF_ERROR(check_restored(options.directory, options.environment));
  const std::string directory = options.directory;
  if (options.salvage) {
    StoreOptions as_it_is = options;
    as_it_is.salvage = false;
    auto opened = open(std::move(as_it_is), executor, time, random, on_fatal);
    if (!absl::IsDataLoss(opened.status())) return opened;
  }
  auto engine = Engine::open(options);
  if (!engine.ok()) return in_directory(directory, engine.status());
  std::unique_ptr<Store> store(
      new Store(std::move(options), *std::move(engine), executor, time, std::move(on_fatal)));
  GRAPEVINE_RETURN_IF_ERROR(in_directory(directory, store->recover(random)));
  return store;
}

// The identity is written last: an opening that is given up leaves the directory to the next one as
// it was. Whatever makes dots forgotten takes a new actor first.
absl::Status Store::recover(Random& random) {
  GRAPEVINE_ASSIGN_OR_RETURN(const Past past, recover_identity(random));
  actor_ = past.actor;
  if (!engine_->fell_back().empty()) {
    findings_.push_back(
        fmt::format("the write-ahead log is damaged, what stood behind the damage is lost: {}",
                    engine_->fell_back()));
    GRAPEVINE_RETURN_IF_ERROR(renew_actor());
  }
  GRAPEVINE_RETURN_IF_ERROR(recover_clocks());
  GRAPEVINE_RETURN_IF_ERROR(recover_entries(past.stopped_cleanly));
  GRAPEVINE_RETURN_IF_ERROR(engine_->compact());
  GRAPEVINE_RETURN_IF_ERROR(write_identity(actor_, /*stopped_cleanly=*/false));
  remove_damage_note(engine_->env(), options_.directory);
  return absl::OkStatus();
}

absl::StatusOr<Store::Past> Store::recover_identity(Random& random) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto identity_bytes, engine_->get_meta(kMetaIdentity));
  if (!identity_bytes.has_value()) {
    const NodeId node{1 + random.below(NodeId::kMax)};
    return Past{ActorId::of(node, 1)};
  }
  GRAPEVINE_ASSIGN_OR_RETURN(const Identity identity, Identity::decode(*identity_bytes));
  if (identity.cluster_name != options_.cluster_name) {
    return absl::FailedPreconditionError(
        fmt::format("belongs to cluster \"{}\", not \"{}\"; choose another --data-dir, or give "
                    "--cluster-name {}",
                    identity.cluster_name, options_.cluster_name, identity.cluster_name));
  }
  if (identity.partitions != options_.partitions) {
    return absl::FailedPreconditionError(
        fmt::format("was made with {} partitions, not {}, and their number is fixed for good; give "
                    "--partitions {}",
                    identity.partitions, options_.partitions, identity.partitions));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(auto life_bytes, engine_->get_meta(kMetaLife));
  std::optional<LifeRecord> last;
  if (life_bytes.has_value()) {
    GRAPEVINE_ASSIGN_OR_RETURN(last, LifeRecord::decode(*life_bytes));
  }
  // Where files were repaired the identity itself may be an older one.
  const Memory memory = options_.salvage ? Memory::kElsewhere : memory_of(last, options_.life);
  kept_actor_ = memory == Memory::kWhole;
  from_elsewhere_ = memory == Memory::kElsewhere;
  GRAPEVINE_ASSIGN_OR_RETURN(const ActorId actor, next_actor(identity.actor, memory, random));
  return Past{actor, last.has_value() && last->stopped_cleanly};
}

absl::Status Store::renew_actor() {
  const std::uint64_t behind = std::max(outlived_, actor_.epoch()) - actor_.epoch();
  GRAPEVINE_ASSIGN_OR_RETURN(const ActorId next, later_actor(actor_, behind + 1));
  kept_actor_ = false;
  return write_identity(next, /*stopped_cleanly=*/false);
}

absl::Status Store::write_identity(ActorId actor, bool stopped_cleanly) {
  rocksdb::WriteBatch writes;
  engine_->put_meta(writes, kMetaIdentity,
                    Identity{options_.cluster_name, options_.partitions, actor}.encode());
  engine_->put_meta(writes, kMetaLife, LifeRecord{options_.life, stopped_cleanly}.encode());
  GRAPEVINE_RETURN_IF_ERROR(write(writes));
  GRAPEVINE_RETURN_IF_ERROR(engine_->sync());
  actor_ = actor;
  return absl::OkStatus();
}

absl::Status Store::recover_clocks() {
  for (const auto& partition : partitions_) {
    GRAPEVINE_ASSIGN_OR_RETURN(auto bytes,
                               engine_->get_meta(meta_key(kMetaClock, partition->id.value)));
    if (!bytes.has_value()) continue;
    GRAPEVINE_ASSIGN_OR_RETURN(partition->clock, model::Clock::decode(std::string_view(*bytes)));
  }
  for (const auto& partition : partitions_) {
    GRAPEVINE_ASSIGN_OR_RETURN(const auto mark,
                               engine_->get_meta(meta_key(kMetaSuspect, partition->id.value)));
    partition->suspect = mark.has_value();
  }
  return engine_->scan_meta(
      kMetaJournal, [&](std::string_view, std::string_view bytes) -> absl::Status {
        GRAPEVINE_ASSIGN_OR_RETURN(const JournalRecord record, JournalRecord::decode(bytes));
        if (record.sequence > journal_sequence_) {
          journal_sequence_ = record.sequence;
          total_ = record.total;
        }
        for (const PlacedDot& placed : record.dots) {
          if (placed.partition.value >= partitions_.size()) {
            return absl::DataLossError("a journal record names a partition that does not exist");
          }
          Partition& partition = *partitions_[placed.partition.value];
          if (partition.clock.add(placed.dot)) partition.clock_changed = true;
        }
        return absl::OkStatus();
      });
}

// R9. What is stored must add up to what the last journal record says. The trees of a clean stop are
// taken at their word, if they do.
absl::Status Store::recover_entries(bool stopped_cleanly) {
  // Where damage was met it may be in values that stand apart; and a repair forgets their files. Who
  // left them in would stop at the next read of one, and again after that.
  const bool met_damage =
      options_.salvage || read_damage_note(engine_->env(), options_.directory).has_value();
  const bool doubtful = met_damage || !engine_->fell_back().empty();
  if (stopped_cleanly && !doubtful) {
    GRAPEVINE_ASSIGN_OR_RETURN(const bool have_read, read_trees());
    if (have_read && find_incomplete(total_).empty()) return absl::OkStatus();
  }
  const auto read_all_values = [&] {
    absl::Status go_on;
    const absl::Status all = engine_->scan(
        {{0}, {~std::uint64_t{0}}}, std::nullopt, model::Values::kWith, nullptr,
        /*fill_cache=*/false, Reach::kDisk,
        [&, keys = std::size_t{0}](model::Token token, std::string_view, const auto&) mutable {
          if (++keys % kKeysAReport == 0) go_on = check_opening(token);
          return go_on.ok();
        });
    return go_on.ok() ? all : go_on;
  };
  scanned_ = true;
  absl::Status read = rebuild_trees();
  if (read.ok() && met_damage) read = read_all_values();
  if (read.ok() && met_damage) {
    read = engine_->scan_expired([](WallTime, std::string_view, std::string_view) { return true; });
  }
  if (absl::IsDataLoss(read)) {
    findings_.emplace_back(text_of(read));
    GRAPEVINE_ASSIGN_OR_RETURN(auto lost, engine_->salvage());
    const std::size_t told = std::min(lost.size(), kLostToldMax);
    for (std::size_t i = 0; i < told; ++i) findings_.push_back("lost: " + std::move(lost[i]));
    if (told < lost.size()) {
      findings_.push_back(fmt::format("lost: {} more ranges of tokens", lost.size() - told));
    }
    read = rebuild_trees();
  }
  GRAPEVINE_RETURN_IF_ERROR(read);
  const std::vector<Partition*> incomplete = find_incomplete(total_);
  if (incomplete.empty()) return absl::OkStatus();
  findings_.push_back(
      fmt::format("the stored entries do not add up to what was written: {} of {} partitions may "
                  "have lost some",
                  incomplete.size(), partitions_.size()));
  return forget_all_but_entries(incomplete);
}

std::vector<Partition*> Store::find_incomplete(const Total& expected) const {
  const auto note = read_damage_note(engine_->env(), options_.directory);
  const bool note_fits = note.has_value() && note->sequence == journal_sequence_ &&
                         note->partitions.size() == partitions_.size();
  // A repair may have lost the record itself, or what clocks and the numbers of actors were.
  const bool repaired = options_.salvage;
  Total found;
  std::vector<Partition*> all;
  std::vector<Partition*> wrong;
  for (const auto& partition : partitions_) {
    Total alone;
    alone += partition->tree.root();
    found += partition->tree.root();
    all.push_back(partition.get());
    if (note_fits && alone != note->partitions[partition->id.value]) wrong.push_back(all.back());
  }
  if (note_fits && !repaired) return wrong;
  return found == expected && !repaired ? std::vector<Partition*>{} : all;
}

// The clock is all that says of an absent key that it was deleted: it shrinks to the live dots that
// are still there. Of an entry that is there it is not known whether it is the last one (where a
// table is lost, what it replaced comes back), so it keeps only what it says itself.
absl::Status Store::forget_all_but_entries(const std::vector<Partition*>& incomplete) {
  GRAPEVINE_RETURN_IF_ERROR(renew_actor());
  rocksdb::WriteBatch writes;
  for (Partition* const partition : incomplete) {
    if (!GRAPEVINE_FLAW(keeps_the_clock_after_damage)) partition->clock = {};
    partition->suspect = true;
    engine_->put_meta(writes, meta_key(kMetaSuspect, partition->id.value), "");
    GRAPEVINE_RETURN_IF_ERROR(
        engine_->scan(partition->tree.token_range(), std::nullopt, model::Values::kWithout, nullptr,
                      /*fill_cache=*/false, Reach::kDisk,
                      [&](model::Token, std::string_view, const model::Entry& stored) {
                        for (const auto& version : stored.versions) {
                          partition->clock.add(version.dot);
                        }
                        return true;
                      }));
  }
  // The records that are left would bring back what the clocks claimed before.
  for (std::uint64_t slot = 0; slot < JournalRecord::kSlots; ++slot) {
    engine_->delete_meta(writes, meta_key(kMetaJournal, slot));
  }
  for (const auto& partition : partitions_) partition->clock_changed = true;
  write_changed_clocks(writes);
  JournalRecord record;
  record.sequence = journal_sequence_ + 1;
  for (const auto& partition : partitions_) record.total += partition->tree.root();
  engine_->put_meta(writes, meta_key(kMetaJournal, record.sequence % JournalRecord::kSlots),
                    record.encode());
  GRAPEVINE_RETURN_IF_ERROR(write(writes));
  journal_sequence_ = record.sequence;
  total_ = record.total;
  for (const auto& partition : partitions_) partition->clock_changed = false;
  return absl::OkStatus();
}

// False when there are none that fit.
absl::StatusOr<bool> Store::read_trees() {
  for (const auto& partition : partitions_) {
    const model::TokenRange range = partition->tree.token_range();
    GRAPEVINE_RETURN_IF_ERROR(check_opening(range.first));
    GRAPEVINE_ASSIGN_OR_RETURN(const auto bytes,
                               engine_->get_meta(meta_key(kMetaTree, partition->id.value)));
    if (!bytes.has_value()) return false;
    auto read =
        decode_tree_checkpoint(*bytes, range, partition->sketch.cells().size(), journal_sequence_);
    if (!read.ok()) return false;
    partition->tree = std::move(read->tree);
    partition->sketch = std::move(read->sketch);
  }
  return true;
}

absl::Status Store::rebuild_trees() {
  for (const auto& partition : partitions_) {
    std::vector<std::pair<model::Token, model::DigestShare>> shares;
    const model::TokenRange range = partition->tree.token_range();
    absl::Status go_on = check_opening(range.first);
    GRAPEVINE_RETURN_IF_ERROR(go_on);
    GRAPEVINE_RETURN_IF_ERROR(engine_->scan(
        range, std::nullopt, model::Values::kWithout, nullptr, /*fill_cache=*/false, Reach::kDisk,
        [&](model::Token token, std::string_view key, const model::Entry& stored) {
          shares.emplace_back(token, model::share_of(digester_, key, stored));
          if (shares.size() % kKeysAReport == 0) go_on = check_opening(token);
          return go_on.ok();
        }));
    GRAPEVINE_RETURN_IF_ERROR(go_on);
    partition->tree = model::DigestTree::build(range, shares);
    partition->sketch = model::Sketch(partition->sketch.cells().size());
    for (const auto& [token, share] : shares) partition->sketch.change(token, {}, share.sum);
  }
  return absl::OkStatus();
}

// Tokens are hashes, so keys lie evenly among them.
absl::Status Store::check_opening(model::Token reached) const {
  const double fraction = static_cast<double>(reached.value) * 0x1.0p-64;
  if (!options_.on_opening || options_.on_opening(fraction)) return absl::OkStatus();
  return absl::CancelledError("the opening was given up");
}

}  // namespace grapevine::storage
