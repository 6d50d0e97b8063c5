// Goal: the simulation would notice if the code broke its promises. Method: this program holds a copy
// of the sources in which flaws can be turned on (storage/base/planted_flaws.h), one at a time; some
// of the first seeds must break. How many it took stands in README.md.
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/simulation/flaws.h"
#include "tests/simulation/run.h"

namespace grapevine::simulation {
namespace {

struct Planted {
  std::string_view name;
  std::uint64_t seeds;  // it must break within so many
};

void PrintTo(const Planted& planted, std::ostream* out) {
  *out << planted.name;
}

class SimulatedFlaws : public testing::TestWithParam<Planted> {
 protected:
  ~SimulatedFlaws() override { planted_flaw = PlantedFlaw::none; }
};

TEST_P(SimulatedFlaws, BreakARun) {
  ASSERT_TRUE(plant(GetParam().name));
  RunOptions options;
  for (options.seed = 1; options.seed <= GetParam().seeds; ++options.seed) {
    const RunResult result = run(options);
    if (!result.broken.has_value()) continue;
    std::cout << "seed " << options.seed << ": " << *result.broken << '\n';
    return;
  }
  FAIL() << "not noticed in " << GetParam().seeds << " runs";
}

INSTANTIATE_TEST_SUITE_P(
    Each, SimulatedFlaws,
    testing::Values(Planted{"leaves_out_dots_of_deletes", 5}, Planted{"sends_unfilled", 10},
                    Planted{"takes_read_errors_for_absence", 10},
                    Planted{"forgets_to_journal", 150}, Planted{"closes_without_hearing", 80},
                    Planted{"acknowledges_before_sync", 60}, Planted{"counts_failed_owners", 60},
                    Planted{"takes_timeouts_for_success", 20},
                    Planted{"drops_the_last_of_several", 150}, Planted{"hands_nothing_over", 150},
                    Planted{"keeps_what_has_expired", 40},
                    Planted{"reads_what_lags_behind_a_session", 30}),
    [](const auto& planted) { return std::string(planted.param.name); });

}  // namespace
}  // namespace grapevine::simulation
