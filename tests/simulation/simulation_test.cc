// Goal: no cluster of whole nodes breaks a promise, whatever befalls it. Method: runs by seed (run.h),
// the first ones, and fresh ones for GRAPEVINE_SECONDS; every kind of misfortune must have happened,
// and a seed must give the same run twice.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/simulation/many.h"

namespace grapevine::simulation {
namespace {

constexpr std::uint64_t kFixedSeeds = 150;
constexpr std::uint64_t kFreshSeconds = 240;  // five minutes and more with the fixed ones

std::uint64_t number_of_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

ManyResult run_and_report(const ManyOptions& options) {
  const auto result = run_many(options, [](const std::string& line) {
    ADD_FAILURE() << line << "\nto see what led to it: grapevine-sim --trace --seed <that one>";
  });
  std::cout << result.runs << " runs, "
            << std::chrono::duration_cast<std::chrono::minutes>(result.virtual_time).count()
            << " virtual minutes";
  for (const auto& [name, value] : result.counts.named()) std::cout << ", " << name << ' ' << value;
  std::cout << '\n';
  return result;
}

TEST(Simulation, TheFirstSeedsBreakNoPromiseAndReachEveryMisfortune) {
  ManyOptions options;
  options.runs_max = kFixedSeeds;
  const ManyResult result = run_and_report(options);
  EXPECT_EQ(result.runs, kFixedSeeds);
  for (const auto& [name, value] : result.counts.named()) {
    // What need not happen.
    if (name == std::string_view("beyond salvage")) continue;
    if (name == std::string_view("started anew")) continue;
    if (name == std::string_view("left unheard")) continue;
    if (name == std::string_view("differences settled")) continue;  // about one run in a hundred
    EXPECT_GT(value, 0U) << name;
  }
}

TEST(Simulation, FreshSeedsBreakNoPromise) {
  const std::uint64_t seconds = number_of_environment("GRAPEVINE_SECONDS", kFreshSeconds);
  ManyOptions options;
  options.first_seed = number_of_environment("GRAPEVINE_SEED", std::random_device{}());
  options.runs_max = ~std::uint64_t{0} - options.first_seed;
  options.time = std::chrono::seconds(seconds);
  std::cout << "from seed " << options.first_seed << " on\n";
  EXPECT_GT(run_and_report(options).runs, 0U);
}

TEST(Simulation, ARunThatDoesNotEndIsToldByItsSeed) {
  ManyOptions options;
  options.first_seed = 7;
  options.run.duration = std::chrono::hours(1'000);
  options.processor_time = std::chrono::seconds(1);
  std::string told;
  const ManyResult result = run_many(options, [&](const std::string& line) { told += line; });
  EXPECT_EQ(result.failed, 1U);
  EXPECT_EQ(told, "seed 7: its process was not done after 1 s of processor time");
}

TEST(Simulation, ANodeAtRestHoldsNoMoreForHavingRunLonger) {
  RunOptions options;
  options.faults = Faults::kNormal;
  const auto heap_after = [&](Duration duration) {
    options.duration = duration;
    const RunResult result = run(options);
    EXPECT_EQ(result.broken, std::nullopt);
    return result.heap_at_rest;
  };
  const std::size_t short_run = heap_after(std::chrono::minutes(1));
  const std::size_t long_run = heap_after(std::chrono::minutes(10));
  std::cout << short_run << " bytes after a minute, " << long_run << " after ten\n";
  EXPECT_GT(short_run, 0U);
  EXPECT_LT(long_run, short_run + short_run / 2);
}

TEST(Simulation, OneSeedGivesOneRun) {
  ManyOptions options;
  options.runs_max = 6;
  options.twice = true;
  run_and_report(options);
}

}  // namespace
}  // namespace grapevine::simulation
