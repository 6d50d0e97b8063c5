// Goal: columns align, whatever stands in them.
// Method: tables written out by hand.
#include "tools/table.h"

#include <gtest/gtest.h>

namespace grapevine::tools {
namespace {

TEST(Table, AlignsColumnsAndEndsLinesWithoutSpaces) {
  Table table({{"NAME", Table::Align::kLeft},
               {"KEYS", Table::Align::kRight},
               {"NOTE", Table::Align::kLeft}});
  table.add_row({"n1", "1,000,000", ""});
  table.add_row({"longer name", "7", "late"});
  EXPECT_EQ(table.print(),
            "NAME              KEYS  NOTE\n"
            "n1           1,000,000\n"
            "longer name          7  late\n");
}

TEST(Table, CountsLettersAndNotBytes) {
  Table table({{"A", Table::Align::kLeft}, {"B", Table::Align::kLeft}});
  table.add_row({"µs", "x"});
  table.add_row({"ms", "y"});
  EXPECT_EQ(table.print(), "A   B\nµs  x\nms  y\n");
}

TEST(Table, WithoutRowsHasItsTitles) {
  const Table table({{"A", Table::Align::kLeft}, {"B", Table::Align::kRight}});
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.print(), "A  B\n");
}

TEST(TableDeathTest, ARowWithTooFewCellsIsAMistakeOfTheProgram) {
  Table table({{"A", Table::Align::kLeft}, {"B", Table::Align::kLeft}});
  EXPECT_DEATH(table.add_row({"only one"}), "a cell for every column");
}

}  // namespace
}  // namespace grapevine::tools
