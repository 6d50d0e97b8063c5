// Goal: a journal record comes back as it was written, and no bytes from disk can do harm.
#include "storage/clock_journal.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

std::vector<PlacedDot> sorted(std::vector<PlacedDot> dots) {
  std::sort(dots.begin(), dots.end());
  return dots;
}

JournalRecord random_record(Random& random) {
  JournalRecord record;
  record.sequence = random.next() >> random.below(64);
  record.total = {{random.next(), random.next()}, random.next()};
  const std::uint64_t count = random.below(40);
  for (std::uint64_t i = 0; i < count; ++i) {
    const PartitionId partition{static_cast<std::uint32_t>(random.below(64))};
    const std::uint64_t counter = 1 + (random.next() >> (1 + random.below(62)));
    record.dots.push_back({partition, {actor(1 + random.below(3)), counter}});
  }
  return record;
}

TEST(JournalRecord, SurvivesItsEncodingWhateverItHolds) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const JournalRecord record = random_record(random);
    const auto decoded = JournalRecord::decode(record.encode());
    ASSERT_TRUE(ok(decoded)) << "seed " << seed;
    EXPECT_EQ(decoded->sequence, record.sequence) << "seed " << seed;
    EXPECT_EQ(decoded->total, record.total) << "seed " << seed;
    EXPECT_EQ(sorted(decoded->dots), sorted(record.dots)) << "seed " << seed;
  }
}

TEST(JournalRecord, IsWrittenByteForByteAsTheReadmeSays) {
  JournalRecord record;
  record.sequence = 300;
  record.total = {{1, 2}, 3};
  record.dots = {{{5}, {actor(1), 2}}, {{4}, {actor(1), 1}}};
  const std::string expected(
      "\xAC\x02"
      "\x01\x00\x00\x00\x00\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "\x03\x00\x00\x00\x00\x00\x00\x00"
      "\x01\x00\x10\x00\x00\x00\x00\x00"
      "\x02"
      "\x04\x01"
      "\x05\x02",
      39);
  EXPECT_EQ(record.encode(), expected);
}

TEST(JournalRecord, EveryPrefixIsRefusedOrHoldsLess) {
  Random random(7);
  JournalRecord record = random_record(random);
  record.dots.push_back({{1}, {actor(9), 1}});
  const std::string bytes = record.encode();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto decoded = JournalRecord::decode(bytes.substr(0, length));
    if (decoded.ok()) {
      EXPECT_LT(decoded->dots.size(), record.dots.size());
    } else {
      EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(JournalRecord, HostileBytesGiveAStatusAndNoImpossibleDot) {
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    Random random(seed);
    std::string bytes = random_record(random).encode();
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto decoded = JournalRecord::decode(bytes);
    if (!decoded.ok()) continue;
    for (const PlacedDot& placed : decoded->dots) EXPECT_GE(placed.dot.counter, 1U);
    EXPECT_LE(decoded->dots.size(), bytes.size());
  }
}

TEST(JournalRecord, ACountThatTheBytesCannotHoldIsRefused) {
  std::string bytes = JournalRecord{1, {}, {}}.encode();
  model::put_fixed64(bytes, actor(1).value);
  model::put_varint(bytes, ~std::uint64_t{0});
  EXPECT_EQ(JournalRecord::decode(bytes).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace grapevine::storage
