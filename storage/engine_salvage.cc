// Going on with what can be read of a damaged database.
#include <utility>

#include <fmt/format.h>

#include "storage/engine_rocksdb.h"

namespace grapevine::storage {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
// How near the end of what cannot be read is looked for: a part in 16 million of all tokens, less
// than one block of a table.
constexpr std::uint64_t kLostStep = std::uint64_t{1} << 40;

constexpr model::TokenRange kEverything{{0}, {~std::uint64_t{0}}};

}  // namespace

class Engine::Salvage {
 public:
  Salvage(Engine& engine, const Families& to) : engine_(engine), to_(to) {}

  // Copies all entries, but for those that cannot be read.
  absl::Status copy() {
    model::TokenRange left = kEverything;
    for (;;) {
      const absl::Status read = copy_readable(left);
      if (!absl::IsDataLoss(read)) return read;
      const auto next = next_readable(left);
      const std::uint64_t last = next.has_value() ? next->value - 1 : left.last.value;
      lost_.push_back(
          fmt::format("tokens {:016x} to {:016x}: {}", left.first.value, last, text_of(read)));
      if (!next.has_value()) return write();
      left.first = *next;
    }
  }

  std::vector<std::string> take_lost() { return std::move(lost_); }

 private:
  // Until something cannot be read; `left` then begins with the last token that could, of which some
  // keys may have been copied.
  absl::Status copy_readable(model::TokenRange& left) {
    absl::Status written;
    const absl::Status read = engine_.scan(
        left, std::nullopt, model::Values::kWith, nullptr, /*fill_cache=*/false, Reach::kDisk,
        [&](model::Token token, std::string_view key, const model::Entry& entry) {
          left.first = token;
          engine_.put_entry_to(to_, batch_, token, key, entry, {});
          if (batch_.GetDataSize() >= kBatchBytes) written = write();
          return written.ok();
        });
    GRAPEVINE_RETURN_IF_ERROR(written);
    GRAPEVINE_RETURN_IF_ERROR(read);
    return write();
  }

  // The first token behind what cannot be read at the beginning of `left`; nullopt: there is none.
  std::optional<model::Token> next_readable(const model::TokenRange& left) const {
    const std::uint64_t room = left.last.value - left.first.value;
    std::uint64_t step = kLostStep;
    while (step <= room / 2 && !is_readable({left.first.value + step}, left.last)) step *= 2;
    if (step > room || !is_readable({left.first.value + step}, left.last)) return std::nullopt;
    for (std::uint64_t bad = step / 2; step - bad > kLostStep;) {
      const std::uint64_t middle = bad + (step - bad) / 2;
      (is_readable({left.first.value + middle}, left.last) ? step : bad) = middle;
    }
    return model::Token{left.first.value + step};
  }

  bool is_readable(model::Token from, model::Token last) const {
    return engine_
        .scan({from, last}, std::nullopt, model::Values::kWith, nullptr, /*fill_cache=*/false,
              Reach::kDisk,
              [](model::Token, std::string_view, const model::Entry&) { return false; })
        .ok();
  }

  // Not logged: the families count only when they are whole.
  absl::Status write() {
    rocksdb::WriteOptions unlogged;
    unlogged.disableWAL = true;
    const rocksdb::Status status = engine_.db_->Write(unlogged, &batch_);
    batch_.Clear();
    return from_rocksdb(status, fmt::format("{}: copying what can be read", engine_.directory_));
  }

  Engine& engine_;
  const Families& to_;
  rocksdb::WriteBatch batch_;
  std::vector<std::string> lost_;
};

absl::StatusOr<std::vector<std::string>> Engine::salvage() {
  const auto failed = [&](const rocksdb::Status& status) {
    return from_rocksdb(status, fmt::format("{}: copying what can be read", directory_));
  };
  Families fresh = families_;
  for (auto [family, name] :
       {std::pair(&fresh.data, kDataFamily), std::pair(&fresh.values, kValuesFamily),
        std::pair(&fresh.expiry, kExpiryFamily)}) {
    GRAPEVINE_RETURN_IF_ERROR(failed(db_->CreateColumnFamily(
        options_of_family(name, options_, cache_), of_generation(name, generation_ + 1), family)));
  }
  Salvage salvage(*this, fresh);
  GRAPEVINE_RETURN_IF_ERROR(salvage.copy());
  GRAPEVINE_RETURN_IF_ERROR(failed(db_->Flush({}, {fresh.data, fresh.values, fresh.expiry})));

  rocksdb::WriteBatch batch;
  std::string generation;
  model::put_varint(generation, generation_ + 1);
  put_meta(batch, kMetaFamilies, generation);
  GRAPEVINE_RETURN_IF_ERROR(write(batch, Stall::kWait));
  GRAPEVINE_RETURN_IF_ERROR(sync());
  drop(std::exchange(families_.data, fresh.data));
  drop(std::exchange(families_.values, fresh.values));
  drop(std::exchange(families_.expiry, fresh.expiry));
  ++generation_;
  const std::lock_guard lock(damage_mutex_);
  damage_.reset();
  return salvage.take_lost();
}

}  // namespace grapevine::storage
