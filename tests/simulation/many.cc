#include "tests/simulation/many.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "storage/base/check.h"

namespace grapevine::simulation {
namespace {

using Clock = std::chrono::steady_clock;

static_assert(std::is_trivially_copyable_v<ManyResult>);  // goes through a pipe

std::optional<std::string> where_they_part(const RunResult& one, const RunResult& other) {
  const auto part =
      std::mismatch(one.steps.begin(), one.steps.end(), other.steps.begin(), other.steps.end(),
                    [](const World::Step& a, const World::Step& b) { return a.hash == b.hash; });
  if (part.first == one.steps.end() && part.second == other.steps.end()) return std::nullopt;
  const World::Step& step = part.first != one.steps.end() ? *part.first : *part.second;
  return fmt::format("two runs of one seed part at event {}, {:.6f} s",
                     part.first - one.steps.begin(),
                     std::chrono::duration<double>(step.when.since_start).count());
}

// Every `processes`-th seed, from `offset` on.
ManyResult run_share(const ManyOptions& options, unsigned offset, Clock::time_point begun,
                     const std::function<void(const std::string&)>& tell) {
  ManyResult result;
  RunOptions run_options = options.run;
  run_options.steps = options.twice;
  for (std::uint64_t i = offset; i < options.runs_max; i += options.processes) {
    if (options.time.has_value() && Clock::now() - begun > *options.time) break;
    run_options.seed = options.first_seed + i;
    const RunResult once = run(run_options);
    std::optional<std::string> broken = once.broken;
    if (!broken.has_value() && options.twice) broken = where_they_part(once, run(run_options));
    ++result.runs;
    result.virtual_time += once.virtual_time;
    result.healed_in_max = std::max(result.healed_in_max, once.healed_in);
    result.counts += once.counts;
    if (!broken.has_value()) continue;
    ++result.failed;
    tell(fmt::format("seed {}: {}", run_options.seed, *broken));
  }
  return result;
}

void add(ManyResult& to, const ManyResult& share) {
  to.runs += share.runs;
  to.failed += share.failed;
  to.virtual_time += share.virtual_time;
  to.healed_in_max = std::max(to.healed_in_max, share.healed_in_max);
  to.counts += share.counts;
}

}  // namespace

unsigned processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

ManyResult run_many(const ManyOptions& options,
                    const std::function<void(const std::string&)>& tell) {
  const auto begun = Clock::now();
  if (options.processes == 1) return run_share(options, 0, begun, tell);
  struct Child {
    pid_t pid;
    int from;
  };
  std::vector<Child> children;
  for (unsigned i = 0; i < options.processes; ++i) {
    int ends[2];
    GRAPEVINE_CHECK(::pipe(ends) == 0, "no pipe can be made");
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    GRAPEVINE_CHECK(pid >= 0, "no process can be made");
    if (pid == 0) {
      const ManyResult share = run_share(options, i, begun, tell);
      std::fflush(nullptr);
      const bool written = ::write(ends[1], &share, sizeof share) == sizeof share;
      ::_exit(written ? 0 : 1);
    }
    ::close(ends[1]);
    children.push_back({pid, ends[0]});
  }
  ManyResult result;
  for (const Child& child : children) {
    ManyResult share;
    const bool whole = ::read(child.from, &share, sizeof share) == sizeof share;
    ::close(child.from);
    ::waitpid(child.pid, nullptr, 0);
    if (whole) {
      add(result, share);
    } else {
      ++result.failed;
      tell("a process of runs crashed; run its seeds with one process to find which");
    }
  }
  return result;
}

}  // namespace grapevine::simulation
