#include "tools/line_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace grapevine::tools {

LineReader::LineReader(std::FILE* file, std::string name, std::optional<std::uint64_t> bytes_total)
    : file_(file),
      name_(std::move(name)),
      bytes_total_(bytes_total),
      buffer_(std::size_t{64} * 1024) {}

absl::StatusOr<LineReader> LineReader::open(const std::string& path) {
  if (path == "-") return LineReader(stdin, "standard input", std::nullopt);
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("{} cannot be opened: {}", path, std::strerror(errno)));
  }
  struct stat about {};
  std::optional<std::uint64_t> bytes_total;
  if (fstat(fileno(file), &about) == 0 && S_ISREG(about.st_mode)) {
    bytes_total = static_cast<std::uint64_t>(about.st_size);
  }
  return LineReader(file, path, bytes_total);
}

absl::StatusOr<bool> LineReader::next() {
  line_.clear();
  bool any = false;
  for (;;) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
      bytes_read_ += end_;
      if (end_ == 0) {
        if (std::ferror(file_.get()) != 0) {
          return absl::InvalidArgumentError(
              fmt::format("{} cannot be read: {}", name_, std::strerror(errno)));
        }
        if (any) ++line_number_;
        return any;
      }
    }
    any = true;
    const auto from = buffer_.begin() + static_cast<std::ptrdiff_t>(begin_);
    const auto to = buffer_.begin() + static_cast<std::ptrdiff_t>(end_);
    const auto line_break = std::find(from, to, '\n');
    line_.append(from, line_break);
    if (line_.size() > kLineBytesMax) {
      return absl::InvalidArgumentError(fmt::format("{} line {}: longer than {} MiB", name_,
                                                    line_number_ + 1, kLineBytesMax >> 20));
    }
    begin_ = static_cast<std::size_t>(line_break - buffer_.begin());
    if (line_break == to) continue;
    ++begin_;
    ++line_number_;
    return true;
  }
}

}  // namespace grapevine::tools
