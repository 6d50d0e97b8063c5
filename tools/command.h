// What the subcommands share: the common flags, connecting, standard input and output.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "grapevine/client.h"
#include "tools/exit_code.h"

namespace grapevine::tools {

struct CommonOptions {
  std::vector<std::string> endpoints;  // as given; see endpoints_of
  std::chrono::milliseconds timeout{5000};
  Consistency consistency = Consistency::kQuorum;
  bool json = false;
};

// One run of the program: the flags given, and what came out.
struct Invocation {
  CommonOptions common;
  ExitCode code = ExitCode::kDone;
};

// Each adds its subcommand, whose callback does the work and sets invocation.code. `invocation`
// must outlive `app`.
void add_put(CLI::App& app, Invocation& invocation);
void add_get(CLI::App& app, Invocation& invocation);
void add_del(CLI::App& app, Invocation& invocation);
void add_scan(CLI::App& app, Invocation& invocation);
void add_import(CLI::App& app, Invocation& invocation);
void add_export(CLI::App& app, Invocation& invocation);
void add_status(CLI::App& app, Invocation& invocation);
void add_members(CLI::App& app, Invocation& invocation);
void add_divergence(CLI::App& app, Invocation& invocation);
void add_repair(CLI::App& app, Invocation& invocation);
void add_node(CLI::App& app, Invocation& invocation);
void add_event(CLI::App& app, Invocation& invocation);
void add_watch(CLI::App& app, Invocation& invocation);
void add_backup(CLI::App& app, Invocation& invocation);
void add_restore(CLI::App& app, Invocation& invocation);
void add_bench(CLI::App& app, Invocation& invocation);

// The flags that every subcommand takes. They may stand before or after the subcommand.
void add_common_flags(CLI::App& app, CommonOptions& options);
// Adds a flag that takes a duration with its unit.
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::milliseconds& target,
                          const std::string& description,
                          std::chrono::milliseconds max = std::chrono::hours(24));

// Parses the command line and runs it; returns the exit code.
int run(int argc, const char* const* argv);

// Those given, else those of the environment, else the default.
std::vector<std::string> endpoints_of(const CommonOptions& options);
absl::StatusOr<std::unique_ptr<Client>> connect(const CommonOptions& options);
// Malformed endpoints are a mistake of usage.
ExitCode connect_failed(const absl::Status& status);

// All of standard input; InvalidArgument beyond `bytes_max`.
absl::StatusOr<std::string> read_standard_input(std::size_t bytes_max);
// A failure to write is told by run(), once, at the end.
void print_out(std::string_view bytes);

}  // namespace grapevine::tools
