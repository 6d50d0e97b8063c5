// Opening a store: whose directory it is, which actor it goes on as, its clocks and its trees.
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "storage/base/check.h"
#include "storage/engine_rocksdb.h"
#include "storage/identity.h"
#include "storage/life.h"
#include "storage/store.h"

namespace grapevine::storage {
namespace {

absl::Status in_directory(const std::string& directory, const absl::Status& status) {
  if (status.ok()) return status;
  std::string text = fmt::format("data directory {}: {}", directory, text_of(status));
  if (absl::IsDataLoss(status) && text.find(kRefill) == std::string::npos) {
    text += fmt::format("; {}", kRefill);
  }
  return {status.code(), text};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::open(StoreOptions options, Executor& executor,
                                                   const TimeSource& time, Random& random,
                                                   std::function<void(absl::Status)> on_fatal) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto engine, Engine::open(options));
  const std::string directory = options.directory;
  std::unique_ptr<Store> store(
      new Store(std::move(options), std::move(engine), executor, time, std::move(on_fatal)));
  GRAPEVINE_RETURN_IF_ERROR(in_directory(directory, store->recover(random)));
  return store;
}

absl::Status Store::recover(Random& random) {
  GRAPEVINE_RETURN_IF_ERROR(recover_identity(random));
  GRAPEVINE_RETURN_IF_ERROR(recover_clocks());
  return rebuild_trees();
}

absl::Status Store::recover_identity(Random& random) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto identity_bytes, engine_->get_meta(kMetaIdentity));
  if (!identity_bytes.has_value()) {
    const NodeId node{1 + random.below(NodeId::kMax)};
    return write_identity(ActorId::of(node, 1), /*stopped_cleanly=*/false);
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
  if (life_bytes.has_value()) {
    GRAPEVINE_ASSIGN_OR_RETURN(const LifeRecord last, LifeRecord::decode(*life_bytes));
    kept_actor_ = keeps_actor(last, options_.life);
  }
  const ActorId actor =
      kept_actor_ ? identity.actor : ActorId::of(identity.actor.node(), identity.actor.epoch() + 1);
  return write_identity(actor, /*stopped_cleanly=*/false);
}

absl::Status Store::renew_actor() {
  kept_actor_ = false;
  return write_identity(ActorId::of(actor_.node(), actor_.epoch() + 1),
                        /*stopped_cleanly=*/false);
}

absl::Status Store::write_identity(ActorId actor, bool stopped_cleanly) {
  GRAPEVINE_CHECK(actor.epoch() >= 1, "epochs begin at 1 and do not run out");
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
  return engine_->scan_meta(kMetaJournal, [&](std::string_view bytes) -> absl::Status {
    GRAPEVINE_ASSIGN_OR_RETURN(const JournalRecord record, JournalRecord::decode(bytes));
    journal_sequence_ = std::max(journal_sequence_, record.sequence);
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

absl::Status Store::rebuild_trees() {
  for (const auto& partition : partitions_) {
    std::vector<std::pair<model::Token, model::DigestShare>> shares;
    const model::TokenRange range = partition->tree.token_range();
    GRAPEVINE_RETURN_IF_ERROR(
        engine_->scan(range, std::nullopt, model::Values::kWithout, nullptr, /*fill_cache=*/false,
                      [&](model::Token token, std::string_view key, const model::Entry& stored) {
                        shares.emplace_back(token, model::share_of(digester_, key, stored));
                        return true;
                      }));
    partition->tree = model::DigestTree::build(range, shares);
  }
  return absl::OkStatus();
}

}  // namespace grapevine::storage
