// grapevine-sim: whole clusters in one thread, by seed.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tests/simulation/run.h"

namespace grapevine::simulation {
namespace {

int main_of_sim(int argc, char** argv) {
  CLI::App app{"Simulates whole clusters: the same seed gives the same run."};
  RunOptions options;
  std::string seeds;
  app.add_option("--seed", options.seed, "the run");
  app.add_option("--seeds", seeds, "A..B: runs of all these seeds");
  app.add_option("--nodes", options.nodes, "how many nodes (0: drawn, 3 to 5)");
  std::int64_t duration_s = 60;
  app.add_option("--duration", duration_s, "virtual seconds under load");
  std::string faults;
  app.add_option("--faults", faults, "calm, normal or hell (else drawn)");
  app.add_flag("--trace", options.trace, "prints the events");
  bool twice = false;
  app.add_flag("--twice", twice, "runs each seed twice and says where the two part, if they do");
  CLI11_PARSE(app, argc, argv);
  options.steps = twice;
  options.duration = std::chrono::seconds(duration_s);
  if (faults == "calm") options.faults = Faults::kCalm;
  if (faults == "normal") options.faults = Faults::kNormal;
  if (faults == "hell") options.faults = Faults::kHell;
  std::uint64_t first = options.seed;
  std::uint64_t last = options.seed;
  if (!seeds.empty()) {
    const auto dots = seeds.find("..");
    first = std::stoull(seeds.substr(0, dots));
    last = std::stoull(seeds.substr(dots + 2));
  }
  int failed = 0;
  Counts counts;
  double virtual_s = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    options.seed = seed;
    const RunResult result = run(options);
    if (twice) {
      const RunResult again = run(options);
      const auto part = std::mismatch(
          result.steps.begin(), result.steps.end(), again.steps.begin(), again.steps.end(),
          [](const World::Step& a, const World::Step& b) { return a.hash == b.hash; });
      if (part.first != result.steps.end() || part.second != again.steps.end()) {
        ++failed;
        const auto& where = part.first != result.steps.end() ? *part.first : *part.second;
        fmt::print("seed {}: its two runs part at event {}, {:.6f} s\n", seed,
                   part.first - result.steps.begin(),
                   std::chrono::duration<double>(where.when.since_start).count());
      }
    }
    counts += result.counts;
    virtual_s += std::chrono::duration<double>(result.virtual_time).count();
    for (const std::string& line : result.trace) fmt::print("{}\n", line);
    if (result.broken.has_value()) {
      ++failed;
      fmt::print("seed {}: {}\n", seed, *result.broken);
      std::fflush(stdout);
    }
    if (first == last) {
      fmt::print("seed {}: hash {:016x}, {} events, {:.0f} virtual s, healed in {:.1f} s\n", seed,
                 result.hash, result.events, virtual_s,
                 std::chrono::duration<double>(result.healed_in).count());
    }
  }
  const double real_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print(
      "{} runs, {} failed, {:.0f} virtual s in {:.1f} s; calls {} (failed {}), acknowledged writes "
      "{}, reads {} ({} with siblings), kills {}, power losses {}, stops {}, freezes {}, cuts {}, "
      "splits {}, bad networks {}, slow disks {}, clock jumps {}, restores {}, forgotten logs {}\n",
      last - first + 1, failed, virtual_s, real_s, counts.calls, counts.failed_calls,
      counts.writes_acknowledged, counts.reads, counts.reads_with_siblings, counts.kills,
      counts.power_losses, counts.stops, counts.freezes, counts.cuts, counts.partitions,
      counts.bad_networks, counts.slow_disks, counts.clock_jumps, counts.restores,
      counts.forgotten_logs);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace grapevine::simulation

int main(int argc, char** argv) {
  return grapevine::simulation::main_of_sim(argc, argv);
}
