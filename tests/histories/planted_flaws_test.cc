// Goal: the histories would notice if a rule were broken. Method: this program holds a copy of the
// sources in which flaws can be turned on (storage/base/planted_flaws.h), one at a time; some of the
// first seeds must break, and say what broke. How many it took stands in README.md.
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/planted_flaws.h"
#include "tests/histories/history.h"

namespace grapevine::histories {
namespace {

struct Planted {
  PlantedFlaw flaw;
  std::string_view name;
  std::uint64_t seeds;             // it must break within so many
  std::vector<std::string> signs;  // one of these must be among what broke
};

void PrintTo(const Planted& planted, std::ostream* out) {
  *out << planted.name;
}

class PlantedFlaws : public testing::TestWithParam<Planted> {
 protected:
  ~PlantedFlaws() override { planted_flaw = PlantedFlaw::none; }
};

TEST_P(PlantedFlaws, BreakAHistory) {
  LossyDisk disk;
  planted_flaw = GetParam().flaw;
  std::string seen;
  for (std::uint64_t seed = 1; seed <= GetParam().seeds; ++seed) {
    const Plan plan = Plan::of(seed);
    const auto broken = History(disk, plan).run();
    if (!broken.has_value()) continue;
    if (seen.empty()) std::cout << "first: seed " << seed << ", " << *broken << '\n';
    seen += *broken + "\n";
    for (const std::string& sign : GetParam().signs) {
      if (broken->find(sign) == std::string::npos) continue;
      std::cout << "seed " << seed << ", " << *broken << '\n';
      return;
    }
  }
  FAIL() << "not noticed in " << GetParam().seeds << " histories; what broke:\n" << seen;
}

INSTANTIATE_TEST_SUITE_P(
    Each, PlantedFlaws,
    testing::Values(
        Planted{PlantedFlaw::adopts_past_the_unquiet, "AdoptsPastTheUnquiet", 1000, {"(I1)"}},
        Planted{PlantedFlaw::makes_no_second_pull, "MakesNoSecondPull", 5000, {"came back (I1)"}},
        Planted{PlantedFlaw::keeps_the_actor, "KeepsTheActor", 100, {"twice"}},
        Planted{PlantedFlaw::leaves_out_dots_of_deletes, "LeavesOutDotsOfDeletes", 100, {"twice"}},
        Planted{PlantedFlaw::sends_unfilled, "SendsUnfilled", 1000, {"came back (I1)"}},
        Planted{PlantedFlaw::takes_read_errors_for_absence,
                "TakesReadErrorsForAbsence",
                2000,
                {"(I1)", "trees"}},
        Planted{PlantedFlaw::forgets_to_journal, "ForgetsToJournal", 100, {"(I1)", "twice"}},
        Planted{PlantedFlaw::keeps_the_clock_after_damage,
                "KeepsTheClockAfterDamage",
                500,
                {"never came (I2)"}}),
    [](const auto& planted) { return std::string(planted.param.name); });

TEST(WithoutAFlaw, TheSameProgramBreaksNoRule) {
  LossyDisk disk;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const Plan plan = Plan::of(seed);
    const auto broken = History(disk, plan).run();
    ASSERT_FALSE(broken.has_value()) << "seed " << seed << ", " << *broken;
  }
}

}  // namespace
}  // namespace grapevine::histories
