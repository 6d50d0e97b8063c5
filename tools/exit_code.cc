#include "tools/exit_code.h"

#include <cstdio>

#include <fmt/format.h>

namespace grapevine::tools {

ExitCode exit_code_of(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return ExitCode::kDone;
    case absl::StatusCode::kNotFound: return ExitCode::kNo;
    case absl::StatusCode::kUnknown: return ExitCode::kUnknown;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated: return ExitCode::kRefused;
    default: return ExitCode::kUnreachable;
  }
}

ExitCode fail(ExitCode code, std::string_view text) {
  fmt::print(stderr, "grapevine: {}\n", text);
  return code;
}

ExitCode fail(const absl::Status& status) {
  return fail(exit_code_of(status), text_of(status));
}

}  // namespace grapevine::tools
