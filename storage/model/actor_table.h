// Short names for actors within one store.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "storage/base/ids.h"

namespace grapevine::model {

// Numbers actors 0, 1, 2, … in the order in which they are met, so that a stored dot names its
// actor in one byte instead of eight. Numbers are never given anew: the table only grows, by one
// item an actor that ever wrote here.
//
// Resource: one a store; what it holds is stored beside the entries that use it.
class ActorTable {
 public:
  // The number of `actor`, which gets the next one if it has none.
  std::uint32_t index_of(ActorId actor) {
    const auto [place, is_new] =
        indices_.try_emplace(actor, static_cast<std::uint32_t>(actors_.size()));
    if (is_new) actors_.push_back(actor);
    return place->second;
  }
  // The actor of a number; nullopt when none has it.
  std::optional<ActorId> at(std::uint64_t index) const {
    if (index >= actors_.size()) return std::nullopt;
    return actors_[index];
  }
  std::size_t size() const { return actors_.size(); }

 private:
  std::vector<ActorId> actors_;
  absl::btree_map<ActorId, std::uint32_t> indices_;
};

}  // namespace grapevine::model
