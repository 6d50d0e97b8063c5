// Goal: numbers, times and bytes come out as people expect them, and no bytes reach a terminal as
// control characters. Method: edges written out by hand; base64 and printable as properties over
// any bytes.
#include "tools/readable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/status.h"

namespace grapevine::tools {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST(ReadableCount, GroupsThousands) {
  EXPECT_EQ(readable_count(0), "0");
  EXPECT_EQ(readable_count(999), "999");
  EXPECT_EQ(readable_count(1'000), "1,000");
  EXPECT_EQ(readable_count(1'234'567), "1,234,567");
  EXPECT_EQ(readable_count(~std::uint64_t{0}), "18,446,744,073,709,551,615");
}

TEST(ReadableCount, TakesThePluralForAllButOne) {
  EXPECT_EQ(counted(0, "key"), "0 keys");
  EXPECT_EQ(counted(1, "key"), "1 key");
  EXPECT_EQ(counted(2'000, "key"), "2,000 keys");
}

TEST(ReadableBytes, ChangesUnitBeforeFourDigits) {
  EXPECT_EQ(readable_bytes(1023), "1023 B");
  EXPECT_EQ(readable_bytes(1024), "1.0 KiB");
  EXPECT_EQ(readable_bytes(1536), "1.5 KiB");
  EXPECT_EQ(readable_bytes(1024 * 1000), "1.0 MiB");
  EXPECT_EQ(readable_bytes(std::uint64_t{5} << 30), "5.0 GiB");
}

TEST(ReadableDuration, UsesTheUnitThatFits) {
  EXPECT_EQ(readable_duration(850us), "850 µs");
  EXPECT_EQ(readable_duration(12'300us), "12.3 ms");
  EXPECT_EQ(readable_duration(4'200ms), "4.2 s");
  EXPECT_EQ(readable_duration(185s), "3 min 5 s");
  EXPECT_EQ(readable_duration(130min), "2 h 10 min");
  EXPECT_EQ(readable_duration(123h), "5 d 3 h");
}

TEST(ReadableTime, IsUtcWithMilliseconds) {
  EXPECT_EQ(readable_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(readable_time(1'795'488'812'123), "2026-11-24T02:53:32.123Z");
}

TEST(ReadableTime, Before1970CountsBackwards) {
  EXPECT_EQ(readable_time(-1), "1969-12-31T23:59:59.999Z");
}

TEST(ReadableDot, NamesNodeEpochAndCounter) {
  EXPECT_EQ(readable_dot({.actor = (std::uint64_t{0x2df9c08ef80} << 20) | 3, .counter = 17}),
            "2df9c08ef80.3:17");
}

TEST(Utf8, RefusesWhatTheStandardRefuses) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("grün € 😀"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("\xc3"));              // cut off
  EXPECT_FALSE(is_utf8("\xc0\xaf"));          // overlong
  EXPECT_FALSE(is_utf8("\xe0\x80\xaf"));      // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
}

TEST(Printable, ShowsControlCharactersAndBrokenTextAsHex) {
  EXPECT_EQ(printable("plain grün"), "plain grün");
  EXPECT_EQ(printable("a\x1b[31m\n\x7f\xff"), "a\\x1b[31m\\x0a\\x7f\\xff");
}

RC_GTEST_PROP(PrintableLaw, AnyBytesComeOutAsUtf8WithoutControlCharacters,
              (const std::string& bytes)) {
  const std::string shown = printable(bytes);
  RC_ASSERT(is_utf8(shown));
  for (const char c : shown) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

TEST(ParseDuration, NeedsAUnitAndASensibleLength) {
  EXPECT_EQ(*parse_duration("250ms"), 250ms);
  EXPECT_EQ(*parse_duration("1m30s"), 90s);
  for (const char* bad : {"", "5", "-5s", "0s", "1us", "25h", "inf", "5 apples"}) {
    const auto parsed = parse_duration(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_THAT(std::string(text_of(parsed.status())), testing::HasSubstr("such as 500ms")) << bad;
  }
}

TEST(Base64, IsTheStandardAlphabetWithPaddingOrTheUrlOneWithout) {
  EXPECT_EQ(to_base64("\xff\xff\xfe"), "///+");
  EXPECT_EQ(to_base64("\xff\xff\xfe", true), "___-");
  EXPECT_EQ(to_base64("a"), "YQ==");
  EXPECT_EQ(to_base64("a", true), "YQ");
  EXPECT_FALSE(from_base64("not base64!").ok());
}

RC_GTEST_PROP(Base64Law, AnyBytesReadBack, (const std::string& bytes, bool url)) {
  const auto read = from_base64(to_base64(bytes, url), url);
  RC_ASSERT(read.ok());
  RC_ASSERT(*read == bytes);
}

}  // namespace
}  // namespace grapevine::tools
