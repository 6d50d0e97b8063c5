// Which of many operations runs out of time next.
//
// Value-like container of pointers; it owns nothing. Costs O(log n) an operation.
// Owner and thread: the batcher; the client's own thread.
#pragma once

#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "client/pending.h"

namespace grapevine::client {

class Deadlines {
 public:
  // Ordered by deadline, then by pending.order, which must be unique. `pending` must be removed
  // before it is destroyed.
  void add(Pending& pending) { by_deadline_.emplace(place_of(pending), &pending); }
  void remove(const Pending& pending) { by_deadline_.erase(place_of(pending)); }

  std::optional<Instant> next() const {
    if (by_deadline_.empty()) return std::nullopt;
    return by_deadline_.begin()->first.first;
  }
  // Takes out and returns one whose deadline is not after `now`; nullptr when there is none.
  Pending* take_expired(Instant now) {
    if (by_deadline_.empty() || by_deadline_.begin()->first.first > now) return nullptr;
    Pending* pending = by_deadline_.begin()->second;
    by_deadline_.erase(by_deadline_.begin());
    return pending;
  }

 private:
  using Place = std::pair<Instant, std::uint64_t>;
  static Place place_of(const Pending& pending) { return {pending.deadline, pending.order}; }

  absl::btree_map<Place, Pending*> by_deadline_;
};

}  // namespace grapevine::client
