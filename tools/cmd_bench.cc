// grapevine bench [--op put|get|mix] [--outstanding N] [--duration D] [--count N] [--keys N]
// [--value-size N]
#include <chrono>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "storage/base/limits.h"
#include "tools/command.h"
#include "tools/load.h"
#include "tools/progress.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Point {
  const char* name;
  double percent;
};
constexpr Point kPoints[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

double operations_a_second(const LoadReport& report) {
  return static_cast<double>(report.puts + report.gets) /
         std::chrono::duration<double>(report.elapsed).count();
}

std::string print_report(const LoadReport& report) {
  std::string text =
      fmt::format("{} in {}: {} operations/s\n", counted(report.puts + report.gets, "operation"),
                  readable_duration(report.elapsed),
                  readable_count(static_cast<std::uint64_t>(operations_a_second(report))));
  if (report.gets > 0) {
    text += fmt::format("{}, {} ({} of keys that do not exist)\n", counted(report.puts, "put"),
                        counted(report.gets, "get"), readable_count(report.not_found));
  }
  if (report.latencies.count() > 0) {
    text += fmt::format("latency  min {}", readable_duration(report.latencies.min()));
    for (const Point& point : kPoints) {
      text += fmt::format("  {} {}", point.name,
                          readable_duration(report.latencies.percentile(point.percent)));
    }
    text += fmt::format("  max {}\n", readable_duration(report.latencies.max()));
  }
  return text + fmt::format("{}\n", counted(report.errors, "error"));
}

std::string print_json(const LoadReport& report) {
  Json object{{"puts", report.puts},
              {"gets", report.gets},
              {"not_found", report.not_found},
              {"errors", report.errors},
              {"seconds", std::chrono::duration<double>(report.elapsed).count()},
              {"operations_per_second", operations_a_second(report)}};
  if (report.latencies.count() > 0) {
    const auto us = [](std::chrono::nanoseconds time) {
      return static_cast<double>(time.count()) / 1000;
    };
    Json latency{{"min", us(report.latencies.min())}};
    for (const Point& point : kPoints)
      latency[point.name] = us(report.latencies.percentile(point.percent));
    latency["max"] = us(report.latencies.max());
    object["latency_us"] = std::move(latency);
  }
  return object.dump() + "\n";
}

ExitCode bench(const CommonOptions& common, LoadOptions options) {
  options.consistency = common.consistency;
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  LoadReport report;
  {
    Progress progress("bench", "operations", std::nullopt);
    report = Load(**client, options).run([&](std::uint64_t operations) {
      progress.update(0, operations);
    });
  }
  print_out(common.json ? print_json(report) : print_report(report));
  if (report.errors == 0) return ExitCode::kDone;
  return fail(exit_code_of(report.first_error),
              fmt::format("{}; the first: {}", counted(report.errors, "error"),
                          text_of(report.first_error)));
}

}  // namespace

void add_bench(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "bench", fmt::format("Load the cluster and measure it; writes keys that begin with {}",
                           Load::kKeyPrefix));
  const auto options = std::make_shared<LoadOptions>();
  static const std::map<std::string, LoadOptions::Kind> kKinds{{"put", LoadOptions::Kind::kPut},
                                                               {"get", LoadOptions::Kind::kGet},
                                                               {"mix", LoadOptions::Kind::kMix}};
  command
      ->add_option_function<std::string>(
          "--op", [options](const std::string& name) { options->kind = kKinds.at(name); },
          "put, get, or mix: half and half [mix]")
      ->check(CLI::IsMember(std::vector<std::string>{"put", "get", "mix"}))
      ->type_name("OP");
  command
      ->add_option("--outstanding", options->outstanding, "operations under way at any time [16]")
      ->check(CLI::Range(1, 50'000))
      ->type_name("N");
  auto* duration = add_duration(*command, "--duration", options->duration, "how long [5s]");
  command
      ->add_option_function<std::uint64_t>(
          "--count",
          [options](std::uint64_t count) {
            options->count = count;
            options->duration = std::chrono::hours(24);
          },
          "how many operations, instead of a duration")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->excludes(duration);
  command->add_option("--keys", options->keys, "how many different keys [100000]")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_option("--value-size", options->value_bytes, "bytes of a value [100]")
      ->check(CLI::Range(std::size_t{0}, kValueBytesMax))
      ->type_name("N");
  command->callback(
      [&invocation, options] { invocation.code = bench(invocation.common, *options); });
}

}  // namespace grapevine::tools
