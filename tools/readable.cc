#include "tools/readable.h"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "storage/base/ids.h"

namespace grapevine::tools {
namespace {

// Length of the UTF-8 sequence at the front of `bytes`; 0 when there is none (RFC 3629).
std::size_t utf8_length(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto continues = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xbf) {
    return i < bytes.size() && at(i) >= low && at(i) <= high;
  };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool second = continues(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool second = continues(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string readable_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, 1, ',');
  return digits;
}

std::string readable_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string readable_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 1e-3) return fmt::format("{:.0f} µs", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86'400, whole % 86'400 / 3600);
}

std::string counted(std::uint64_t count, std::string_view singular) {
  return fmt::format("{} {}{}", readable_count(count), singular, count == 1 ? "" : "s");
}

std::string readable_time(std::int64_t unix_ms) {
  const std::int64_t ms = (unix_ms % 1000 + 1000) % 1000;  // counted up, before 1970 too
  const std::time_t seconds = static_cast<std::time_t>((unix_ms - ms) / 1000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{} ms since 1970", unix_ms);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ms);
}

std::string readable_dot(const WriteName& dot) {
  return fmt::format("{}:{}", grapevine::to_string(ActorId{dot.actor}), dot.counter);
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    const auto byte = static_cast<unsigned char>(bytes[0]);
    if (length == 0 || byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
      bytes.remove_prefix(1);
    } else {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return text;
}

absl::StatusOr<std::chrono::milliseconds> parse_duration(const std::string& text,
                                                         std::chrono::milliseconds max) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::Milliseconds(1) ||
      duration > absl::FromChrono(max)) {
    return absl::InvalidArgumentError(fmt::format(
        "'{}' is no duration from 1ms to {}h; write it with its unit, such as 500ms, 5s or 1m",
        text, std::chrono::duration_cast<std::chrono::hours>(max).count()));
  }
  return std::chrono::milliseconds(absl::ToInt64Milliseconds(duration));
}

std::string to_base64(std::string_view bytes, bool url) {
  const absl::string_view view(bytes.data(), bytes.size());
  return url ? absl::WebSafeBase64Escape(view) : absl::Base64Escape(view);
}

absl::StatusOr<std::string> from_base64(std::string_view text, bool url) {
  std::string bytes;
  const absl::string_view view(text.data(), text.size());
  const bool ok =
      url ? absl::WebSafeBase64Unescape(view, &bytes) : absl::Base64Unescape(view, &bytes);
  if (!ok)
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not base64", printable(text.substr(0, 40))));
  return bytes;
}

}  // namespace grapevine::tools
