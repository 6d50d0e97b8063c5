// Goal: whatever bytes keys and values have, an exported line is read back as it was; bad lines are
// told apart. Method: lines written out by hand; round trips and hostile bytes as properties.
#include "tools/json_lines.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "storage/base/status.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using testing::HasSubstr;

rc::Gen<std::string> any_bytes() {
  return rc::gen::oneOf(
      rc::gen::arbitrary<std::string>(),
      rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~')),
      rc::gen::element<std::string>("grün", "\xff\x00", "\"quoted\\\"", "line\nbreak", "😀"));
}

rc::Gen<KeyLine> any_line() {
  return rc::gen::build<KeyLine>(
      rc::gen::set(&KeyLine::key, any_bytes()),
      rc::gen::set(&KeyLine::values,
                   rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(any_bytes()))));
}

std::string complaint(std::string_view text) {
  const auto line = parse_line(text);
  return line.ok() ? "none" : std::string(text_of(line.status()));
}

TEST(JsonLine, OfTextIsPlain) {
  EXPECT_EQ(print_line({.key = "k", .values = {"v"}}), R"({"key":"k","value":"v"})");
  EXPECT_EQ(print_line({.key = "grün", .values = {"a\"b\n"}}),
            R"({"key":"grün","value":"a\"b\n"})");
}

TEST(JsonLine, OfOtherBytesIsBase64UnderItsOwnName) {
  EXPECT_EQ(print_line({.key = "\xff", .values = {"\xff\xfe"}}),
            R"({"key_base64":"/w==","value_base64":"//4="})");
}

TEST(JsonLine, OfSiblingsIsSortedSoThatEqualDataGivesEqualBytes) {
  EXPECT_EQ(print_line({.key = "k", .values = {"b", "a"}}),
            R"({"key":"k","siblings":[{"value":"a"},{"value":"b"}]})");
  EXPECT_EQ(print_line({.key = "k", .values = {"a", "b"}}),
            print_line({.key = "k", .values = {"b", "a"}}));
}

TEST(JsonLine, IgnoresFieldsThatItDoesNotKnow) {
  const auto line = parse_line(R"( {"written":1,"value":"v","key":"k"} )");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(*line, (KeyLine{.key = "k", .values = {"v"}}));
}

TEST(JsonLine, ThatIsBadSaysWhatIsWrong) {
  EXPECT_THAT(complaint(""), HasSubstr("not JSON"));
  EXPECT_THAT(complaint(R"({"key":"k","value":"v")"), HasSubstr("not JSON"));
  EXPECT_THAT(complaint("{\"key\":\"k\",\"value\":\"\xff\"}"), HasSubstr("not JSON"));
  EXPECT_THAT(complaint("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(complaint(R"({"value":"v"})"), HasSubstr("no \"key\""));
  EXPECT_THAT(complaint(R"({"key":1,"value":"v"})"), HasSubstr("\"key\" is not a string"));
  EXPECT_THAT(complaint(R"({"key":"k"})"), HasSubstr("no \"value\" and no \"siblings\""));
  EXPECT_THAT(complaint(R"({"key":"k","value":null})"), HasSubstr("\"value\" is not a string"));
  EXPECT_THAT(complaint(R"({"key":"k","key_base64":"aw==","value":"v"})"),
              HasSubstr("both \"key\""));
  EXPECT_THAT(complaint(R"({"key":"k","value":"v","siblings":[{"value":"v"}]})"),
              HasSubstr("both \"value\""));
  EXPECT_THAT(complaint(R"({"key":"k","value_base64":"%%"})"), HasSubstr("not base64"));
  EXPECT_THAT(complaint(R"({"key":"k","siblings":[]})"), HasSubstr("at least one"));
  EXPECT_THAT(complaint(R"({"key":"k","siblings":["v"]})"), HasSubstr("not an object"));
  EXPECT_THAT(complaint(R"({"key":"k","siblings":[{}]})"), HasSubstr("no \"value\""));
}

TEST(JsonLine, NestedWithoutEndIsNoReasonToCrash) {
  EXPECT_NE(complaint(std::string(200'000, '[')), "none");
}

RC_GTEST_PROP(JsonLineLaw, AnyLineReadsBack, ()) {
  KeyLine line = *any_line();
  const std::string text = print_line(line);
  RC_ASSERT(text.find('\n') == std::string::npos);
  RC_ASSERT(is_utf8(text));
  const auto read = parse_line(text);
  RC_ASSERT(read.ok());
  std::sort(line.values.begin(), line.values.end());
  RC_ASSERT(*read == line);
  RC_ASSERT(print_line(*read) == text);
}

RC_GTEST_PROP(JsonLineLaw, NoBytesDoMoreThanGiveAStatus, ()) {
  std::string text = print_line(*any_line());
  const auto edits = *rc::gen::container<std::vector<std::pair<std::size_t, char>>>(
      rc::gen::pair(rc::gen::inRange<std::size_t>(0, text.size()), rc::gen::arbitrary<char>()));
  for (const auto& [at, c] : edits) text[at] = c;
  const auto line = parse_line(text);
  if (line.ok()) RC_ASSERT(!line->values.empty());
}

TEST(JsonFound, CarriesContextDotAndTime) {
  Found found;
  found.context = "\xff\xff\xfe";
  found.siblings.push_back({.value = "v",
                            .dot = {.actor = (std::uint64_t{1} << 20) | 1, .counter = 2},
                            .written_unix_ms = 3});
  EXPECT_EQ(
      print_found("k", found),
      R"({"key":"k","value":"v","dot":"00000000001.1:2","written":"1970-01-01T00:00:00.003Z","context":"___-"})");
}

TEST(JsonFound, OfAMissingKeyHasNoSiblings) {
  EXPECT_EQ(print_found("k", Found{}), R"({"key":"k","siblings":[],"context":""})");
}

RC_GTEST_PROP(ContextLaw, WhatIsPrintedIsParsed, (const std::string& context)) {
  const auto parsed = parse_context(print_context(context));
  RC_ASSERT(parsed.ok());
  RC_ASSERT(*parsed == context);
}

TEST(Context, ThatWasNeverPrintedIsRefusedWithTheRemedy) {
  const auto parsed = parse_context("not a context!");
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(std::string(text_of(parsed.status())), HasSubstr("get --json"));
}

}  // namespace
}  // namespace grapevine::tools
