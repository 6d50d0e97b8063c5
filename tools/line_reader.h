// Reads a file or standard input line by line.
//
// Resource. Cost: one buffer, and the line itself, up to kLineBytesMax. Thread: its owner's.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace grapevine::tools {

class LineReader {
 public:
  // A value of 16 MiB with every byte escaped fits.
  static constexpr std::size_t kLineBytesMax = std::size_t{128} << 20;

  // "-" is standard input. InvalidArgument that says why when it cannot be opened.
  static absl::StatusOr<LineReader> open(const std::string& path);

  // Moves to the next line; false at the end. The last line needs no line break. InvalidArgument
  // when the file cannot be read, or when the line is longer than kLineBytesMax.
  absl::StatusOr<bool> next();
  // Without its line break. Valid until the next call of next().
  std::string_view line() const { return line_; }
  std::uint64_t line_number() const { return line_number_; }  // from 1; 0 before the first

  std::uint64_t bytes_read() const { return bytes_read_; }
  std::optional<std::uint64_t> bytes_total() const { return bytes_total_; }  // of a regular file
  // The path, or "standard input".
  const std::string& name() const { return name_; }

 private:
  struct Closer {
    void operator()(std::FILE* file) const {
      if (file != stdin) std::fclose(file);
    }
  };

  LineReader(std::FILE* file, std::string name, std::optional<std::uint64_t> bytes_total);

  std::unique_ptr<std::FILE, Closer> file_;
  std::string name_;
  std::optional<std::uint64_t> bytes_total_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // of what is buffered and not yet given out
  std::size_t end_ = 0;
  std::string line_;
  std::uint64_t line_number_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace grapevine::tools
