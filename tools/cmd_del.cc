// grapevine del KEY... [--context C] [--session FILE]
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "tools/command.h"
#include "tools/json_lines.h"
#include "tools/readable.h"
#include "tools/session_file.h"

namespace grapevine::tools {
namespace {

struct Flags {
  std::vector<std::string> keys;
  std::optional<std::string> context;
  std::string session;  // a path; empty: none
};

// Tells of every key; the first that failed decides the code.
ExitCode report(const CommonOptions& common, const Flags& flags,
                const std::vector<OperationResult>& results) {
  absl::Status first_error;
  std::size_t done = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) {
      if (first_error.ok()) first_error = results[i].status();
      continue;
    }
    ++done;
    if (common.json) {
      print_out(print_written(flags.keys[i], std::get<Written>(*results[i])) + "\n");
    }
  }
  if (first_error.ok()) {
    if (!common.json) {
      print_out(done == 1 ? "OK\n" : fmt::format("deleted {}\n", counted(done, "key")));
    }
    return ExitCode::kDone;
  }
  if (results.size() == 1) return fail(first_error);
  return fail(exit_code_of(first_error),
              fmt::format("{} deleted, {} not; the first error: {}", counted(done, "key"),
                          readable_count(results.size() - done), text_of(first_error)));
}

ExitCode del(const CommonOptions& common, const Flags& flags) {
  std::optional<std::string> context;
  if (flags.context.has_value()) {
    if (flags.keys.size() > 1) {
      return fail(ExitCode::kUsage,
                  "--context is what was read of one key; delete one key at a time with it");
    }
    auto parsed = parse_context(*flags.context);
    if (!parsed.ok()) return fail(ExitCode::kUsage, text_of(parsed.status()));
    context = *std::move(parsed);
  }
  auto session = SessionFile::open(flags.session);
  if (!session.ok()) return fail(ExitCode::kUsage, text_of(session.status()));
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  std::vector<Operation> removals;
  for (const std::string& key : flags.keys) {
    removals.push_back(Remove{key, common.consistency, context, session->session()});
  }
  const auto results = (*client)->execute(std::move(removals));
  const absl::Status saved = session->save();
  const ExitCode reported = report(common, flags, results);
  if (saved.ok() || reported != ExitCode::kDone) return reported;
  return fail(ExitCode::kUsage, text_of(saved));
}

}  // namespace

void add_del(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("del", "Delete keys; writes concurrent with the delete stay");
  const auto flags = std::make_shared<Flags>();
  command->add_option("KEY", flags->keys, "1 byte to 32 KiB; one or more")->required();
  command
      ->add_option("--context", flags->context,
                   "delete exactly what this context has seen (get --json prints it)")
      ->type_name("C");
  SessionFile::add_flag(*command, flags->session);
  command->callback([&invocation, flags] { invocation.code = del(invocation.common, *flags); });
}

}  // namespace grapevine::tools
