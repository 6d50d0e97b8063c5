#include "tests/simulation/many.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "storage/base/check.h"

namespace grapevine::simulation {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{1'000};  // how often it is looked who takes too long
constexpr std::size_t kTextBytesMax = 8'000;       // fits into a pipe with the rest

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

ManyResult run_once(const ManyOptions& options, std::uint64_t seed, std::string& broken_text) {
  RunOptions run_options = options.run;
  run_options.steps = options.twice;
  run_options.seed = seed;
  const RunResult once = run(run_options);
  std::optional<std::string> broken = once.broken;
  if (!broken.has_value() && options.twice) broken = where_they_part(once, run(run_options));
  ManyResult result;
  result.runs = 1;
  result.failed = broken.has_value() ? 1 : 0;
  result.virtual_time = once.virtual_time;
  result.healed_in_max = once.healed_in;
  result.counts = once.counts;
  broken_text = broken.value_or("").substr(0, kTextBytesMax);
  return result;
}

void add(ManyResult& to, const ManyResult& share) {
  to.runs += share.runs;
  to.failed += share.failed;
  to.virtual_time += share.virtual_time;
  to.healed_in_max = std::max(to.healed_in_max, share.healed_in_max);
  to.counts += share.counts;
}

// A run in a process of its own. Resource.
struct Child {
  std::uint64_t seed;
  pid_t pid;
  int from;
  Clock::time_point begun;
};

void write_all(int to, const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(to, bytes, count);
    if (written <= 0) ::_exit(1);
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
}

Child begin(const ManyOptions& options, std::uint64_t seed) {
  int ends[2];
  GRAPEVINE_CHECK(::pipe(ends) == 0, "no pipe can be made");
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  GRAPEVINE_CHECK(pid >= 0, "no process can be made");
  if (pid == 0) {
    ::close(ends[0]);
    const auto seconds = static_cast<rlim_t>(options.processor_time.count());
    const rlimit limit{seconds, seconds + 1};
    GRAPEVINE_CHECK(::setrlimit(RLIMIT_CPU, &limit) == 0, "no limit can be set");
    std::string broken;
    const ManyResult result = run_once(options, seed, broken);
    write_all(ends[1], reinterpret_cast<const char*>(&result), sizeof result);
    write_all(ends[1], broken.data(), broken.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  return {seed, pid, ends[0], Clock::now()};
}

// What the child has written, when it has ended or been ended.
std::string read_all(int from) {
  std::string bytes;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(from, buffer, sizeof buffer)) > 0;) {
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(from);
  return bytes;
}

std::string how_it_ended(const ManyOptions& options, int status, bool too_long) {
  if (too_long) return fmt::format("was not done after {} s", options.real_time.count());
  if (!WIFSIGNALED(status)) return fmt::format("ended with {}", WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL) {
    return fmt::format("was not done after {} s of processor time", options.processor_time.count());
  }
  return fmt::format("crashed ({})", ::strsignal(WTERMSIG(status)));
}

void end(const ManyOptions& options, const Child& child, bool too_long, ManyResult& result,
         const std::function<void(const std::string&)>& tell) {
  if (too_long) ::kill(child.pid, SIGKILL);
  const std::string bytes = read_all(child.from);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (bytes.size() < sizeof(ManyResult)) {
    ++result.runs;
    ++result.failed;
    tell(fmt::format("seed {}: its process {}", child.seed,
                     how_it_ended(options, status, too_long)));
    return;
  }
  ManyResult share;
  std::memcpy(&share, bytes.data(), sizeof share);
  add(result, share);
  if (share.failed > 0) tell(fmt::format("seed {}: {}", child.seed, bytes.substr(sizeof share)));
}

}  // namespace

unsigned processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

ManyResult run_many(const ManyOptions& options,
                    const std::function<void(const std::string&)>& tell) {
  const auto begun = Clock::now();
  ManyResult result;
  std::vector<Child> children;
  std::uint64_t next = 0;
  for (;;) {
    const auto may_begin = [&] {
      return next < options.runs_max &&
             (!options.time.has_value() || Clock::now() - begun < *options.time);
    };
    while (children.size() < options.processes && may_begin()) {
      children.push_back(begin(options, options.first_seed + next++));
    }
    if (children.empty()) return result;
    std::vector<pollfd> ends;
    for (const Child& child : children) ends.push_back({child.from, POLLIN, 0});
    ::poll(ends.data(), ends.size(), static_cast<int>(kLook.count()));
    std::vector<Child> left;
    for (std::size_t i = 0; i < children.size(); ++i) {
      const bool too_long = Clock::now() - children[i].begun > options.real_time;
      if (ends[i].revents != 0 || too_long) {
        end(options, children[i], ends[i].revents == 0, result, tell);
      } else {
        left.push_back(children[i]);
      }
    }
    children = std::move(left);
  }
}

}  // namespace grapevine::simulation
