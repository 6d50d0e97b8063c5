// Goal: whatever happens to real stores in whatever order, nothing is lost, nothing comes back, no
// conflict is invented, and in the end all replicas are the same. Method: random histories
// (history.h) with a ghost beside every replica. Each is a function of its seed; a failure prints
// the seed and the shortest list of steps found that still fails. GRAPEVINE_SEED=n runs that one,
// GRAPEVINE_HISTORIES=n so many, GRAPEVINE_SECONDS=n fresh ones for so long.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/histories/history.h"

namespace grapevine::histories {
namespace {

constexpr std::uint64_t kHistories = 20'000;
constexpr double kShrinkSeconds = 20;

std::optional<std::uint64_t> number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

std::string explain(LossyDisk& disk, std::uint64_t seed) {
  const auto shrunk = shrink(disk, Plan::of(seed), kShrinkSeconds);
  if (!shrunk.has_value()) return "and holds when it is run again: it is not deterministic";
  std::string text = shrunk->broken + "\n";
  for (const std::string& line : shrunk->trace) text += line + "\n";
  return text;
}

TEST(Histories, BreakNoRule) {
  LossyDisk disk;
  const auto one = number_in("GRAPEVINE_SEED");
  const auto seconds = number_in("GRAPEVINE_SECONDS");
  const std::uint64_t count =
      one.has_value() ? 1 : number_in("GRAPEVINE_HISTORIES").value_or(kHistories);
  const std::uint64_t first =
      one.value_or(seconds.has_value() ? std::random_device{}() : std::uint64_t{1});
  if (seconds.has_value()) std::cout << "first seed " << first << std::endl;
  const auto start = std::chrono::steady_clock::now();
  const auto go_on = [&](std::uint64_t done) {
    if (!seconds.has_value()) return done < count;
    return std::chrono::steady_clock::now() - start < std::chrono::seconds(*seconds);
  };
  Counts all;
  std::uint64_t done = 0;
  for (; go_on(done); ++done) {
    const std::uint64_t seed = first + done;
    std::optional<std::string> broken;
    {
      const Plan plan = Plan::of(seed);
      History history(disk, plan);
      broken = history.run();
      all += history.counts();
    }
    ASSERT_FALSE(broken.has_value())
        << "seed " << seed << ", " << *broken << "\nshortest: " << explain(disk, seed);
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << done << " histories, " << all.writes << " writes, in " << took << " s\n";
  std::cout << "  settled " << all.settled << '\n';
  for (const auto& [name, value] : {std::pair{"retries", all.retries_recognised},
                                    {"messages", all.messages},
                                    {"delta pulls", all.delta_pulls},
                                    {"digest pulls", all.digest_pulls},
                                    {"equal roots", all.equal_roots},
                                    {"clocks adopted", all.clocks_adopted},
                                    {"second pulls", all.regained},
                                    {"splits", all.splits},
                                    {"in flight", all.in_flight},
                                    {"stops", all.stops},
                                    {"kills", all.kills},
                                    {"power losses", all.power_losses},
                                    {"fallen back", all.fallen_back},
                                    {"restores", all.restores},
                                    {"bad reads", all.bad_reads},
                                    {"damages", all.damages},
                                    {"damages found", all.damages_found},
                                    {"salvages", all.salvages},
                                    {"refills", all.refills},
                                    {"entries lost", all.entries_lost},
                                    {"refused as suspect", all.refused_as_suspect},
                                    {"recovered", all.recovered},
                                    {"closed", all.closed},
                                    {"refused late", all.refused_late},
                                    {"closed gaps", all.closed_gaps}}) {
    std::cout << "  " << name << ' ' << value << '\n';
    // Every path was really taken.
    if (done >= kHistories) {
      EXPECT_GT(value, 200U) << name;
    }
  }
}

TEST(Histories, AreFunctionsOfTheirSeeds) {
  LossyDisk disk;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan plan = Plan::of(seed);
    History once(disk, plan);
    once.run();
    LossyDisk another;
    History again(another, plan);
    again.run();
    ASSERT_EQ(once.trace(), again.trace()) << seed;
    ASSERT_EQ(once.trace_hash(), again.trace_hash()) << seed;
  }
}

}  // namespace
}  // namespace grapevine::histories
