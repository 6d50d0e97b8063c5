// Broken invariants stop the process.
//
// GRAPEVINE_CHECK(condition, text) is for what can only be false through a bug of ours: carrying on
// would spread wrong state to other replicas. Bad input is never checked this way; it gets an
// absl::Status.
#pragma once

namespace grapevine {

// Prints file, line, the condition and `text` to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* text);

}  // namespace grapevine

#define GRAPEVINE_CHECK(condition, text)                               \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::grapevine::check_failed(__FILE__, __LINE__, #condition, text); \
    }                                                                  \
  } while (false)
