#include "storage/view.h"

#include "storage/engine_rocksdb.h"
#include "storage/partition.h"

namespace grapevine::storage {

View::View(const Engine& engine, const model::Digester& digester, const Partition& live)
    : engine_(engine), digester_(digester), live_(live) {}

std::unique_ptr<View> View::freeze(const View& live) {
  auto frozen = std::make_unique<View>(live.engine_, live.digester_, live.live_);
  frozen->frozen_ = Frozen{live.engine_.moment(), live.live_.clock, live.live_.tree};
  return frozen;
}

const model::Clock& View::clock() const {
  return frozen_.has_value() ? frozen_->clock : live_.clock;
}

const model::DigestTree& View::tree() const {
  return frozen_.has_value() ? frozen_->tree : live_.tree;
}

const model::Sketch* View::sketch() const {
  return frozen_.has_value() ? nullptr : &live_.sketch;
}

Moment View::moment() const {
  return frozen_.has_value() ? frozen_->moment : engine_.moment();
}

absl::StatusOr<model::Entry> View::load(std::string_view key, model::Values values,
                                        Reach reach) const {
  GRAPEVINE_ASSIGN_OR_RETURN(auto stored, engine_.get(key, values, at(), reach));
  model::Entry entry = stored.has_value() ? *std::move(stored) : model::Entry{};
  model::fill(entry, clock());
  return entry;
}

absl::StatusOr<std::vector<model::Item>> View::items(
    const model::TokenRange& range, std::size_t limit,
    const std::optional<std::string>& after_key) const {
  std::vector<model::Item> items;
  GRAPEVINE_RETURN_IF_ERROR(scan_stored(range, after_key, model::Values::kWithout, Reach::kDisk,
                                        [&](std::string_view key, const model::Entry& stored) {
                                          if (items.size() == limit) return false;
                                          items.push_back(
                                              {std::string(key), digester_.key_hash(key),
                                               digester_.digest(key, stored).low, !stored.quiet()});
                                          return true;
                                        }));
  return items;
}

absl::Status View::scan_stored(const model::TokenRange& range,
                               const std::optional<std::string>& after_key, model::Values values,
                               Reach reach, const VisitStored& visit, const Moment* at) const {
  return engine_.scan(range, after_key, values, at != nullptr ? at : this->at(),
                      /*fill_cache=*/true, reach,
                      [&](model::Token, std::string_view key, model::Entry stored) {
                        return visit(key, std::move(stored));
                      });
}

}  // namespace grapevine::storage
