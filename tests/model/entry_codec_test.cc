// Goal: stored entries read back, their bytes are fixed for good, and no bytes do more than give a
// Status. Method: bytes written out by hand; round trips and hostile bytes as properties.
#include "storage/model/entry_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

std::string encoded(const Entry& entry) {
  std::string out;
  encode_entry(entry, out);
  return out;
}

Entry heads_of(Entry entry) {
  for (Version& version : entry.versions) drop_value(version);
  return entry;
}

const ActorId kActor{0x123456789AB00005};

Version hello() {
  Version version = version_with(Dot{kActor, 300}, "hello");
  version.written = {1'700'000'000'000};
  version.write_id = 0x1122334455667788;
  return version;
}

const std::string kHelloBytes =
    "\x05\x00\xb0\x9a\x78\x56\x34\x12"  // actor
    "\xac\x02"                          // counter 300
    "\x80\xd0\x95\xff\xbc\x31"          // written 1,700,000,000,000 ms
    "\x88\x77\x66\x55\x44\x33\x22\x11"  // write id
    "\xfd\xdc\x62\x5c\x55\xe8\x55\x95"  // xxh3-64 of the value
    "\x05hello"s;

TEST(EntryBytes, OfAQuietEntryAreFixedForGood) {
  Entry entry;
  entry.insert(hello());
  EXPECT_EQ(encoded(entry), "\x01\x01"s + kHelloBytes);
}

TEST(EntryBytes, OfAnEntryWithAVectorAreFixedForGood) {
  Entry entry;
  entry.insert(hello());
  Version before_1970 = version_with(Dot{kActor, 301}, "");
  before_1970.written = {-1};
  before_1970.write_id = 0;
  entry.insert(before_1970);
  entry.vector.raise(ActorId{0x0000000000100000}, 7);
  EXPECT_EQ(encoded(entry), "\x81\x02"s + kHelloBytes +
                                "\x05\x00\xb0\x9a\x78\x56\x34\x12"
                                "\xad\x02"
                                "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                "\x00\x00\x00\x00\x00\x00\x00\x00"
                                "\xc2\x94\xd3\x38\x05\x80\x06\x2d"
                                "\x00"
                                "\x01"
                                "\x00\x00\x10\x00\x00\x00\x00\x00\x07"s);
}

TEST(EntryBytes, OfADeleteThatIsStillRememberedAreFixedForGood) {
  Entry entry;
  entry.vector.raise(ActorId{0x0000000000100000}, 7);
  EXPECT_EQ(encoded(entry), "\x81\x00\x01\x00\x00\x10\x00\x00\x00\x00\x00\x07"s);
}

RC_GTEST_PROP(EntryBytesLaw, AnyEntryReadsBackWithAndWithoutValues, ()) {
  const Entry entry = *any_wide_entry();
  const auto whole = decode_entry(encoded(entry), Values::kWith);
  RC_ASSERT(whole.ok());
  RC_ASSERT(*whole == entry);
  const auto heads = decode_entry(encoded(entry), Values::kWithout);
  RC_ASSERT(heads.ok());
  RC_ASSERT(*heads == heads_of(entry));
}

RC_GTEST_PROP(EntryBytesLaw, EncodingAppends, (const std::string& before)) {
  const Entry entry = *any_wide_entry();
  std::string out = before;
  encode_entry(entry, out);
  RC_ASSERT(out == before + encoded(entry));
}

// Whatever is read would be written as exactly the bytes that were read.
void check_hostile(const std::string& bytes) {
  const auto whole = decode_entry(bytes, Values::kWith);
  const auto heads = decode_entry(bytes, Values::kWithout);
  RC_ASSERT(whole.ok() || absl::IsDataLoss(whole.status()));
  RC_ASSERT(heads.ok() || absl::IsDataLoss(heads.status()));
  if (!whole.ok()) return;
  RC_ASSERT(encoded(*whole) == bytes);
  RC_ASSERT(heads.ok());
  RC_ASSERT(*heads == heads_of(*whole));
}

RC_GTEST_PROP(EntryBytesLaw, AnyBytesAreAnEntryOrDataLoss, (const std::string& bytes)) {
  check_hostile(bytes);
  check_hostile("\x01" + bytes);
  check_hostile("\x81" + bytes);
}

RC_GTEST_PROP(EntryBytesLaw, MutatedBytesAreAnEntryOrDataLoss, ()) {
  check_hostile(*mutated(encoded(*any_wide_entry())));
}

RC_GTEST_PROP(EntryBytesLaw, NoPrefixOfAnEntryIsAnEntry, ()) {
  const std::string bytes = encoded(*any_wide_entry());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    RC_ASSERT(!decode_entry(std::string_view(bytes).substr(0, size), Values::kWithout).ok());
  }
}

TEST(EntryBytes, AFlippedBitInAValueIsNoticedWhereValuesAreRead) {
  std::string bytes = "\x01\x01"s + kHelloBytes;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, Values::kWith).status()));
  EXPECT_TRUE(decode_entry(bytes, Values::kWithout).ok());
}

TEST(EntryBytes, WhatCannotHaveBeenWrittenIsDataLoss) {
  std::string counter_zero = kHelloBytes;
  counter_zero.replace(8, 2, "\x00"s);
  std::string counter_too_high = kHelloBytes;
  counter_too_high.replace(8, 2, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");  // 2^63
  for (const auto& [what, bytes] : {
           std::pair{"nothing", ""s},
           std::pair{"a newer format", "\x02\x01"s + kHelloBytes},
           std::pair{"unknown flags", "\x41\x01"s + kHelloBytes},
           std::pair{"neither version nor vector", "\x01\x00"s},
           std::pair{"an empty vector", "\x81\x01"s + kHelloBytes + "\x00"s},
           std::pair{"a version twice", "\x01\x02"s + kHelloBytes + kHelloBytes},
           std::pair{"fewer versions than promised", "\x01\x02"s + kHelloBytes},
           std::pair{"more versions than promised", "\x01\x01"s + kHelloBytes + kHelloBytes},
           std::pair{"more versions than fit into memory",
                     "\x01\xff\xff\xff\xff\x0f"s + kHelloBytes},
           std::pair{"a counter of zero", "\x01\x01"s + counter_zero},
           std::pair{"a counter too high", "\x01\x01"s + counter_too_high},
       }) {
    EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, Values::kWith).status())) << what;
    EXPECT_TRUE(absl::IsDataLoss(decode_entry(bytes, Values::kWithout).status())) << what;
  }
}

TEST(EntryBytesDeathTest, HeadsCannotBeStored) {
  Entry entry;
  entry.insert(hello());
  std::string out;
  EXPECT_DEATH(encode_entry(heads_of(entry), out), "a version is stored with its value");
}

}  // namespace
}  // namespace grapevine::model
