// Goal: what two replicas' sketches give away is exactly what differs, or nothing. Method: sets of
// keys as the twin; laws; fixed seeds where chance decides how many cells are enough; hostile cells.
#include "storage/model/sketch.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/random.h"

namespace grapevine::model {
namespace {

constexpr std::size_t kCells = 256;

DigestSum some_digest(Random& random) {
  return {random.next(), random.next()};
}

std::vector<SketchCell> minus(const Sketch& a, const Sketch& b, std::size_t cells) {
  std::vector<SketchCell> difference(a.cells().begin(),
                                     a.cells().begin() + static_cast<std::ptrdiff_t>(cells));
  for (std::size_t i = 0; i < cells; ++i) difference[i] -= b.cells()[i];
  return difference;
}

// Two replicas that share `common` keys, and differ in so many others.
struct Pair {
  Pair(std::uint64_t seed, std::size_t common, std::size_t differing,
       std::size_t cells = Sketch::kCellsMax)
      : left(cells), right(cells) {
    Random random(seed);
    for (std::size_t i = 0; i < common; ++i) {
      const Token token{random.next()};
      const DigestSum digest = some_digest(random);
      left.change(token, {}, digest);
      right.change(token, {}, digest);
    }
    while (slots.size() < differing) {
      const Token token{random.next()};
      if (!slots.insert(slot_of(token)).second) continue;
      // Only here, only there, or another version there.
      const std::uint64_t kind = random.below(3);
      if (kind != 0) left.change(token, {}, some_digest(random));
      if (kind != 1) right.change(token, {}, some_digest(random));
    }
  }
  std::vector<Slot> sorted() const { return {slots.begin(), slots.end()}; }

  Sketch left;
  Sketch right;
  std::set<Slot> slots;
};

RC_GTEST_PROP(SketchLaw, TheSketchIsOfWhatIsStoredHoweverItCameAbout, (std::uint64_t seed)) {
  Random random(seed);
  Sketch sketch(kCells);
  std::map<std::uint64_t, DigestSum> stored;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t token = random.below(20) << 59;
    const DigestSum after = random.chance(0.3) ? DigestSum{} : some_digest(random);
    sketch.change({token}, stored[token], after);
    stored[token] = after;
  }
  Sketch anew(kCells);
  for (const auto& [token, digest] : stored) anew.change({token}, {}, digest);
  RC_ASSERT(sketch == anew);
  for (const auto& [token, digest] : stored) sketch.change({token}, digest, {});
  RC_ASSERT(sketch.blank());
}

RC_GTEST_PROP(SketchLaw, WhatIsGivenAwayIsExactlyWhatDiffers, (std::uint64_t seed)) {
  const Pair pair(seed, 50, *rc::gen::inRange<std::size_t>(0, 40));
  for (const std::size_t cells : {1UL, 7UL, 30UL, 200UL}) {
    const auto slots = differing_slots(minus(pair.left, pair.right, cells));
    if (slots.has_value()) {
      RC_ASSERT(*slots == pair.sorted());
    }
  }
}

RC_GTEST_PROP(SketchLaw, TheSketchesOfPartitionsAddUpToThatOfAllOfThem, (std::uint64_t seed)) {
  Random random(seed);
  Sketch one(kCells);
  Sketch other(kCells);
  Sketch all(kCells);
  for (int i = 0; i < 40; ++i) {
    const Token token{random.next()};
    const DigestSum digest = some_digest(random);
    (random.chance(0.5) ? one : other).change(token, {}, digest);
    all.change(token, {}, digest);
  }
  RC_ASSERT(first_cells({&one, &other}, 60) == first_cells({&all}, 60));
  RC_ASSERT(probes_of({&one, &other}) == probes_of({&all}));
}

TEST(Sketch, EnoughCellsAreSeldomTooFew) {
  // Seeds are fixed: the counts are what they are, and a worse choice of cells shows.
  for (const auto& [differing, runs] : std::vector<std::pair<std::size_t, std::uint64_t>>{
           {0, 1}, {1, 500}, {2, 500}, {5, 500}, {20, 300}, {100, 100}, {1'000, 30}, {2'700, 10}}) {
    std::uint64_t failed = 0;
    for (std::uint64_t seed = 0; seed < runs; ++seed) {
      const Pair pair(seed, 100, differing);
      const std::size_t cells = std::min(cells_for(differing), Sketch::kCellsMax);
      const auto slots = differing_slots(minus(pair.left, pair.right, cells));
      if (slots.has_value()) {
        EXPECT_EQ(*slots, pair.sorted());
      }
      failed += slots.has_value() ? 0 : 1;
    }
    EXPECT_LE(failed * 20, runs) << differing << " differing";
  }
}

TEST(Sketch, CellsAndSlotsAreCountedAlikeBothWays) {
  for (std::size_t cells = cells_for(0); cells <= Sketch::kCellsMax; ++cells) {
    EXPECT_LE(cells_for(slots_for(cells)), cells);
    EXPECT_GT(cells_for(slots_for(cells) + 1), cells);
  }
  EXPECT_EQ(slots_for(0), 0U);
  EXPECT_GT(cells_for(~std::uint64_t{0}), std::size_t{1} << 40);
}

TEST(Sketch, EverySlotIsFoundTheLastOnesTogether) {
  for (const std::uint64_t token : std::vector<std::uint64_t>{
           0, std::uint64_t{1} << 32, ~std::uint64_t{0},
           ~std::uint64_t{0} - (std::uint64_t{7} << 32), 0x7fffffffffffffff}) {
    Sketch sketch(kCells);
    sketch.change({token}, {}, {1, 2});
    const auto slots = differing_slots(sketch.cells());
    ASSERT_TRUE(slots.has_value());
    ASSERT_EQ(slots->size(), 1U);
    EXPECT_TRUE(tokens_of(slots->front()).contains({token})) << token;
  }
  EXPECT_EQ(slot_of({~std::uint64_t{0}}), slot_of({~std::uint64_t{0} - (3ULL << 32)}));
  // Slots are ranges that follow each other.
  for (const Slot slot : {Slot{0}, Slot{1}, slot_of({~std::uint64_t{0}}) - 1}) {
    EXPECT_EQ(tokens_of(slot).last.value + 1, tokens_of(slot + 1).first.value);
  }
}

TEST(Sketch, KeysOfOneSlotCountAsOne) {
  Sketch sketch(kCells);
  const Token token{77ULL << 32};
  sketch.change(token, {}, {1, 0});
  sketch.change({token.value + 5}, {}, {2, 0});
  EXPECT_EQ(differing_slots(sketch.cells()), std::vector<Slot>{77});
}

std::uint64_t estimate(const Pair& pair, std::uint64_t expected) {
  return estimate_slots(probes_of({&pair.left}), probes_of({&pair.right}), expected);
}

TEST(Sketch, TheEstimateIsOfTheRightOrder) {
  for (const std::size_t differing : {1UL, 4UL, 30UL, 300UL, 2'000UL, 5'000UL}) {
    double sum = 0;
    constexpr int kRuns = 20;
    for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
      const auto guess = static_cast<double>(estimate(Pair(seed, 100, differing), 0));
      EXPECT_GE(guess, static_cast<double>(differing) / 6) << differing;
      EXPECT_LE(guess, static_cast<double>(differing) * 6) << differing;
      sum += guess / static_cast<double>(differing);
    }
    EXPECT_GT(sum / kRuns, 0.6) << differing;
    EXPECT_LT(sum / kRuns, 1.7) << differing;
  }
  const Pair equal(1, 100, 0);
  EXPECT_EQ(estimate(equal, 0), 0U);
  EXPECT_EQ(estimate(equal, 100), 0U);
  EXPECT_EQ(estimate_slots("", "x", 0), 0U);
  EXPECT_LT(probes_of({&equal.left}).size(), 64U);
}

TEST(Sketch, TheEstimateIsWhatIsExpectedUnlessAnotherIsClearlyLikelier) {
  for (const std::size_t differing : {1UL, 4UL, 30UL, 300UL, 2'000UL, 5'000UL, 20'000UL}) {
    int kept = 0;
    constexpr int kRuns = 50;
    for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
      const Pair pair(seed, 100, differing);
      kept += estimate(pair, differing) == differing ? 1 : 0;
      if (differing > 300) continue;  // where nearly all cells show something, more would not show
      EXPECT_LT(estimate(pair, 20 * differing), 6 * differing);
      EXPECT_GT(estimate(pair, differing / 20), differing / 20);
    }
    EXPECT_GE(kept, kRuns - 1) << differing;
  }
}

TEST(Sketch, AByteThatIsEqualByChanceIsNoSignOfFewDifferences) {
  const Pair pair(1, 100, 5'000);
  const std::string mine = probes_of({&pair.left});
  for (std::size_t i = 0; i < mine.size(); ++i) {
    std::string theirs = probes_of({&pair.right});
    theirs[i] = mine[i];
    EXPECT_EQ(estimate_slots(mine, theirs, 5'000), 5'000U) << i;
  }
}

TEST(Sketch, CellsThatNobodyMadeOfSlotsGiveNothingAway) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    std::vector<SketchCell> cells(1 + random.below(50));
    for (SketchCell& cell : cells) {
      cell = {static_cast<std::uint32_t>(random.below(4'000'000'000)),
              static_cast<std::uint32_t>(random.below(4'000'000'000)),
              static_cast<std::uint32_t>(random.below(4'000'000'000))};
    }
    EXPECT_FALSE(differing_slots(cells).has_value());
  }
}

TEST(Sketch, TogetherThereAreAsManyCellsAsTheSmallestHas) {
  const Sketch large(100);
  const Sketch small(40);
  EXPECT_EQ(first_cells({&large, &small}, 70).size(), 40U);
  EXPECT_EQ(first_cells({&large, &small}, 30).size(), 30U);
  EXPECT_TRUE(first_cells({}, 30).empty());
  EXPECT_EQ(probes_of({&large, &small}).size(), probes_of({&small}).size());
}

TEST(Sketch, ThePartitionsShareTheRoom) {
  EXPECT_EQ(Sketch::cells_of(1), 4096U);
  EXPECT_EQ(Sketch::cells_of(64), 2048U);
  EXPECT_EQ(Sketch::cells_of(1024), 128U);
  EXPECT_EQ(Sketch::cells_of(65'536), 64U);
}

TEST(SketchBytes, BringBackEveryCell) {
  for (const std::size_t keys : {0UL, 1UL, 10UL, 1'000UL}) {
    const Pair pair(keys, keys, 0, kCells);
    std::string bytes;
    pair.left.encode(bytes);
    ByteReader in(bytes);
    const auto read = Sketch::decode(kCells, in);
    ASSERT_TRUE(read.ok());
    EXPECT_TRUE(in.done());
    EXPECT_EQ(*read, pair.left);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 50) {
      ByteReader less(std::string_view(bytes).substr(0, cut));
      EXPECT_FALSE(Sketch::decode(kCells, less).ok()) << cut;
    }
    ByteReader fewer(bytes);
    if (keys > 10) {
      EXPECT_FALSE(Sketch::decode(kCells / 2, fewer).ok());
    }
  }
}

TEST(SketchBytes, OfCellsBeyondTheFieldAreRefused) {
  std::string bytes;
  encode_cells({{1, 2, 3}, {4, 5, 6}}, bytes);
  EXPECT_EQ(bytes.size(), 24U);
  EXPECT_EQ(*decode_cells(bytes), (std::vector<SketchCell>{{1, 2, 3}, {4, 5, 6}}));
  EXPECT_TRUE(absl::IsInvalidArgument(decode_cells(bytes.substr(1)).status()));
  bytes[4] = bytes[5] = bytes[6] = bytes[7] = '\xff';
  EXPECT_TRUE(absl::IsInvalidArgument(decode_cells(bytes).status()));
}

}  // namespace
}  // namespace grapevine::model
