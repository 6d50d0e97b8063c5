// The whole program in this process: what it prints and how it exits.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/command.h"

namespace grapevine::tools {

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

// Runs `grapevine ARGUMENTS`.
inline Ran ran(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"grapevine"};
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran result;
  result.code = run(static_cast<int>(argv.size()), argv.data());
  result.out = testing::internal::GetCapturedStdout();
  result.err = testing::internal::GetCapturedStderr();
  return result;
}

}  // namespace grapevine::tools
