// Goal: what is written reads back; what nobody wrote is refused, once and for good.
// Method: bytes written out by hand; round trips and hostile bytes as properties.
#include "storage/model/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

std::string varint(std::uint64_t value) {
  std::string out;
  put_varint(out, value);
  return out;
}

TEST(Varint, HasSevenBitsAByteLowestFirst) {
  EXPECT_EQ(varint(0), "\x00"s);
  EXPECT_EQ(varint(127), "\x7f"s);
  EXPECT_EQ(varint(128), "\x80\x01"s);
  EXPECT_EQ(varint(300), "\xac\x02"s);
  EXPECT_EQ(varint(~std::uint64_t{0}), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
}

RC_GTEST_PROP(VarintLaw, ReadsBackAndTakesNoByteMore,
              (std::uint64_t drawn, const std::string& after)) {
  const std::uint64_t value = drawn >> (drawn % 64);  // every length
  const std::string bytes = varint(value) + after;
  ByteReader in(bytes);
  RC_ASSERT(in.varint() == value);
  RC_ASSERT(in.ok());
  RC_ASSERT(in.left() == after.size());
}

TEST(Varint, BeyondSixtyFourBitsIsRefused) {
  for (const std::string& bytes : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s,
                                   "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"s}) {
    ByteReader in(bytes);
    EXPECT_EQ(in.varint(), 0U);
    EXPECT_FALSE(in.ok());
  }
}

// Else equal values could have different bytes, and hashes of encodings would not tell equal from
// different.
TEST(Varint, LongerThanNeededIsRefused) {
  for (const std::string& bytes : {"\x80\x00"s, "\xff\x00"s, "\xac\x82\x00"s}) {
    ByteReader in(bytes);
    EXPECT_EQ(in.varint(), 0U);
    EXPECT_FALSE(in.ok());
  }
}

TEST(Fixed64, IsLittleEndian) {
  std::string out;
  put_fixed64(out, 0x0102030405060708);
  EXPECT_EQ(out, "\x08\x07\x06\x05\x04\x03\x02\x01"s);
  EXPECT_EQ(ByteReader(out).fixed64(), 0x0102030405060708U);
}

RC_GTEST_PROP(Ordered64Law, ByteOrderIsNumericOrder, (std::uint64_t a, std::uint64_t b)) {
  std::string of_a;
  std::string of_b;
  put_ordered64(of_a, a);
  put_ordered64(of_b, b);
  RC_ASSERT(of_a.size() == 8U);
  RC_ASSERT((of_a < of_b) == (a < b));
  RC_ASSERT(ordered64(of_a) == a);
  RC_ASSERT(ordered64(of_a + "more") == a);
}

RC_GTEST_PROP(BytesLaw, FieldsReadBackInTheOrderInWhichTheyWereWritten,
              (std::uint64_t number, const std::string& text, std::uint64_t fixed,
               std::uint8_t byte)) {
  std::string out;
  put_varint(out, number);
  put_bytes(out, text);
  put_fixed64(out, fixed);
  out.push_back(static_cast<char>(byte));
  ByteReader in(out);
  RC_ASSERT(in.varint() == number);
  RC_ASSERT(in.bytes() == text);
  RC_ASSERT(in.fixed64() == fixed);
  RC_ASSERT(!in.done());
  RC_ASSERT(in.byte() == byte);
  RC_ASSERT(in.done());
}

TEST(ByteReader, AfterOneFailureEveryReadIsEmptyAndNothingIsOk) {
  ByteReader in(
      "\x05"
      "abc");
  EXPECT_EQ(in.bytes(), "");  // five promised, three there
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.left(), 0U);
  EXPECT_EQ(in.byte(), 0U);
  EXPECT_EQ(in.varint(), 0U);
  EXPECT_EQ(in.fixed64(), 0U);
  EXPECT_EQ(in.raw(0), "");
  EXPECT_FALSE(in.ok());
  EXPECT_FALSE(in.done());
}

TEST(ByteReader, ALengthBeyondAllMemoryIsOnlyAFailure) {
  const std::string bytes = varint(~std::uint64_t{0}) + "abc";
  ByteReader in(bytes);
  EXPECT_EQ(in.bytes(), "");
  EXPECT_FALSE(in.ok());
}

TEST(ByteReader, NothingAtAllIsDoneButCannotBeRead) {
  EXPECT_TRUE(ByteReader("").done());
  EXPECT_EQ(ByteReader("").raw(0), "");
  ByteReader in("");
  in.byte();
  EXPECT_FALSE(in.ok());
}

RC_GTEST_PROP(ByteReaderLaw, AnyReadsOfAnyBytesStayInside,
              (const std::string& bytes, const std::vector<std::uint8_t>& reads)) {
  ByteReader in(bytes);
  for (const std::uint8_t read : reads) {
    const std::size_t before = in.left();
    const std::string_view taken = read % 5 == 0   ? in.bytes()
                                   : read % 5 == 1 ? in.raw(read)
                                                   : std::string_view();
    if (read % 5 == 2) in.varint();
    if (read % 5 == 3) in.fixed64();
    if (read % 5 == 4) in.byte();
    RC_ASSERT(in.left() <= before);
    RC_ASSERT(taken.empty() || (taken.data() >= bytes.data() &&
                                taken.data() + taken.size() <= bytes.data() + bytes.size()));
  }
}

}  // namespace
}  // namespace grapevine::model
