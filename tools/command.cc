#include "tools/command.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "storage/base/version.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

constexpr const char* kEndpointsVariable = "GRAPEVINE_ENDPOINTS";
constexpr const char* kEndpointDefault = "127.0.0.1:4740";

constexpr const char* kFooter =
    "Exit codes: 0 done (divergence: provably equal); 1 the answer is no (not found, diverged); 2 "
    "usage;\n"
    "3 cluster unreachable or not enough replicas, nothing written; 4 refused (credentials, "
    "limits);\n"
    "5 outcome unknown: the write may or may not have happened.\n"
    "A KEY or VALUE that begins with '-' goes after '--': grapevine put -- -key -value";

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

ExitCode usage_error(const CLI::App& app, const CLI::Error& error) {
  std::string command = "grapevine";
  for (const CLI::App* sub : app.get_subcommands()) command += " " + sub->get_name();
  const std::vector<std::string> unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty()) {
    return fail(ExitCode::kUsage, fmt::format("unknown command or flag '{}'; see {} --help",
                                              printable(unknown.front()), command));
  }
  return fail(ExitCode::kUsage, fmt::format("{}; see {} --help", one_line(error.what()), command));
}

}  // namespace

void add_common_flags(CLI::App& app, CommonOptions& options) {
  app.add_option_function<std::vector<std::string>>(
         "--endpoints",
         [&options](const std::vector<std::string>& lists) {
           options.endpoints.clear();
           for (const auto& list : lists) {
             for (auto& endpoint : split_list(list))
               options.endpoints.push_back(std::move(endpoint));
           }
         },
         fmt::format("nodes to talk to; the first that answers is used [${} or {}]",
                     kEndpointsVariable, kEndpointDefault))
      ->type_name("HOST:PORT[,...]")
      ->group("Common flags");
  add_duration(app, "--timeout", options.timeout, "for each operation, retries included [5s]")
      ->group("Common flags");
  static const std::map<std::string, Consistency> kConsistencies{
      {"one", Consistency::kOne}, {"quorum", Consistency::kQuorum}, {"all", Consistency::kAll}};
  app.add_option_function<std::string>(
         "--consistency",
         [&options](const std::string& name) { options.consistency = kConsistencies.at(name); },
         "how many of a key's owners must answer: one, quorum or all [quorum]")
      ->check(CLI::IsMember(std::vector<std::string>{"one", "quorum", "all"}))
      ->type_name("LEVEL")
      ->group("Common flags");
  app.add_flag("--json", options.json, "print JSON")->group("Common flags");
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::milliseconds& target,
                          const std::string& description, std::chrono::milliseconds max) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, name, max](const std::string& text) {
            const auto duration = parse_duration(text, max);
            if (!duration.ok())
              throw CLI::ValidationError(name, std::string(text_of(duration.status())));
            target = *duration;
          },
          description)
      ->type_name("DURATION");
}

int run(int argc, const char* const* argv) {
  CLI::App app("Data and administration of a Grapevine cluster.", "grapevine");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", kVersion);
  Invocation invocation;
  add_common_flags(app, invocation.common);
  using Add = void (*)(CLI::App&, Invocation&);
  constexpr std::array kCommands =
      std::to_array<Add>({add_put, add_get, add_del, add_scan, add_import, add_export, add_status,
                          add_members, add_divergence, add_repair, add_node, add_event, add_watch,
                          add_backup, add_restore, add_bench});
  for (const Add add : kCommands) add(app, invocation);
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; }))
    add_common_flags(*sub, invocation.common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::Error& error) {
    return static_cast<int>(usage_error(app, error));
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return static_cast<int>(fail(
        ExitCode::kUsage, "standard output cannot be written; what was printed is not complete"));
  }
  return static_cast<int>(invocation.code);
}

std::vector<std::string> endpoints_of(const CommonOptions& options) {
  if (!options.endpoints.empty()) return options.endpoints;
  const char* variable = std::getenv(kEndpointsVariable);
  auto endpoints = split_list(variable != nullptr ? variable : "");
  if (endpoints.empty()) endpoints.emplace_back(kEndpointDefault);
  return endpoints;
}

absl::StatusOr<std::unique_ptr<Client>> connect(const CommonOptions& options) {
  return Client::connect(
      {.endpoints = endpoints_of(options), .timeout = options.timeout, .client_name = "grapevine"});
}

ExitCode connect_failed(const absl::Status& status) {
  return fail(absl::IsInvalidArgument(status) ? ExitCode::kUsage : exit_code_of(status),
              text_of(status));
}

absl::StatusOr<std::string> read_standard_input(std::size_t bytes_max) {
  std::string bytes;
  std::array<char, std::size_t{64} * 1024> piece;
  while (const std::size_t count = std::fread(piece.data(), 1, piece.size(), stdin)) {
    bytes.append(piece.data(), count);
    if (bytes.size() > bytes_max) {
      return absl::InvalidArgumentError(fmt::format(
          "standard input holds more than {} bytes, the most that a value may have", bytes_max));
    }
  }
  if (std::ferror(stdin) != 0) return absl::InvalidArgumentError("standard input cannot be read");
  return bytes;
}

void print_out(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

}  // namespace grapevine::tools
