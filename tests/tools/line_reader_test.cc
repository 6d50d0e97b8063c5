// Goal: every line of a file comes out once, numbered, however it lies across the buffer.
// Method: any lines, joined and read back, as a property; edges by hand.
#include "tools/line_reader.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/tools/scratch.h"

namespace grapevine::tools {
namespace {

std::vector<std::string> lines_of(const std::string& content) {
  const Scratch scratch;
  const std::string path = scratch.file_with("lines", content);
  auto reader = LineReader::open(path);
  EXPECT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->bytes_total(), content.size());
  std::vector<std::string> lines;
  for (;;) {
    const auto more = reader->next();
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) break;
    lines.emplace_back(reader->line());
    EXPECT_EQ(reader->line_number(), lines.size());
  }
  EXPECT_EQ(reader->bytes_read(), content.size());
  return lines;
}

TEST(LineReader, NeedsNoLineBreakAtTheEnd) {
  EXPECT_THAT(lines_of("a\nb\n"), testing::ElementsAre("a", "b"));
  EXPECT_THAT(lines_of("a\nb"), testing::ElementsAre("a", "b"));
  EXPECT_THAT(lines_of("\n\n"), testing::ElementsAre("", ""));
  EXPECT_THAT(lines_of(""), testing::IsEmpty());
}

TEST(LineReader, LinesMayBeLongerThanItsBuffer) {
  const std::string exact(64 * 1024, 'x');  // the line break falls into the next piece
  const std::string longer(300'000, 'y');
  EXPECT_THAT(lines_of(exact + "\n" + longer + "\nend"),
              testing::ElementsAre(exact, longer, "end"));
}

RC_GTEST_PROP(LineReaderLaw, LinesComeOutAsTheyWentIn, ()) {
  const auto lines = *rc::gen::container<std::vector<std::string>>(
      rc::gen::container<std::string>(rc::gen::distinctFrom(rc::gen::arbitrary<char>(), '\n')));
  std::string content;
  for (const auto& line : lines) content += line + "\n";
  RC_ASSERT(lines_of(content) == lines);
}

TEST(LineReader, ADirectoryCannotBeReadAndSaysSo) {
  const Scratch scratch;
  auto reader = LineReader::open(scratch.path());
  ASSERT_TRUE(reader.ok());
  const auto next = reader->next();
  ASSERT_FALSE(next.ok());
  EXPECT_THAT(std::string(text_of(next.status())), testing::HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace grapevine::tools
