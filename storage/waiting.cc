#include "storage/waiting.h"

#include <fmt/format.h>

#include "absl/strings/cord.h"

namespace grapevine::storage {
namespace {

// Tells a stalled disk from a full one; it stays in the process.
constexpr const char* kStalled = "grapevine/stalled";

}  // namespace

absl::Status cold_error(const std::string& what) {
  return absl::AbortedError(fmt::format("{}: not in memory", what));
}

bool is_stalled(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && status.GetPayload(kStalled).has_value();
}

absl::Status stalled_error(const std::string& what) {
  absl::Status status = absl::ResourceExhaustedError(
      fmt::format("overloaded: {}: the disk lags behind the writes; nothing was written, try again "
                  "in 100 ms",
                  what));
  status.SetPayload(kStalled, absl::Cord());
  return status;
}

}  // namespace grapevine::storage
