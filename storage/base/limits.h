// The limits at the door. Whoever accepts bytes from a user or a peer enforces them with a clear
// error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace grapevine {

inline constexpr std::size_t kKeyBytesMax = 32 * 1024;           // a key has 1 to 32,768 bytes
inline constexpr std::size_t kValueBytesMax = 16 * 1024 * 1024;  // a value has 0 to 16 MiB
inline constexpr std::size_t kBatchBytesMax =
    64 * 1024 * 1024;                                       // keys and values of one execute call
inline constexpr std::size_t kBatchOperationsMax = 65'536;  // operations of one execute call
inline constexpr std::uint64_t kTtlMsMax = std::uint64_t{100} * 365 * 86'400 * 1000;  // 100 years
inline constexpr std::size_t kScanKeysMax = 10'000;      // keys of one scan page
inline constexpr std::uint32_t kPartitionsMax = 65'536;  // a power of two
inline constexpr std::uint32_t kReplicationFactorMax = 16;

}  // namespace grapevine
