// Goal: stored entries read back, their bytes are fixed for good, and no bytes do more than give a
// Status. Method: bytes written out by hand; round trips and hostile bytes as properties.
#include "storage/model/entry_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

const ActorId kActor{0x123456789AB00005};
const ActorId kOther{0x0000000000100000};

// The store's table, as it is after these two have written.
ActorTable two_actors() {
  ActorTable actors;
  actors.index_of(kActor);
  actors.index_of(kOther);
  return actors;
}

std::string encoded(const Entry& entry, ActorTable& actors) {
  std::string out;
  encode_entry(entry, actors, out);
  return out;
}

// What of an entry comes back: values that stand apart do not.
Entry without_apart(Entry entry) {
  for (Version& version : entry.versions) {
    if (stands_apart(version)) drop_value(version);
  }
  return entry;
}

Entry heads_of(Entry entry) {
  for (Version& version : entry.versions) drop_value(version);
  return entry;
}

Version hello() {
  Version version = version_with(Dot{kActor, 300}, "hello");
  version.written = {1'700'000'000'000};
  version.write_id = 0x11223344;
  return version;
}

const std::string kHelloHead =
    "\x00"                      // actor 0
    "\xac\x02"                  // counter 300
    "\x80\xd0\x95\xff\xbc\x31"  // written 1,700,000,000,000 ms
    "\x44\x33\x22\x11"          // write id
    "\xfd\xdc\x62\x5c"s;        // low half of xxh3-64 of the value

TEST(EntryBytes, OfAQuietEntryAreFixedForGood) {
  Entry entry;
  entry.insert(hello());
  ActorTable actors = two_actors();
  EXPECT_EQ(encoded(entry, actors), "\x29"s + kHelloHead + "hello");
}

// What the design allows for dot, write time, write id and checksum: 24 bytes, the dot at most 10.
TEST(EntryBytes, OfAQuietEntryAreAtMost24BesideTheValue) {
  Entry entry;
  entry.insert(version_with(Dot{kActor, (std::uint64_t{1} << 56) - 1}, "hello"));
  entry.versions.front().written = {1'700'000'000'000};
  ActorTable actors = two_actors();
  EXPECT_EQ(encoded(entry, actors).size(), 24 + 5U);
}

TEST(EntryBytes, OfAnEntryWithAVectorAreFixedForGood) {
  Entry entry;
  entry.insert(hello());
  Version before_1970 = version_with(Dot{kOther, 301}, "");
  before_1970.written = {-1};
  before_1970.write_id = 0;
  before_1970.expires = {200};
  entry.insert(before_1970);
  entry.vector.raise(kOther, 7);
  ActorTable actors = two_actors();
  EXPECT_EQ(encoded(entry, actors),
            "\x11"          // format 1, a vector
            "\x01\x01\x07"  // one item: actor 1, 7
            "\x02"          // two versions
            "\x02"          // expires
            "\x01\xad\x02"  // actor 1, counter 301
            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
            "\xc8\x01"  // expires at 200 ms
            "\xc2\x94\xd3\x38"
            "\x00"     // no value
            "\x01"s +  // has a write id
                kHelloHead +
                "hello");
}

TEST(EntryBytes, OfAValueThatStandsApartAreFixedForGood) {
  Entry entry;
  Version large = hello();
  large.value.assign(5000, 'x');
  large.value_bytes = 5000;
  large.checksum = 0x0102030405060708;
  entry.insert(large);
  ActorTable actors = two_actors();
  EXPECT_EQ(encoded(entry, actors), "\xa9"s + kHelloHead.substr(0, kHelloHead.size() - 4) +
                                        "\x08\x07\x06\x05\x04\x03\x02\x01\x88\x27");
}

TEST(EntryBytes, OfADeleteThatIsStillRememberedAreFixedForGood) {
  Entry entry;
  entry.vector.raise(kOther, 7);
  ActorTable actors = two_actors();
  EXPECT_EQ(encoded(entry, actors), "\x11\x01\x01\x07\x00"s);
}

TEST(EntryBytes, ActorsThatAreNewGetTheNextNumber) {
  Entry entry;
  entry.insert(version_with(Dot{ActorId{77}, 1}, "v"));
  ActorTable actors = two_actors();
  const std::string bytes = encoded(entry, actors);
  EXPECT_EQ(actors.at(2), ActorId{77});
  EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, two_actors(), Values::kWith).status()));
  EXPECT_TRUE(decode_entry(bytes, actors, Values::kWith).ok());
}

RC_GTEST_PROP(EntryBytesLaw, AnyEntryReadsBackWithAndWithoutValues, ()) {
  const Entry entry = *any_wide_entry();
  ActorTable actors;
  const std::string bytes = encoded(entry, actors);
  const auto whole = decode_entry(bytes, actors, Values::kWith);
  RC_ASSERT(whole.ok());
  RC_ASSERT(*whole == without_apart(entry));
  const auto heads = decode_entry(bytes, actors, Values::kWithout);
  RC_ASSERT(heads.ok());
  RC_ASSERT(*heads == heads_of(entry));
}

RC_GTEST_PROP(EntryBytesLaw, EncodingAppends, (const std::string& before)) {
  const Entry entry = *any_wide_entry();
  ActorTable actors;
  const std::string alone = encoded(entry, actors);
  std::string out = before;
  encode_entry(entry, actors, out);
  RC_ASSERT(out == before + alone);
}

// Whatever is read would be written as exactly the bytes that were read.
void check_hostile(const std::string& bytes, const ActorTable& actors) {
  const auto whole = decode_entry(bytes, actors, Values::kWith);
  const auto heads = decode_entry(bytes, actors, Values::kWithout);
  RC_ASSERT(whole.ok() || absl::IsDataLoss(whole.status()));
  RC_ASSERT(heads.ok() == whole.ok());
  if (!whole.ok()) return;
  ActorTable same = actors;
  RC_ASSERT(encoded(*whole, same) == bytes);
  RC_ASSERT(same.size() == actors.size());
  RC_ASSERT(*heads == heads_of(*whole));
}

RC_GTEST_PROP(EntryBytesLaw, AnyBytesAreAnEntryOrDataLoss, (const std::string& bytes)) {
  for (const char* const head : {"", "\x01", "\x09", "\x11", "\x19", "\xe9"}) {
    check_hostile(head + bytes, two_actors());
  }
}

RC_GTEST_PROP(EntryBytesLaw, MutatedBytesAreAnEntryOrDataLoss, ()) {
  ActorTable actors;
  const std::string bytes = encoded(*any_wide_entry(), actors);
  check_hostile(*mutated(bytes), actors);
}

RC_GTEST_PROP(EntryBytesLaw, NoPrefixOfAnEntryIsAnEntry, ()) {
  ActorTable actors;
  const std::string bytes = encoded(*any_wide_entry(), actors);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    RC_ASSERT(!decode_entry(std::string_view(bytes).substr(0, size), actors, Values::kWith).ok());
  }
}

TEST(EntryBytes, AFlippedBitInAValueIsNoticed) {
  std::string bytes = "\x29"s + kHelloHead + "hello";
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, two_actors(), Values::kWith).status()));
  EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, two_actors(), Values::kWithout).status()));
}

TEST(EntryBytes, WhatCannotHaveBeenWrittenIsDataLoss) {
  const std::string head = kHelloHead;
  std::string counter_zero = head;
  counter_zero.replace(1, 2, "\x00"s);
  std::string counter_too_high = head;
  counter_too_high.replace(1, 2, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02");
  std::string unknown_actor = head;
  unknown_actor[0] = 2;
  const std::string apart = head.substr(0, head.size() - 4) + "\x08\x07\x06\x05\x04\x03\x02\x01";
  for (const auto& [what, bytes] : {
           std::pair{"nothing", ""s},
           std::pair{"a newer format", "\x2a"s + head + "hello"},
           std::pair{"flags of no version", "\x31\x01\x01\x07\x00"s},
           std::pair{"neither version nor vector", "\x01\x00"s},
           std::pair{"an empty vector", "\x39\x00"s + head + "hello"},
           std::pair{"one version that is counted", "\x01\x01\x01"s + head + "hello"},
           std::pair{"a version twice", "\x01\x02\x01"s + head + "\x05hello\x01" + head + "hello"},
           std::pair{"fewer versions than promised", "\x01\x02\x01"s + head + "\x05hello"},
           std::pair{"more versions than fit into memory",
                     "\x01\xff\xff\xff\xff\x0f\x01"s + head + "\x05hello"},
           std::pair{"unknown flags", "\x01\x02\x09"s + head + "\x05hello\x01" + head + "hello"},
           std::pair{"an unknown actor", "\x29"s + unknown_actor + "hello"},
           std::pair{"a counter of zero", "\x29"s + counter_zero + "hello"},
           std::pair{"a counter too high", "\x29"s + counter_too_high + "hello"},
           std::pair{"a small value that stands apart", "\xa9"s + apart + "\x05"},
           std::pair{"a value over the limit", "\xa9"s + apart + "\xff\xff\xff\xff\x0f"},
       }) {
    EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, two_actors(), Values::kWith).status()))
        << what;
    EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, two_actors(), Values::kWithout).status()))
        << what;
  }
}

TEST(EntryBytesDeathTest, HeadsOfSmallValuesCannotBeStored) {
  Entry entry;
  entry.insert(hello());
  ActorTable actors;
  std::string out;
  EXPECT_DEATH(encode_entry(heads_of(entry), actors, out), "a version is stored with its value");
}

}  // namespace
}  // namespace grapevine::model
