// The slow, obvious twins of Clock and Entry: plain sets and maps, with the rules written as one
// would say them. storage/model keeps compact forms of the same things; the laws compare the two.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "storage/model/clock.h"
#include "storage/model/entry.h"

namespace grapevine::model {

struct ClockTwin {
  std::set<Dot> dots;

  // The largest n for which the dots 1..n of `actor` are all in the set.
  std::uint64_t base(ActorId actor) const {
    std::uint64_t n = 0;
    while (dots.contains(Dot{actor, n + 1})) ++n;
    return n;
  }
  std::uint64_t top(ActorId actor) const {
    std::uint64_t n = 0;
    for (const Dot dot : dots) {
      if (dot.actor == actor) n = std::max(n, dot.counter);
    }
    return n;
  }
  std::set<ActorId> actors() const {
    std::set<ActorId> all;
    for (const Dot dot : dots) all.insert(dot.actor);
    return all;
  }
  friend bool operator==(const ClockTwin&, const ClockTwin&) = default;
};

inline std::set<Dot> dots_of(const std::vector<DotRange>& ranges) {
  std::set<Dot> dots;
  for (const DotRange& range : ranges) {
    for (std::uint64_t n = range.first; n <= range.last; ++n) dots.insert(Dot{range.actor, n});
  }
  return dots;
}

inline ClockTwin twin_of(const Clock& clock) {
  ClockTwin twin;
  for (const auto& [actor, counters] : clock.actors()) {
    for (std::uint64_t n = 1; n <= counters.base(); ++n) twin.dots.insert(Dot{actor, n});
    for (const auto& interval : counters.above()) {
      twin.dots.merge(dots_of({{actor, interval.first, interval.last}}));
    }
  }
  return twin;
}

struct EntryTwin {
  std::map<Dot, std::string> live;
  std::map<ActorId, std::uint64_t> vector;

  std::uint64_t known(ActorId actor) const {
    const auto found = vector.find(actor);
    return found == vector.end() ? 0 : found->second;
  }
  bool covers(Dot dot) const { return dot.counter <= known(dot.actor); }
  void raise(ActorId actor, std::uint64_t counter) {
    if (counter > known(actor)) vector[actor] = counter;
  }
  friend bool operator==(const EntryTwin&, const EntryTwin&) = default;
};

inline EntryTwin twin_of(const Entry& entry) {
  EntryTwin twin;
  for (const Version& version : entry.versions) twin.live[version.dot] = version.value;
  for (const auto& [actor, counter] : entry.vector.items()) twin.vector[actor] = counter;
  return twin;
}

inline EntryTwin fill(EntryTwin entry, const ClockTwin& clock) {
  for (const ActorId actor : clock.actors()) entry.raise(actor, clock.base(actor));
  for (const auto& [dot, value] : entry.live) entry.raise(dot.actor, dot.counter);
  return entry;
}

inline EntryTwin strip(EntryTwin entry, const ClockTwin& clock) {
  EntryTwin implied;
  implied.live = entry.live;
  implied = fill(implied, clock);
  std::erase_if(entry.vector,
                [&](const auto& item) { return item.second <= implied.known(item.first); });
  return entry;
}

inline EntryTwin join(const EntryTwin& left, const EntryTwin& right) {
  EntryTwin joined;
  for (const auto& [dot, value] : left.live) {
    if (right.live.contains(dot) || !right.covers(dot)) joined.live[dot] = value;
  }
  for (const auto& [dot, value] : right.live) {
    if (left.live.contains(dot) || !left.covers(dot)) joined.live[dot] = value;
  }
  joined.vector = left.vector;
  for (const auto& [actor, counter] : right.vector) joined.raise(actor, counter);
  return joined;
}

}  // namespace grapevine::model
