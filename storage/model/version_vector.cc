#include "storage/model/version_vector.h"

#include <algorithm>

namespace grapevine::model {
namespace {

template <typename Items>
auto find_place(Items& items, ActorId actor) {
  return std::lower_bound(
      items.begin(), items.end(), actor,
      [](const VersionVector::Item& item, ActorId wanted) { return item.first < wanted; });
}

// Whether `item`, the first at or after `actor`, tells of it: its own, or the marker of a later epoch.
bool tells_of(const VersionVector::Item& item, ActorId actor) {
  return item.first == actor || (item.first.node() == actor.node() && item.second == kClosed);
}

}  // namespace

std::uint64_t VersionVector::of(ActorId actor) const {
  const auto place = find_place(items_, actor);
  return place == items_.end() || !tells_of(*place, actor) ? 0 : place->second;
}

bool VersionVector::covers(const VersionVector& other) const {
  return std::all_of(other.items_.begin(), other.items_.end(),
                     [&](const Item& item) { return item.second <= of(item.first); });
}

void VersionVector::raise(ActorId actor, std::uint64_t counter) {
  if (counter == 0) return;
  const auto place = find_place(items_, actor);
  if (place == items_.end() || !tells_of(*place, actor)) {
    items_.insert(place, Item{actor, counter});
  } else {
    place->second = std::max(place->second, counter);
  }
  if (counter != kClosed) return;
  items_.erase(find_place(items_, ActorId::of(actor.node(), 0)), find_place(items_, actor));
}

void VersionVector::raise(const VersionVector& other) {
  for (const auto& [actor, counter] : other.items_) raise(actor, counter);
}

void VersionVector::encode(std::string& out) const {
  put_varint(out, items_.size());
  for (const auto& [actor, counter] : items_) {
    put_fixed64(out, actor.value);
    put_varint(out, counter);
  }
}

absl::StatusOr<VersionVector> VersionVector::decode(ByteReader& in) {
  VersionVector vector;
  const std::uint64_t item_count = in.varint();
  for (std::uint64_t i = 0; i < item_count && in.ok(); ++i) {
    const ActorId actor{in.fixed64()};
    const std::uint64_t counter = in.varint();
    if (!in.ok()) break;
    if (counter == 0 || counter > kClosed || (i > 0 && actor <= vector.items_.back().first)) {
      return absl::DataLossError("version vector: items empty, out of range or out of order");
    }
    if (counter == kClosed && i > 0 && actor.node() == vector.items_.back().first.node()) {
      return absl::DataLossError("version vector: a closed actor, and an item that it implies");
    }
    vector.items_.emplace_back(actor, counter);
  }
  if (!in.ok()) return absl::DataLossError("version vector: cut short");
  return vector;
}

}  // namespace grapevine::model
