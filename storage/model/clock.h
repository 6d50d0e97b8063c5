// The causal clock of a partition's replica: which writes have reached it.
//
// Source: the node clock of "Concise Server-Wide Causality Management for Eventually Consistent
// Data Stores" (Gonçalves, Almeida, Baquero, Fonte; DAIS 2015): a set of dots, kept as a contiguous
// base 1..n for each actor and the few dots above it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "storage/base/status.h"
#include "storage/model/bytes.h"
#include "storage/model/dot.h"

namespace grapevine::model {

// The counters of one actor: 1..base, and intervals above it, sorted, disjoint, not adjacent, none
// touching the base. Value.
class CounterSet {
 public:
  struct Interval {
    std::uint64_t first;
    std::uint64_t last;
    friend bool operator==(const Interval&, const Interval&) = default;
  };

  std::uint64_t base() const { return base_; }
  // The highest counter in the set; 0 when it is empty.
  std::uint64_t top() const { return above_.empty() ? base_ : above_.back().last; }
  const std::vector<Interval>& above() const { return above_; }
  bool empty() const { return top() == 0; }
  bool contains(std::uint64_t counter) const;

  // Adds first..last. O(intervals); O(1) for the counter that follows the base. REQUIRES: 1 <=
  // first <= last.
  void add(std::uint64_t first, std::uint64_t last);
  void remove(std::uint64_t counter);
  void merge(const CounterSet& other);
  // What is here and not in `other`, in order.
  std::vector<Interval> minus(const CounterSet& other) const;

  friend bool operator==(const CounterSet&, const CounterSet&) = default;

 private:
  std::uint64_t base_ = 0;
  std::vector<Interval> above_;
};

// The set of dots whose effect has reached a replica of one partition.
//
// Value. Invariant: no actor with an empty set is held, so equal sets are equal objects with equal
// encodings and hashes. Costs: add and contains O(log actors + intervals of that actor); everything
// else is linear in the clock.
class Clock {
 public:
  // True when the dot was not there before. REQUIRES: dot.counter >= 1.
  bool add(Dot dot);
  void add(const DotRange& range);
  // Takes a dot out again: for undoing a batch that could not be written, never for anything that
  // was seen outside.
  void remove(Dot dot);
  void merge(const Clock& other);

  bool contains(Dot dot) const;
  // The largest n for which the dots 1..n of `actor` are all here.
  std::uint64_t base(ActorId actor) const;
  // The largest counter of `actor` that is here; 0 when none is.
  std::uint64_t top(ActorId actor) const;
  bool empty() const { return actors_.empty(); }

  // The dots here that `other` lacks, sorted by actor and counter.
  std::vector<DotRange> minus(const Clock& other) const;
  bool covers(const Clock& other) const { return other.minus(*this).empty(); }
  // Those of `dots` that are here.
  std::vector<DotRange> intersect(const std::vector<DotRange>& dots) const;

  // Sorted by actor.
  const absl::btree_map<ActorId, CounterSet>& actors() const { return actors_; }

  // Equal clocks have equal hashes. xxh3-64 of the encoding.
  std::uint64_t hash() const;
  // Appends: varint number of actors; for each its id (8 bytes), varint base, varint number of
  // intervals, and for each varint gap to what is before it minus 1, varint length minus 1.
  void encode(std::string& out) const;
  static absl::StatusOr<Clock> decode(std::string_view bytes);
  static absl::StatusOr<Clock> decode(ByteReader& in);

  friend bool operator==(const Clock&, const Clock&) = default;

 private:
  absl::btree_map<ActorId, CounterSet> actors_;
};

// How many dots `ranges` hold.
std::uint64_t count_dots(const std::vector<DotRange>& ranges);
// Readable, for logs and tests: "{NODE.EPOCH: 1-7 9, …}".
std::string to_string(const Clock& clock);

}  // namespace grapevine::model
