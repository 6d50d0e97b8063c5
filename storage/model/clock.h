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
// An actor that has ended may be closed: all its dots, and those of the node's earlier epochs, are
// in the set, for one item (kClosed), however often the node has crashed.
//
// Value. Invariant: no actor with an empty set is held, and none beside the marker that closes it,
// so equal sets are equal objects with equal encodings and hashes. Costs: add and contains O(log
// actors + intervals of that actor); everything else is linear in the clock.
class Clock {
 public:
  // True when the dot was not there before. REQUIRES: 1 <= dot.counter <= kCounterMax.
  bool add(Dot dot);
  void add(const DotRange& range);  // one that closes: as close()
  // Takes a dot out again: for undoing a batch that could not be written, never for anything that
  // was seen outside. Nothing leaves a closed actor.
  void remove(Dot dot);
  // R8: every dot of `node` up to this epoch is in the set. False when it was closed before.
  bool close(NodeId node, std::uint64_t epoch);
  void merge(const Clock& other);

  bool contains(Dot dot) const;
  bool closed(ActorId actor) const { return base(actor) == kClosed; }
  // The largest n for which the dots 1..n of `actor` are all here; kClosed for a closed one.
  std::uint64_t base(ActorId actor) const;
  // The largest counter of `actor` that is here; 0 when none is, kClosed for a closed one.
  std::uint64_t top(ActorId actor) const;
  bool empty() const { return actors_.empty(); }

  // The dots here that `other` lacks, sorted by actor and counter. A marker that it lacks gives a
  // range that closes.
  std::vector<DotRange> minus(const Clock& other) const;
  bool covers(const Clock& other) const { return other.minus(*this).empty(); }
  // Those of `dots` that are here. REQUIRES: sorted, as minus() gives them.
  std::vector<DotRange> intersect(const std::vector<DotRange>& dots) const;

  // Sorted by actor.
  const absl::btree_map<ActorId, CounterSet>& actors() const { return actors_; }

  // Equal clocks have equal hashes. xxh3-64 of the encoding.
  std::uint64_t hash() const;
  // Appends: varint number of actors; for each its id (8 bytes), varint base, varint number of
  // intervals, and for each varint gap to what is before it minus 1, varint length minus 1. A marker
  // is an actor with base kClosed and no interval.
  void encode(std::string& out) const;
  static absl::StatusOr<Clock> decode(std::string_view bytes);
  static absl::StatusOr<Clock> decode(ByteReader& in);

  friend bool operator==(const Clock&, const Clock&) = default;

 private:
  // The set that tells of `actor`: its own, or the marker of this epoch or a later one.
  const CounterSet* find(ActorId actor) const;

  absl::btree_map<ActorId, CounterSet> actors_;
};

// How many dots `ranges` hold, at most 2^64 - 1.
std::uint64_t count_dots(const std::vector<DotRange>& ranges);
// Readable, for logs and tests: "{NODE.EPOCH: 1-7 9, NODE.EPOCH: closed, …}".
std::string to_string(const Clock& clock);

}  // namespace grapevine::model
