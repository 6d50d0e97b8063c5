// What the command's exit code says.
#pragma once

#include <string_view>

#include "storage/base/status.h"

namespace grapevine::tools {

enum class ExitCode : int {
  kDone = 0,         // also: provably equal
  kNo = 1,           // the answer is no: not found, diverged
  kUsage = 2,        // flags, arguments or input that make no sense
  kUnreachable = 3,  // cluster unreachable, overloaded, or not enough replicas: nothing was written
  kRefused = 4,      // credentials, limits
  kUnknown = 5,      // the write may or may not have happened
};

ExitCode exit_code_of(const absl::Status& status);

// Prints "grapevine: TEXT" as one line to standard error; returns the code.
ExitCode fail(ExitCode code, std::string_view text);
ExitCode fail(const absl::Status& status);

}  // namespace grapevine::tools
