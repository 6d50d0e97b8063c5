// How the store says "that would wait for the disk" to callers that must not.
#pragma once

#include <cstdint>

#include "storage/base/status.h"

namespace grapevine::storage {

// How far a read may go.
enum class Reach : std::uint8_t {
  kMemory,  // memtables and block cache; what is not there is cold
  kDisk,    // waits for the disk where it must
};

// What was to be read is not in memory, and Reach::kMemory did not allow to go further. Nothing was
// changed: warm it (Store::warm), then do it again with Reach::kDisk.
inline bool is_cold(const absl::Status& status) {
  return absl::IsAborted(status);
}
absl::Status cold_error(const std::string& what);

// What a write does when flushes or compactions lag.
enum class Stall : std::uint8_t { kRefuse, kWait };

// A commit was refused because flushes or compactions lag: nothing was written or changed, and the
// same can be tried again soon. A ResourceExhausted like any other to who does not ask.
bool is_stalled(const absl::Status& status);
absl::Status stalled_error(const std::string& what);

}  // namespace grapevine::storage
