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

bool Clock::add(Dot dot) {
  GRAPEVINE_CHECK(dot.counter >= 1, "counters begin at 1");
  CounterSet& counters = actors_[dot.actor];
  if (counters.contains(dot.counter)) return false;
  counters.add(dot.counter, dot.counter);
  return true;
}

void Clock::add(const DotRange& range) {
  actors_[range.actor].add(range.first, range.last);
}

void Clock::remove(Dot dot) {
  const auto found = actors_.find(dot.actor);
  if (found == actors_.end()) return;
  found->second.remove(dot.counter);
  if (found->second.empty()) actors_.erase(found);
}

void Clock::merge(const Clock& other) {
  for (const auto& [actor, counters] : other.actors_) actors_[actor].merge(counters);
}

bool Clock::contains(Dot dot) const {
  const auto found = actors_.find(dot.actor);
  return found != actors_.end() && found->second.contains(dot.counter);
}

std::uint64_t Clock::base(ActorId actor) const {
  const auto found = actors_.find(actor);
  return found == actors_.end() ? 0 : found->second.base();
}

std::uint64_t Clock::top(ActorId actor) const {
  const auto found = actors_.find(actor);
  return found == actors_.end() ? 0 : found->second.top();
}

std::vector<DotRange> Clock::minus(const Clock& other) const {
  static const CounterSet kNone;
  std::vector<DotRange> left;
  for (const auto& [actor, counters] : actors_) {
    const auto theirs = other.actors_.find(actor);
    for (const auto& interval :
         counters.minus(theirs == other.actors_.end() ? kNone : theirs->second)) {
      left.push_back({actor, interval.first, interval.last});
    }
  }
  return left;
}

std::vector<DotRange> Clock::intersect(const std::vector<DotRange>& dots) const {
  std::vector<DotRange> both;
  for (const DotRange& range : dots) {
    const auto found = actors_.find(range.actor);
    if (found == actors_.end()) continue;
    const auto keep = [&](std::uint64_t first, std::uint64_t last) {
      first = std::max(first, range.first);
      last = std::min(last, range.last);
      if (first <= last) both.push_back({range.actor, first, last});
    };
    if (found->second.base() > 0) keep(1, found->second.base());
    for (const auto& interval : found->second.above()) keep(interval.first, interval.last);
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
    if (end > kCounterMax) return absl::DataLossError("clock: counter out of range");
    if (end > 0) counters.add(1, end);
    const std::uint64_t interval_count = in.varint();
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
  for (const DotRange& range : ranges) count += range.count();
  return count;
}

std::string to_string(const Clock& clock) {
  std::string text = "{";
  for (const auto& [actor, counters] : clock.actors()) {
    text += fmt::format("{}{}:", text.size() > 1 ? ", " : "", grapevine::to_string(actor));
    if (counters.base() == 1) text += " 1";
    if (counters.base() > 1) text += fmt::format(" 1-{}", counters.base());
    for (const auto& interval : counters.above()) {
      text += fmt::format(" {}", interval.first);
      if (interval.last > interval.first) text += fmt::format("-{}", interval.last);
    }
  }
  return text + "}";
}

}  // namespace grapevine::model
