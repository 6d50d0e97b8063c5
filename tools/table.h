// Aligned columns for a terminal.
#pragma once

#include <string>
#include <vector>

namespace grapevine::tools {

// Value. Columns are as wide as their widest cell and two spaces apart; a line has no spaces at its
// end.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // REQUIRES: as many cells as columns.
  void add_row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // With a line break after each line, the titles first.
  std::string print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace grapevine::tools
