// Goal: scripts can act on exit codes: what was not written, what may have been, and what never
// will be are told apart. Method: every status code that the client documents; the whole program
// for usage and an unreachable cluster.
#include "tools/exit_code.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tools/program.h"

namespace grapevine::tools {
namespace {

using testing::HasSubstr;

TEST(ExitCode, FollowsTheStatus) {
  EXPECT_EQ(exit_code_of(absl::OkStatus()), ExitCode::kDone);
  EXPECT_EQ(exit_code_of(absl::NotFoundError("")), ExitCode::kNo);
  EXPECT_EQ(exit_code_of(absl::UnavailableError("")), ExitCode::kUnreachable);
  EXPECT_EQ(exit_code_of(absl::ResourceExhaustedError("")), ExitCode::kUnreachable);
  EXPECT_EQ(exit_code_of(absl::InvalidArgumentError("")), ExitCode::kRefused);
  EXPECT_EQ(exit_code_of(absl::FailedPreconditionError("")), ExitCode::kRefused);
  EXPECT_EQ(exit_code_of(absl::PermissionDeniedError("")), ExitCode::kRefused);
}

TEST(ExitCode, OfAnUnknownOutcomeIsNeverThatOfNothingWritten) {
  EXPECT_EQ(exit_code_of(outcome_unknown_error("")), ExitCode::kUnknown);
  EXPECT_NE(static_cast<int>(ExitCode::kUnknown), static_cast<int>(ExitCode::kUnreachable));
}

TEST(ExitCode, FailPrintsOneLine) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(fail(absl::UnavailableError("n1 is away; try again")), ExitCode::kUnreachable);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "grapevine: n1 is away; try again\n");
}

TEST(Program, CallsMistakesOfUsageByName) {
  const Ran unknown = ran({"frobnicate"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("unknown command or flag 'frobnicate'; see grapevine --help"));
  EXPECT_EQ(ran({"put", "key"}).code, 2);
  EXPECT_EQ(ran({"scan", "--limit", "0"}).code, 2);
  EXPECT_EQ(ran({"bench", "--count", "5", "--duration", "1s"}).code, 2);
  EXPECT_EQ(ran({"status", "--timeout", "5"}).code, 2);
}

TEST(Program, CallsAMalformedEndpointAMistakeOfUsage) {
  for (const char* command : {"status", "members", "divergence", "repair", "bench"}) {
    EXPECT_EQ(ran({command, "--endpoints", "no-port"}).code, 2) << command;
  }
}

TEST(Program, ExitsWithThreeWhenNobodyAnswers) {
  // Port 1 of loopback: refused at once.
  for (const char* command : {"status", "members", "divergence", "repair", "bench"}) {
    const Ran one = ran({command, "--endpoints", "127.0.0.1:1", "--timeout", "200ms"});
    EXPECT_EQ(one.code, 3) << command;
    EXPECT_THAT(one.err, HasSubstr("127.0.0.1:1")) << command;
    EXPECT_EQ(std::count(one.err.begin(), one.err.end(), '\n'), 1) << one.err;
  }
}

TEST(Program, ImportOfAFileThatIsNotThereSaysWhichAndWhy) {
  const Ran one = ran({"import", "/nowhere/file.jsonl"});
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("/nowhere/file.jsonl cannot be opened: No such file"));
}

}  // namespace
}  // namespace grapevine::tools
