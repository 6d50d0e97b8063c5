// grapevine-sim: whole clusters in one thread, by seed.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "storage/base/planted_flaws.h"
#include "tests/simulation/flaws.h"
#include "tests/simulation/many.h"

namespace grapevine::simulation {
namespace {

const std::map<std::string, std::int64_t> kSeconds{{"s", 1}, {"m", 60}, {"h", 3'600}};
const std::map<std::string, Faults> kFaults{
    {"calm", Faults::kCalm}, {"normal", Faults::kNormal}, {"hell", Faults::kHell}};

struct Asked {
  std::uint64_t seed = 1;
  std::string seeds;
  std::size_t nodes = 0;
  std::int64_t duration_s = 60;
  std::int64_t for_s = 0;
  Faults faults = Faults::kNormal;
  unsigned processes = processors();
  bool trace = false;
  bool twice = false;
  std::string flaw;
};

void print(const ManyResult& result, double real_s) {
  const double virtual_s = std::chrono::duration<double>(result.virtual_time).count();
  fmt::print(
      "{} runs, {} failed; {:.1f} virtual hours in {:.1f} real minutes, healed in {:.0f} s at "
      "most\n",
      result.runs, result.failed, virtual_s / 3'600, real_s / 60,
      std::chrono::duration<double>(result.healed_in_max).count());
  std::string line;
  for (const auto& [name, value] : result.counts.named()) {
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, value);
  }
  fmt::print("{}\n", line);
}

int run_one(const RunOptions& options) {
  const RunResult result = run(options);
  for (const std::string& line : result.trace) fmt::print("{}\n", line);
  if (result.broken.has_value()) fmt::print("seed {}: {}\n", options.seed, *result.broken);
  fmt::print("seed {}: hash {:016x}, {} events, {:.0f} virtual s\n", options.seed, result.hash,
             result.events, std::chrono::duration<double>(result.virtual_time).count());
  return result.broken.has_value() ? 1 : 0;
}

// The first and the last of "A..B".
bool parse_range(const std::string& text, std::uint64_t& first, std::uint64_t& last) {
  char rest = 0;
  unsigned long long a = 0;
  unsigned long long b = 0;
  if (std::sscanf(text.c_str(), "%llu..%llu%c", &a, &b, &rest) != 2 || b < a) return false;
  first = a;
  last = b;
  return true;
}

int main_of_sim(int argc, char** argv) {
  CLI::App app{
      "Simulates whole clusters, nodes and clients, under faults. The same seed gives the same "
      "run."};
  Asked asked;
  app.add_option("--seed", asked.seed, "the run")->capture_default_str();
  auto* const range = app.add_option("--seeds", asked.seeds, "A..B: the runs of all these seeds");
  app.add_option("--for", asked.for_s, "runs from --seed on for so long, e.g. 10m")
      ->transform(CLI::AsNumberWithUnit(kSeconds));
  app.add_option("--nodes", asked.nodes, "3 to 9; 0: drawn, 3 to 5")->check(CLI::Range(0, 9));
  app.add_option("--duration", asked.duration_s, "virtual time under load, e.g. 1h")
      ->transform(CLI::AsNumberWithUnit(kSeconds))
      ->default_str("60s");
  auto* const faults = app.add_option("--faults", asked.faults, "calm, normal or hell; else drawn")
                           ->transform(CLI::CheckedTransformer(kFaults));
  app.add_option("--processes", asked.processes, "of many runs")->check(CLI::Range(1, 256));
  app.add_flag("--trace", asked.trace, "prints what happens; of one run");
  app.add_flag("--twice", asked.twice, "each seed twice, and says where the two runs part");
#ifdef GRAPEVINE_PLANTED_FLAWS
  app.add_option("--flaw", asked.flaw, "breaks the real code in this way (see flaws.h)");
#endif
  CLI11_PARSE(app, argc, argv);
  if (!asked.flaw.empty() && !plant(asked.flaw)) {
    fmt::print(stderr, "grapevine-sim: --flaw: '{}' is none; there are: {}\n", asked.flaw,
               names_of_flaws());
    return 2;
  }
  ManyOptions many;
  many.run.nodes = asked.nodes;
  many.run.duration = std::chrono::seconds(asked.duration_s);
  if (faults->count() > 0) many.run.faults = asked.faults;
  many.run.trace = asked.trace;
  many.run.seed = asked.seed;
  many.twice = asked.twice;
  many.first_seed = asked.seed;
  if (range->count() > 0) {
    std::uint64_t last = 0;
    if (!parse_range(asked.seeds, many.first_seed, last)) {
      fmt::print(stderr, "grapevine-sim: --seeds: '{}' is no range; give A..B, e.g. 1..1000\n",
                 asked.seeds);
      return 2;
    }
    many.runs_max = last - many.first_seed + 1;
  } else if (asked.for_s > 0) {
    many.runs_max = ~std::uint64_t{0} - many.first_seed;
    many.time = std::chrono::seconds(asked.for_s);
  } else if (!asked.twice) {
    return run_one(many.run);
  }
  many.run.trace = false;
  many.processes = static_cast<unsigned>(std::min<std::uint64_t>(asked.processes, many.runs_max));
  const auto begun = std::chrono::steady_clock::now();
  const ManyResult result = run_many(many, [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  });
  print(result, std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  return result.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace grapevine::simulation

int main(int argc, char** argv) {
  return grapevine::simulation::main_of_sim(argc, argv);
}
