// Goal: a clock is a set of dots, whatever its compact form; its bytes are the same for equal sets,
// and fixed for good. Method: a std::set as twin for every operation; bytes written out by hand;
// hostile bytes as properties.
#include "storage/model/clock.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"
#include "tests/model/twin.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;
using Intervals = std::vector<CounterSet::Interval>;

std::string encoded(const Clock& clock) {
  std::string out;
  clock.encode(out);
  return out;
}

std::vector<Dot> every_small_dot() {
  std::vector<Dot> all;
  for (std::size_t i = 0; i < kSmallActors; ++i) {
    for (std::uint64_t n = 1; n <= kSmallCounterMax + 1; ++n) all.push_back({small_actor(i), n});
  }
  return all;
}

std::set<Dot> difference(const std::set<Dot>& from, const std::set<Dot>& what) {
  std::set<Dot> left = from;
  std::erase_if(left, [&](Dot dot) { return what.contains(dot); });
  return left;
}

// ---- one actor ----

TEST(CounterSet, TheNextCounterMovesTheBase) {
  CounterSet set;
  EXPECT_TRUE(set.empty());
  set.add(1, 1);
  set.add(2, 2);
  EXPECT_EQ(set.base(), 2U);
  EXPECT_EQ(set.top(), 2U);
  EXPECT_TRUE(set.above().empty());
}

TEST(CounterSet, WhatClosesAGapJoinsWhatItTouches) {
  CounterSet set;
  set.add(3, 4);
  set.add(7, 8);
  EXPECT_EQ(set.above(), (Intervals{{3, 4}, {7, 8}}));
  set.add(5, 6);
  EXPECT_EQ(set.above(), (Intervals{{3, 8}}));
  set.add(11, 11);
  set.add(1, 2);
  EXPECT_EQ(set.base(), 8U);
  EXPECT_EQ(set.above(), (Intervals{{11, 11}}));
  EXPECT_EQ(set.top(), 11U);
}

TEST(CounterSet, RemovingSplits) {
  CounterSet set;
  set.add(1, 5);
  set.remove(3);
  EXPECT_EQ(set.base(), 2U);
  EXPECT_EQ(set.above(), (Intervals{{4, 5}}));
  set.remove(1);
  EXPECT_EQ(set.base(), 0U);
  EXPECT_EQ(set.above(), (Intervals{{2, 2}, {4, 5}}));
  set.remove(9);
  EXPECT_EQ(set.top(), 5U);
}

TEST(CounterSet, CountsFromOne) {
  CounterSet set;
  set.add(1, 3);
  EXPECT_FALSE(set.contains(0));
}

// Steps that end at the same set leave the same object, in normal form.
RC_GTEST_PROP(CounterSetLaw, StaysInNormalFormAndEqualsItsTwin,
              (const std::vector<std::pair<DotRange, bool>>& steps)) {
  CounterSet set;
  std::set<std::uint64_t> twin;
  for (const auto& [range, removes] : steps) {
    if (removes) {
      set.remove(range.first);
      twin.erase(range.first);
    } else {
      set.add(range.first, range.last);
      for (std::uint64_t n = range.first; n <= range.last; ++n) twin.insert(n);
    }
    std::uint64_t before = set.base();
    for (const auto& interval : set.above()) {
      RC_ASSERT(interval.first > before + 1);
      RC_ASSERT(interval.last >= interval.first);
      before = interval.last;
    }
    for (std::uint64_t n = 0; n <= kSmallCounterMax + 1; ++n) {
      RC_ASSERT(set.contains(n) == twin.contains(n));
    }
    CounterSet rebuilt;
    for (auto n = twin.rbegin(); n != twin.rend(); ++n) rebuilt.add(*n, *n);
    RC_ASSERT(rebuilt == set);
  }
}

TEST(CounterSet, WorksUpToTheHighestCounter) {
  CounterSet set;
  set.add(kCounterMax, kCounterMax);
  set.add(5, 6);
  EXPECT_EQ(set.above(), (Intervals{{5, 6}, {kCounterMax, kCounterMax}}));
  set.add(1, kCounterMax);
  EXPECT_EQ(set.base(), kCounterMax);
  EXPECT_TRUE(set.above().empty());
}

// ---- all actors ----

RC_GTEST_PROP(ClockLaw, AnyStepsAreThoseOfASetOfDots,
              (const std::vector<std::pair<DotRange, std::uint8_t>>& steps, const Clock& other)) {
  Clock clock;
  ClockTwin twin;
  for (const auto& [range, kind] : steps) {
    const Dot dot{range.actor, range.first};
    if (kind % 8 < 4) {
      RC_ASSERT(clock.add(dot) == !twin.contains(dot));
      twin.dots.insert(dot);
    } else if (kind % 8 < 6) {
      clock.add(range);
      twin.dots.merge(dots_of({range}));
    } else if (kind % 8 == 6) {
      clock.remove(dot);
      if (!twin.closed(dot.actor)) twin.dots.erase(dot);
    } else if (kind == 7) {
      const bool is_new = clock.close(dot.actor.node(), dot.actor.epoch());
      RC_ASSERT(is_new == !twin.closed(dot.actor));
      twin.dots.merge(dots_of({{dot.actor, 1, kClosed}}));
    } else {
      clock.merge(other);
      for (const Dot theirs : twin_of(other).dots) twin.dots.insert(theirs);
    }
    RC_ASSERT(twin_of(clock) == twin);
    RC_ASSERT(clock.empty() == twin.dots.empty());
    RC_ASSERT(clock.actors().size() == twin.items().size());
  }
}

RC_GTEST_PROP(ClockLaw, AnswersAsTheSetDoes, (const Clock& clock)) {
  const ClockTwin twin = twin_of(clock);
  for (const Dot dot : every_small_dot()) {
    RC_ASSERT(clock.contains(dot) == twin.contains(dot));
    RC_ASSERT(clock.closed(dot.actor) == twin.closed(dot.actor));
    RC_ASSERT(clock.base(dot.actor) == twin.base(dot.actor));
    RC_ASSERT(clock.top(dot.actor) == twin.top(dot.actor));
  }
  const ActorId stranger = ActorId::of(NodeId{9}, 0);
  RC_ASSERT(!clock.contains(Dot{stranger, 1}));
  RC_ASSERT(clock.base(stranger) == 0U);
  RC_ASSERT(clock.top(stranger) == 0U);
}

RC_GTEST_PROP(ClockLaw, MinusIsTheDifferenceSortedAndInAsFewRangesAsPossible,
              (const Clock& a, const Clock& b)) {
  const std::vector<DotRange> left = a.minus(b);
  // One that closes says of earlier epochs that something is missing, not what.
  std::set<Dot> exact = dots_of(left);
  std::erase_if(exact, [&](Dot dot) {
    return b.contains(dot) && std::any_of(left.begin(), left.end(), [&](const DotRange& range) {
             return range.closes() && range.actor.node() == dot.actor.node() &&
                    dot.actor < range.actor;
           });
  });
  for (std::size_t i = 0; i < kSmallActors; ++i) {
    if (b.closed(small_actor(i))) exact.erase(Dot{small_actor(i), kClosed});
  }
  RC_ASSERT(exact == difference(twin_of(a).dots, twin_of(b).dots));
  const bool closes =
      std::any_of(left.begin(), left.end(), [](const DotRange& range) { return range.closes(); });
  RC_ASSERT(closes || count_dots(left) == dots_of(left).size());
  Clock gained = b;
  for (const DotRange& range : left) gained.add(range);
  Clock merged = b;
  merged.merge(a);
  RC_ASSERT(gained == merged);
  for (std::size_t i = 1; i < left.size(); ++i) {
    RC_ASSERT(left[i - 1].actor < left[i].actor ||
              (left[i - 1].actor == left[i].actor && left[i - 1].last + 1 < left[i].first));
  }
}

RC_GTEST_PROP(ClockLaw, CoversIsInclusion, (const Clock& a, const Clock& b)) {
  RC_ASSERT(a.covers(b) == difference(twin_of(b).dots, twin_of(a).dots).empty());
  Clock both = a;
  both.merge(b);
  RC_ASSERT(both.covers(a));
  RC_ASSERT(both.covers(b));
}

RC_GTEST_PROP(ClockLaw, IntersectKeepsTheDotsThatAreHere,
              (const Clock& clock, const std::vector<DotRange>& asked)) {
  std::set<Dot> expected = dots_of(asked);
  std::erase_if(expected, [&](Dot dot) { return !clock.contains(dot); });
  RC_ASSERT(dots_of(clock.intersect(asked)) == expected);
}

RC_GTEST_PROP(ClockLaw, IntersectWithWhatAnotherLacksFindsAllOfItThatIsHere,
              (const Clock& clock, const Clock& a, const Clock& b)) {
  const std::set<Dot> both = dots_of(clock.intersect(a.minus(b)));
  std::set<Dot> expected = difference(twin_of(a).dots, twin_of(b).dots);
  std::erase_if(expected, [&](Dot dot) { return !twin_of(clock).contains(dot); });
  RC_ASSERT(std::includes(both.begin(), both.end(), expected.begin(), expected.end()));
  for (const Dot dot : both) {
    RC_ASSERT(twin_of(clock).contains(dot));
    RC_ASSERT(twin_of(a).contains(dot));
  }
}

RC_GTEST_PROP(ClockLaw, MergeIsCommutativeAssociativeAndIdempotent,
              (const Clock& a, const Clock& b, const Clock& c)) {
  const auto merged = [](Clock to, const Clock& from) {
    to.merge(from);
    return to;
  };
  RC_ASSERT(merged(a, b) == merged(b, a));
  RC_ASSERT(merged(merged(a, b), c) == merged(a, merged(b, c)));
  RC_ASSERT(merged(a, a) == a);
}

RC_GTEST_PROP(ClockLaw, EqualSetsHaveEqualBytesAndHashesAndOthersHaveNot,
              (const Clock& a, const Clock& b)) {
  Clock again;
  const ClockTwin twin = twin_of(a);
  for (auto dot = twin.dots.rbegin(); dot != twin.dots.rend(); ++dot) {
    again.add(DotRange{dot->actor, dot->counter, dot->counter});
  }
  RC_ASSERT(again == a);
  RC_ASSERT(encoded(again) == encoded(a));
  RC_ASSERT(again.hash() == a.hash());
  const bool same = twin == twin_of(b);
  RC_ASSERT((a == b) == same);
  RC_ASSERT((encoded(a) == encoded(b)) == same);
  RC_ASSERT((a.hash() == b.hash()) == same);
}

// ---- bytes ----

RC_GTEST_PROP(ClockBytesLaw, AnyClockReadsBack, ()) {
  const Clock clock = *any_wide_clock();
  const auto back = Clock::decode(encoded(clock));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == clock);
}

RC_GTEST_PROP(ClockBytesLaw, AClockWithinOtherBytesTakesItsOwnAndLeavesTheRest,
              (const std::string& after)) {
  const Clock clock = *any_wide_clock();
  const std::string bytes = encoded(clock) + after;
  ByteReader in(bytes);
  const auto back = Clock::decode(in);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == clock);
  RC_ASSERT(in.left() == after.size());
}

// Whatever is read would be written as exactly the bytes that were read: nothing has two encodings.
void check_hostile(const std::string& bytes) {
  const auto read = Clock::decode(bytes);
  if (!read.ok()) {
    RC_ASSERT(absl::IsDataLoss(read.status()));
    RC_ASSERT(!text_of(read.status()).empty());
  } else {
    RC_ASSERT(encoded(*read) == bytes);
  }
}

RC_GTEST_PROP(ClockBytesLaw, AnyBytesAreAClockOrDataLoss, (const std::string& bytes)) {
  check_hostile(bytes);
}

RC_GTEST_PROP(ClockBytesLaw, MutatedBytesAreAClockOrDataLoss, ()) {
  check_hostile(*mutated(encoded(*any_wide_clock())));
}

TEST(ClockBytes, AreFixedForGood) {
  const ActorId first{0x123456789AB00005};
  const ActorId second{0x123456789AB00006};
  Clock clock;
  clock.add(DotRange{first, 1, 3});
  clock.add(DotRange{first, 6, 9});
  clock.add(Dot{first, 300});
  clock.add(Dot{second, 2});
  EXPECT_EQ(encoded(clock),
            "\x02"                              // two actors
            "\x05\x00\xb0\x9a\x78\x56\x34\x12"  // the first
            "\x03"                              // base 3
            "\x02"                              // two intervals above it
            "\x01\x03"                          // 4 and 5 are missing: 2 - 1; 6 to 9: 4 - 1
            "\xa1\x02\x00"                      // 10 to 299 are missing: 290 - 1; 300 alone: 1 - 1
            "\x06\x00\xb0\x9a\x78\x56\x34\x12"  // the second
            "\x00"                              // base 0
            "\x01"                              // one interval
            "\x00\x00"s);                       // 1 is missing: 1 - 1; 2 alone: 1 - 1
  EXPECT_EQ(encoded(Clock()), "\x00"s);
  EXPECT_EQ(Clock().hash(), token_of("\x00"s).value);  // xxh3-64 of the encoding
}

TEST(ClockBytes, AHundredLivesOfANodeThatAreClosedAreOneItem) {
  Clock clock;
  for (std::uint64_t epoch = 1; epoch <= 100; ++epoch) {
    clock.add(Dot{ActorId::of(NodeId{7}, epoch), 2});
  }
  EXPECT_TRUE(clock.close(NodeId{7}, 99));
  EXPECT_EQ(clock.actors().size(), 2U);
  EXPECT_EQ(to_string(clock), "{00000000007.99: closed, 00000000007.100: 2}");
  EXPECT_EQ(encoded(clock).size(), 1U + (8 + 10 + 1) + (8 + 1 + 1 + 2));
  EXPECT_EQ(*Clock::decode(encoded(clock)), clock);
}

class ClockBytesRefused : public ::testing::TestWithParam<std::pair<const char*, std::string>> {};

std::string bytes_of_clock(std::uint64_t actors, const std::vector<std::uint64_t>& numbers) {
  std::string out;
  put_varint(out, actors);
  put_fixed64(out, 7);
  for (const std::uint64_t number : numbers) put_varint(out, number);
  return out;
}

std::string earlier_epoch_beside_a_closed_one() {
  std::string out = bytes_of_clock(2, {3, 0});
  put_fixed64(out, 8);
  put_varint(out, kClosed);
  put_varint(out, 0);
  return out;
}

TEST_P(ClockBytesRefused, AsDataLoss) {
  EXPECT_TRUE(absl::IsDataLoss(Clock::decode(GetParam().second).status())) << GetParam().first;
}

INSTANTIATE_TEST_SUITE_P(
    All, ClockBytesRefused,
    ::testing::Values(
        std::pair{"no bytes", ""s}, std::pair{"bytes left over", "\x00\x00"s},
        std::pair{"an actor without dots", bytes_of_clock(1, {0, 0})},
        std::pair{"fewer actors than promised", bytes_of_clock(2, {1, 0})},
        std::pair{"fewer intervals than promised", bytes_of_clock(1, {1, 2, 0, 0})},
        std::pair{"more actors than fit into memory", bytes_of_clock(~std::uint64_t{0}, {1, 0})},
        std::pair{"more intervals than fit into memory", bytes_of_clock(1, {1, ~std::uint64_t{0}})},
        std::pair{"an actor twice", "\x02" + bytes_of_clock(1, {1, 0}).substr(1) +
                                        bytes_of_clock(1, {1, 0}).substr(1)},
        std::pair{"a base too high", bytes_of_clock(1, {kClosed + 1, 0})},
        std::pair{"a closed actor with an interval", bytes_of_clock(1, {kClosed, 1, 0, 0})},
        std::pair{"an earlier epoch beside a closed one", earlier_epoch_beside_a_closed_one()},
        std::pair{"an interval that begins too high",
                  bytes_of_clock(1, {0, 1, kCounterMax - 1, 0})},
        std::pair{"an interval that ends too high", bytes_of_clock(1, {3, 1, 0, kCounterMax - 4})},
        std::pair{"a sum that overflows",
                  bytes_of_clock(1, {kCounterMax, 1, kCounterMax, kCounterMax})}),
    [](const auto& instance) {
      std::string name = instance.param.first;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST(CountDots, DoesNotOverflow) {
  const DotRange all{small_actor(0), 1, kClosed};
  EXPECT_EQ(count_dots({all}), kClosed);
  EXPECT_EQ(count_dots({all, all, all}), ~std::uint64_t{0});
}

TEST(ClockText, ShowsRunsAndSingleCounters) {
  Clock clock;
  EXPECT_EQ(to_string(clock), "{}");
  clock.add(DotRange{ActorId::of(NodeId{0xAB}, 2), 1, 7});
  clock.add(Dot{ActorId::of(NodeId{0xAB}, 2), 9});
  clock.add(DotRange{ActorId::of(NodeId{0xAC}, 0), 4, 5});
  EXPECT_EQ(to_string(clock), "{000000000ab.2: 1-7 9, 000000000ac.0: 4-5}");
}

TEST(ClockDeathTest, CountersBeginAtOne) {
  Clock clock;
  EXPECT_DEATH(clock.add(Dot{small_actor(0), 0}), "counters begin at 1");
}

}  // namespace
}  // namespace grapevine::model
