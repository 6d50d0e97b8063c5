// Many runs, each in a process of its own: it needs a thread's one KJ loop and the process's one
// logger, and one that crashes or hangs is told by its seed, as a failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tests/simulation/run.h"

namespace grapevine::simulation {

// Value.
struct ManyOptions {
  RunOptions run;  // but for its seed
  std::uint64_t first_seed = 1;
  std::uint64_t runs_max = 1;
  std::optional<Duration> time;  // no run begins after that (real time)
  unsigned processes = 1;        // at once
  // One run. Most take a second; where the machine is busy the second limit says little.
  std::chrono::seconds processor_time{120};
  std::chrono::seconds real_time{300};
  bool twice = false;  // each seed twice: they must be the same run
};

struct ManyResult {
  std::uint64_t runs = 0;
  std::uint64_t failed = 0;
  Duration virtual_time{0};
  Duration healed_in_max{0};
  Counts counts;
};

// `tell` gets a line for each run that fails. Forks: REQUIRES a process of one thread.
ManyResult run_many(const ManyOptions& options,
                    const std::function<void(const std::string&)>& tell);

// As many as the machine has processors.
unsigned processors();

}  // namespace grapevine::simulation
