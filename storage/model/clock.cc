#include "storage/model/clock.h"

#include <algorithm>

#include <fmt/format.h>
#include <xxhash.h>

#include "storage/base/check.h"

namespace grapevine::model {

bool CounterSet::contains(std::uint64_t counter) const {
  if (counter <= base_) return counter != 0;
  const auto after = std::upper_bound(
      above_.begin(), above_.end(), counter,
      [](std::uint64_t value, const Interval& interval) { return value < interval.first; });
  return after != above_.begin() && counter <= std::prev(after)->last;
}

void CounterSet::add(std::uint64_t first, std::uint64_t last) {
  if (last <= base_) return;
  if (first <= base_ + 1) {
    base_ = last;
    auto absorbed = above_.begin();
    while (absorbed != above_.end() && absorbed->first <= base_ + 1) {
      base_ = std::max(base_, absorbed->last);
      ++absorbed;
    }
    above_.erase(above_.begin(), absorbed);
    return;
  }
  // The intervals that overlap or touch first..last become one with it.
  const auto begin = std::lower_bound(
      above_.begin(), above_.end(), first,
      [](const Interval& interval, std::uint64_t value) { return interval.last + 1 < value; });
  auto end = begin;
  while (end != above_.end() && end->first <= last + 1) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
    ++end;
  }
  above_.insert(above_.erase(begin, end), Interval{first, last});
}

void CounterSet::remove(std::uint64_t counter) {
  if (!contains(counter)) return;
  CounterSet left;
  const auto keep = [&](std::uint64_t first, std::uint64_t last) {
    if (first < counter) left.add(first, std::min(last, counter - 1));
    if (last > counter) left.add(std::max(first, counter + 1), last);
  };
  if (base_ > 0) keep(1, base_);
  for (const Interval& interval : above_) keep(interval.first, interval.last);
  *this = std::move(left);
}

void CounterSet::merge(const CounterSet& other) {
  if (other.base_ > 0) add(1, other.base_);
  for (const Interval& interval : other.above_) add(interval.first, interval.last);
}

std::vector<CounterSet::Interval> CounterSet::minus(const CounterSet& other) const {
  std::vector<Interval> left;
  auto theirs = other.above_.begin();
  const auto subtract = [&](std::uint64_t first, std::uint64_t last) {
    first = std::max(first, other.base_ + 1);
    while (first <= last) {
      while (theirs != other.above_.end() && theirs->last < first) ++theirs;
      if (theirs == other.above_.end() || theirs->first > last) {
        left.push_back({first, last});
        return;
      }
      if (theirs->first > first) left.push_back({first, theirs->first - 1});
      first = theirs->last + 1;
    }
  };
  if (base_ > 0) subtract(1, base_);
  for (const Interval& interval : above_) subtract(interval.first, interval.last);
  return left;
}

const CounterSet* Clock::find(ActorId actor) const {
  const auto found = actors_.lower_bound(actor);
  if (found == actors_.end() || found->first.node() != actor.node()) return nullptr;
  // Nothing stands between an actor and the marker that closes it.
  return found->first == actor || found->second.base() == kClosed ? &found->second : nullptr;
}

bool Clock::add(Dot dot) {
  GRAPEVINE_CHECK(dot.counter >= 1 && dot.counter <= kCounterMax, "counters begin at 1");
  if (contains(dot)) return false;
  actors_[dot.actor].add(dot.counter, dot.counter);
  return true;
}

void Clock::add(const DotRange& range) {
  if (range.closes()) {
    close(range.actor.node(), range.actor.epoch());
  } else if (!closed(range.actor)) {
    actors_[range.actor].add(range.first, range.last);
  }
}

void Clock::remove(Dot dot) {
  const auto found = actors_.find(dot.actor);
  if (found == actors_.end() || found->second.base() == kClosed) return;
  found->second.remove(dot.counter);
  if (found->second.empty()) actors_.erase(found);
}

bool Clock::close(NodeId node, std::uint64_t epoch) {
  const ActorId last = ActorId::of(node, epoch);
  if (closed(last)) return false;
  actors_.erase(actors_.lower_bound(ActorId::of(node, 0)), actors_.upper_bound(last));
  actors_[last].add(1, kClosed);
  return true;
}

void Clock::merge(const Clock& other) {
  for (const auto& [actor, counters] : other.actors_) {
    if (counters.base() == kClosed) {
      close(actor.node(), actor.epoch());
    } else if (!closed(actor)) {
      actors_[actor].merge(counters);
    }
  }
}

bool Clock::contains(Dot dot) const {
  const CounterSet* const counters = find(dot.actor);
  return counters != nullptr && counters->contains(dot.counter);
}

std::uint64_t Clock::base(ActorId actor) const {
  const CounterSet* const counters = find(actor);
  return counters == nullptr ? 0 : counters->base();
}

std::uint64_t Clock::top(ActorId actor) const {
  const CounterSet* const counters = find(actor);
  return counters == nullptr ? 0 : counters->top();
}

std::vector<DotRange> Clock::minus(const Clock& other) const {
  static const CounterSet kNone;
  std::vector<DotRange> left;
  for (const auto& [actor, counters] : actors_) {
    const CounterSet* const theirs = other.find(actor);
    for (const auto& interval : counters.minus(theirs == nullptr ? kNone : *theirs)) {
      left.push_back({actor, interval.first, interval.last});
    }
  }
  return left;
}

std::vector<DotRange> Clock::intersect(const std::vector<DotRange>& dots) const {
  std::vector<DotRange> both;
  const auto keep = [&](ActorId actor, const CounterSet& counters, std::uint64_t first,
                        std::uint64_t last) {
    const auto keep_part = [&](std::uint64_t begin, std::uint64_t end) {
      begin = std::max(begin, first);
      end = std::min(end, last);
      if (begin <= end) both.push_back({actor, begin, end});
    };
    if (counters.base() > 0) keep_part(1, counters.base());
    for (const auto& interval : counters.above()) keep_part(interval.first, interval.last);
  };
  for (const DotRange& range : dots) {
    if (range.closes() && !closed(range.actor)) {
      // What it says of the node's earlier epochs.
      const ActorId begin = ActorId::of(range.actor.node(), 0);
      for (auto earlier = actors_.lower_bound(begin);
           earlier != actors_.end() && earlier->first < range.actor; ++earlier) {
        keep(earlier->first, earlier->second, 1, kClosed);
      }
    }
    const CounterSet* const counters = find(range.actor);
    if (counters != nullptr) keep(range.actor, *counters, range.first, range.last);
  }
  return both;
}

std::uint64_t Clock::hash() const {
  std::string bytes;
  encode(bytes);
  return XXH3_64bits(bytes.data(), bytes.size());
}

void Clock::encode(std::string& out) const {
  put_varint(out, actors_.size());
  for (const auto& [actor, counters] : actors_) {
    put_fixed64(out, actor.value);
    put_varint(out, counters.base());
    put_varint(out, counters.above().size());
    std::uint64_t before = counters.base();
    for (const auto& interval : counters.above()) {
      put_varint(out, interval.first - before - 2);
      put_varint(out, interval.last - interval.first);
      before = interval.last;
    }
  }
}

absl::StatusOr<Clock> Clock::decode(std::string_view bytes) {
  ByteReader in(bytes);
  auto clock = decode(in);
  if (clock.ok() && !in.done()) return absl::DataLossError("clock: bytes left over");
  return clock;
}

absl::StatusOr<Clock> Clock::decode(ByteReader& in) {
  Clock clock;
  const std::uint64_t actor_count = in.varint();
  ActorId before{0};
  for (std::uint64_t i = 0; i < actor_count && in.ok(); ++i) {
    const ActorId actor{in.fixed64()};
    CounterSet counters;
    std::uint64_t end = in.varint();
    if (end > kClosed) return absl::DataLossError("clock: counter out of range");
    if (end > 0) counters.add(1, end);
    const std::uint64_t interval_count = in.varint();
    if (end == kClosed && (interval_count > 0 || (i > 0 && before.node() == actor.node()))) {
      return absl::DataLossError("clock: a closed actor, and dots that it implies");
    }
    for (std::uint64_t j = 0; j < interval_count && in.ok(); ++j) {
      const std::uint64_t gap = in.varint();
      const std::uint64_t length = in.varint();
      // Each step by itself: a sum of hostile numbers could wrap around.
      const std::uint64_t room = kCounterMax - end;
      if (gap > room || length > room - gap || room - gap - length < 2) {
        return absl::DataLossError("clock: counter out of range");
      }
      const std::uint64_t first = end + gap + 2;
      end = first + length;
      counters.add(first, end);
    }
    if (!in.ok()) break;
    if (counters.empty() || (i > 0 && actor <= before)) {
      return absl::DataLossError("clock: actors empty or out of order");
    }
    before = actor;
    clock.actors_.emplace_hint(clock.actors_.end(), actor, std::move(counters));
  }
  if (!in.ok()) return absl::DataLossError("clock: cut short");
  return clock;
}

std::uint64_t count_dots(const std::vector<DotRange>& ranges) {
  std::uint64_t count = 0;
  for (const DotRange& range : ranges) {
    count += std::min(range.count(), ~std::uint64_t{0} - count);
  }
  return count;
}

std::string to_string(const Clock& clock) {
  std::string text = "{";
  for (const auto& [actor, counters] : clock.actors()) {
    text += fmt::format("{}{}:", text.size() > 1 ? ", " : "", grapevine::to_string(actor));
    if (counters.base() == 1) text += " 1";
    if (counters.base() == kClosed) {
      text += " closed";
    } else if (counters.base() > 1) {
      text += fmt::format(" 1-{}", counters.base());
    }
    for (const auto& interval : counters.above()) {
      text += fmt::format(" {}", interval.first);
      if (interval.last > interval.first) text += fmt::format("-{}", interval.last);
    }
  }
  return text + "}";
}

}  // namespace grapevine::model
