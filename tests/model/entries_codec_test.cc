// Goal: entries travel and arrive as they were, in few bytes, and no bytes do more than give a Status.
// Method: round trips and hostile bytes as properties; what the usual entry takes.
#include "storage/model/entries_codec.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

// Keys are never empty, and what travels covers its versions.
KeyedEntry travelling(std::string key, Entry entry, std::vector<Dot> events) {
  for (const Version& version : entry.versions) entry.vector.raise(version.dot);
  return {"k" + std::move(key), std::move(entry), std::move(events)};
}

rc::Gen<std::vector<KeyedEntry>> any_entries() {
  const auto drawn = rc::gen::tuple(
      rc::gen::arbitrary<std::string>(), rc::gen::oneOf(any_wide_entry(), any_filled_entry()),
      rc::gen::container<std::vector<Dot>>(rc::gen::oneOf(any_wide_dot(), any_small_dot())),
      rc::gen::inRange(0, 3));
  return rc::gen::container<std::vector<KeyedEntry>>(
      rc::gen::map(drawn, [](const std::tuple<std::string, Entry, std::vector<Dot>, int>& all) {
        auto [key, entry, events, kind] = all;
        if (kind == 0) {
          for (Version& version : entry.versions) drop_value(version);
        }
        if (kind < 2) {  // the usual events
          events.clear();
          for (const Version& version : entry.versions) events.push_back(version.dot);
        }
        return travelling(std::move(key), std::move(entry), std::move(events));
      }));
}

bool same(const std::vector<KeyedEntry>& a, const std::vector<KeyedEntry>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const KeyedEntry& left, const KeyedEntry& right) {
        return left.key == right.key && left.entry == right.entry && left.events == right.events;
      });
}

RC_GTEST_PROP(EntriesBytes, ArriveAsTheyWere, ()) {
  const auto entries = *any_entries();
  const auto arrived = decode_entries(encode_entries(entries));
  RC_ASSERT(arrived.ok());
  RC_ASSERT(same(*arrived, entries));
}

RC_GTEST_PROP(EntriesBytes, ThatWereChangedOnTheWayAreRefused, ()) {
  const std::string bytes = encode_entries(*any_entries());
  const std::string other = *mutated(bytes);
  RC_PRE(other != bytes);
  RC_ASSERT(absl::IsInvalidArgument(decode_entries(other).status()));
}

// A peer that means harm computes the checksum, too.
RC_GTEST_PROP(EntriesBytes, ThatAreHostileGiveAStatusOrWhatMayTravel, ()) {
  std::string bytes = encode_entries(*any_entries());
  bytes.resize(bytes.size() - 8);
  bytes = *mutated(bytes);
  put_fixed64(bytes, value_checksum(bytes));
  const auto arrived = decode_entries(bytes);
  if (!arrived.ok()) {
    RC_ASSERT(absl::IsInvalidArgument(arrived.status()));
    return;
  }
  for (const KeyedEntry& keyed : *arrived) {
    RC_ASSERT(!keyed.key.empty());
    for (const Version& version : keyed.entry.versions) {
      RC_ASSERT(keyed.entry.vector.covers(version.dot));
      RC_ASSERT(!version.has_value || value_checksum(version.value) == version.checksum);
    }
  }
  RC_ASSERT(same(*decode_entries(encode_entries(*arrived)), *arrived));
}

TEST(EntriesBytes, OfTheUsualEntryAreFewBesideKeyAndValue) {
  std::vector<KeyedEntry> entries;
  VersionVector known;
  for (std::uint64_t node = 1; node <= 3; ++node) known.raise(ActorId::of(NodeId{node}, 1), 90'000);
  constexpr std::size_t kCount = 1'000;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    // From here on those of another partition.
    if (i == kCount / 2) {
      for (std::uint64_t node = 1; node <= 3; ++node) {
        known.raise(ActorId::of(NodeId{node}, 1), 91'000);
      }
    }
    Entry entry;
    entry.vector = known;
    const Dot dot{ActorId::of(NodeId{1 + i % 3}, 1), 50'000 + i};
    Version version = version_with(dot, std::string(100, 'v'));
    version.written = {1'700'000'000'000 + static_cast<std::int64_t>(i) * 10};
    version.write_id = 1;
    entry.insert(std::move(version));
    entries.push_back({fmt::format("key {}", i), std::move(entry), {dot}});
    pairs += entries.back().key.size() + 100;
  }
  const std::size_t beside = encode_entries(entries).size() - pairs;
  EXPECT_LE(beside / kCount, 13U);
  EXPECT_TRUE(same(*decode_entries(encode_entries(entries)), entries));
}

RC_GTEST_PROP(HashesBytes, ArriveAsTheyWere,
              (const std::vector<std::pair<std::uint64_t, std::uint64_t>>& all)) {
  std::vector<Item> items;
  for (const auto& [hash, digest] : all) items.push_back({"", hash, digest, false});
  const std::string bytes = encode_hashes(items);
  RC_ASSERT(bytes.size() == 16 * items.size());
  RC_ASSERT(*decode_hashes(bytes) == items);
  if (!bytes.empty()) {
    RC_ASSERT(absl::IsInvalidArgument(decode_hashes(std::string_view(bytes).substr(1)).status()));
  }
}

}  // namespace
}  // namespace grapevine::model
