// The slow, obvious twins of Clock and Entry: plain sets and maps, with the rules written as one
// would say them. storage/model keeps compact forms of the same things; the laws compare the two.
//
// They know the small world of generators.h only: a closed actor is one that holds all its small
// counters and, for all others, kClosed; and so do the node's earlier epochs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/model/clock.h"
#include "storage/model/entry.h"
#include "tests/model/generators.h"

namespace grapevine::model {

// The small actors that closing `actor` closes.
inline std::vector<ActorId> closed_with(ActorId actor) {
  std::vector<ActorId> all;
  for (std::size_t i = 0; i < kSmallActors; ++i) {
    if (small_actor(i).node() == actor.node() && small_actor(i) <= actor) {
      all.push_back(small_actor(i));
    }
  }
  return all;
}

struct ClockTwin {
  std::set<Dot> dots;

  bool closed(ActorId actor) const { return dots.contains(Dot{actor, kClosed}); }
  bool contains(Dot dot) const { return closed(dot.actor) || dots.contains(dot); }
  // The largest n for which the dots 1..n of `actor` are all in the set.
  std::uint64_t base(ActorId actor) const {
    if (closed(actor)) return kClosed;
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
  // Those that no later closed epoch implies.
  std::set<ActorId> items() const {
    std::set<ActorId> all = actors();
    std::erase_if(all, [&](ActorId actor) {
      return std::any_of(all.begin(), all.end(), [&](ActorId later) {
        return later.node() == actor.node() && later > actor && closed(later);
      });
    });
    return all;
  }
  friend bool operator==(const ClockTwin&, const ClockTwin&) = default;
};

inline std::set<Dot> dots_of(const std::vector<DotRange>& ranges) {
  std::set<Dot> dots;
  for (const DotRange& range : ranges) {
    const std::uint64_t last = range.closes() ? kSmallCounterMax : range.last;
    for (std::uint64_t n = range.first; n <= last; ++n) dots.insert(Dot{range.actor, n});
    if (!range.closes()) continue;
    for (const ActorId actor : closed_with(range.actor)) {
      dots.insert(Dot{actor, kClosed});
      for (std::uint64_t n = 1; n <= last && actor < range.actor; ++n) dots.insert(Dot{actor, n});
    }
  }
  return dots;
}

inline ClockTwin twin_of(const Clock& clock) {
  ClockTwin twin;
  for (const auto& [actor, counters] : clock.actors()) {
    if (counters.base() > 0) twin.dots.merge(dots_of({{actor, 1, counters.base()}}));
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
    if (counter != kClosed) return;
    for (const ActorId earlier : closed_with(actor)) vector[earlier] = kClosed;
  }
  friend bool operator==(const EntryTwin&, const EntryTwin&) = default;
};

inline EntryTwin twin_of(const Entry& entry) {
  EntryTwin twin;
  for (const Version& version : entry.versions) twin.live[version.dot] = version.value;
  for (const auto& [actor, counter] : entry.vector.items()) twin.raise(actor, counter);
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
  const std::map<ActorId, std::uint64_t> before = std::exchange(entry.vector, {});
  for (const auto& [actor, counter] : before) {
    if (counter > implied.known(actor)) entry.raise(actor, counter);
  }
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
