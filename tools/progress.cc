#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "tools/readable.h"

namespace grapevine::tools {

Progress::Progress(std::string label, std::string unit, std::optional<std::uint64_t> total)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::update(std::uint64_t steps, std::uint64_t count) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  fmt::print(stderr, "\r\x1b[K{}",
             progress_line(label_, unit_, total_, steps, count, now - start_));
  std::fflush(stderr);
}

std::string progress_line(const std::string& label, const std::string& unit,
                          std::optional<std::uint64_t> total, std::uint64_t steps,
                          std::uint64_t count, std::chrono::nanoseconds elapsed) {
  constexpr std::size_t kBarCells = 24;
  std::string line = label;
  const double seconds = std::chrono::duration<double>(elapsed).count();
  if (total.has_value() && *total > 0) {
    const double share = std::min(1.0, static_cast<double>(steps) / static_cast<double>(*total));
    const auto cells = static_cast<std::size_t>(share * static_cast<double>(kBarCells));
    line += fmt::format("  [{}{}]  {:3.0f}%", std::string(cells, '#'),
                        std::string(kBarCells - cells, '.'), share * 100);
  }
  line += fmt::format("   {} {}", readable_count(count), unit);
  if (seconds > 0) {
    line += fmt::format(
        "   {} {}/s",
        readable_count(static_cast<std::uint64_t>(static_cast<double>(count) / seconds)), unit);
  }
  if (total.has_value() && steps > 0 && steps < *total) {
    const double left = seconds / static_cast<double>(steps) * static_cast<double>(*total - steps);
    line += fmt::format(
        "   {} left", readable_duration(std::chrono::seconds(static_cast<std::int64_t>(left) + 1)));
  }
  return line;
}

}  // namespace grapevine::tools
