// Numbers, times and names as people read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "grapevine/client.h"

namespace grapevine::tools {

std::string readable_count(std::uint64_t count);  // 1,234,567
std::string readable_bytes(std::uint64_t bytes);  // 512 B, 1.5 KiB, 3.2 MiB
std::string readable_duration(
    std::chrono::nanoseconds duration);  // 850 µs, 12.3 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 5 d 3 h
// "key" for 1, "keys" otherwise.
std::string counted(std::uint64_t count, std::string_view singular);  // "1 key", "2,000 keys"
std::string readable_time(std::int64_t unix_ms);                      // 2026-11-24T02:53:32.123Z
std::string readable_dot(const WriteName& dot);                       // NODE.EPOCH:COUNTER

// Whether the bytes are valid UTF-8.
bool is_utf8(std::string_view bytes);
// One line for a terminal: valid UTF-8 without control characters as it is, other bytes as \xNN.
std::string printable(std::string_view bytes);

// "5s", "250ms", "1m30s" and so on. InvalidArgument for what is no positive duration with a unit.
absl::StatusOr<std::chrono::milliseconds> parse_duration(
    const std::string& text, std::chrono::milliseconds max = std::chrono::hours(24));

// Base64 with padding; with `url`, the URL alphabet without padding.
std::string to_base64(std::string_view bytes, bool url = false);
absl::StatusOr<std::string> from_base64(std::string_view text, bool url = false);

}  // namespace grapevine::tools
