// Version vectors: how much of each actor's writing is known for one key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "storage/base/status.h"
#include "storage/model/bytes.h"
#include "storage/model/dot.h"

namespace grapevine::model {

// actor -> counter: for this key, the effect of every dot of that actor up to the counter is known;
// at kClosed also that of every dot of the node's earlier epochs.
//
// Value. Invariant: sorted by actor, no counter is 0, no item beside the marker that closes it; so
// equal vectors are equal objects. Costs: O(log n) to look up, O(n) to raise an actor that is new;
// n is a handful.
class VersionVector {
 public:
  using Item = std::pair<ActorId, std::uint64_t>;
  using Items = absl::InlinedVector<Item, 3>;

  std::uint64_t of(ActorId actor) const;  // kClosed for a closed one
  bool covers(Dot dot) const { return dot.counter <= of(dot.actor); }
  bool covers(const VersionVector& other) const;
  bool empty() const { return items_.empty(); }
  const Items& items() const { return items_; }

  void raise(ActorId actor, std::uint64_t counter);
  void raise(Dot dot) { raise(dot.actor, dot.counter); }
  // Pointwise maximum, closed actors included.
  void raise(const VersionVector& other);
  // Keeps the items for which `keep(actor, counter)` is true.
  template <typename Keep>
  void keep_if(Keep keep) {
    Items kept;
    for (const auto& [actor, counter] : items_) {
      if (keep(actor, counter)) kept.emplace_back(actor, counter);
    }
    items_ = std::move(kept);
  }

  // Appends: varint number of items; for each the actor (8 bytes) and the counter (varint).
  void encode(std::string& out) const;
  static absl::StatusOr<VersionVector> decode(ByteReader& in);

  friend bool operator==(const VersionVector&, const VersionVector&) = default;

 private:
  Items items_;
};

}  // namespace grapevine::model
