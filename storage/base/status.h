// Errors are absl::Status values. A code exists only where some caller acts differently on it:
//
//   InvalidArgument     bad input, or over a limit: the same call can never succeed
//   Unavailable         nothing was written: try again, here or elsewhere
//   Unknown             outcome unknown: the write may or may not have happened, and may still spread
//   ResourceExhausted   overloaded or full: nothing was written, try again later
//   FailedPrecondition  refused in this state: another cluster's directory, a newer format, not ready yet
//   DataLoss            corruption was noticed: never taken for "not found"
//   NotFound            only where absence is an error
//   Cancelled           the caller or a stop ended it before anything was written
//
// A text is one line that names the thing, the value and the remedy.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grapevine {

// A write whose consistency was not reached: it is not rolled back, and may spread.
inline absl::Status outcome_unknown_error(const std::string& text) {
  return absl::UnknownError(text);
}
inline bool is_outcome_unknown(const absl::Status& status) {
  return absl::IsUnknown(status);
}

// The text of a status. (Abseil's string_view is a type of its own in Debian's build.) Valid as
// long as `status`.
inline std::string_view text_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace grapevine

// Returns from the enclosing function when `expression` is an error.
#define GRAPEVINE_RETURN_IF_ERROR(expression)                           \
  do {                                                                  \
    if (auto grapevine_status = (expression); !grapevine_status.ok()) { \
      return grapevine_status;                                          \
    }                                                                   \
  } while (false)

#define GRAPEVINE_CONCAT_INNER(a, b) a##b
#define GRAPEVINE_CONCAT(a, b) GRAPEVINE_CONCAT_INNER(a, b)
// GRAPEVINE_ASSIGN_OR_RETURN(auto x, f()): x is the value of f(), or its error is returned.
#define GRAPEVINE_ASSIGN_OR_RETURN(target, expression) \
  GRAPEVINE_ASSIGN_OR_RETURN_INNER(GRAPEVINE_CONCAT(grapevine_or_, __LINE__), target, expression)
#define GRAPEVINE_ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                                        \
  if (!holder.ok()) return std::move(holder).status();               \
  target = *std::move(holder)
