// A progress line on standard error, only when that is a terminal.
//
//   import  [#########.............]  41%   24,310 keys   18,400 keys/s   4 s left
//
// Resource; one at a time. Redraws at most every kRedraw. Thread: its owner's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace grapevine::tools {

class Progress {
 public:
  static constexpr std::chrono::milliseconds kRedraw{100};

  // `total` in steps; unknown: no bar and no time left. A step may be a byte where only bytes are
  // known beforehand.
  Progress(std::string label, std::string unit, std::optional<std::uint64_t> total);
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `steps` of total are done, which is `count` units.
  void update(std::uint64_t steps, std::uint64_t count);
  std::chrono::nanoseconds elapsed() const { return std::chrono::steady_clock::now() - start_; }

 private:
  const std::string label_;
  const std::string unit_;
  const std::optional<std::uint64_t> total_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

// The line that `update` draws.
std::string progress_line(const std::string& label, const std::string& unit,
                          std::optional<std::uint64_t> total, std::uint64_t steps,
                          std::uint64_t count, std::chrono::nanoseconds elapsed);

}  // namespace grapevine::tools
