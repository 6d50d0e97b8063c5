// grapevine get KEY [--raw] [--session FILE]
#include <memory>

#include <fmt/format.h>

#include "tools/command.h"
#include "tools/json_lines.h"
#include "tools/readable.h"
#include "tools/session_file.h"

namespace grapevine::tools {
namespace {

struct Flags {
  std::string key;
  bool raw = false;
  std::string session;  // a path; empty: none
};

ExitCode get(const CommonOptions& common, const Flags& flags) {
  auto session = SessionFile::open(flags.session);
  if (!session.ok()) return fail(ExitCode::kUsage, text_of(session.status()));
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  const auto found =
      (*client)->get(flags.key, {.consistency = common.consistency, .session = session->session()});
  if (!found.ok()) return fail(found.status());
  const absl::Status saved = session->save();
  if (!saved.ok()) return fail(ExitCode::kUsage, text_of(saved));
  if (common.json) print_out(print_found(flags.key, *found) + "\n");
  if (!found->found())
    return fail(ExitCode::kNo, fmt::format("key '{}' is not found", printable(flags.key)));
  if (!common.json) {
    for (const auto& sibling : found->siblings) {
      print_out(sibling.value);
      if (!flags.raw) print_out("\n");
    }
  }
  if (found->siblings.size() > 1) {
    fail(ExitCode::kDone,
         fmt::format(
             "key '{}' has {} siblings, written concurrently; resolve them with put --context "
             "and the context that get --json prints",
             printable(flags.key), found->siblings.size()));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_get(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "get", "Print a key's value; in a conflict, every sibling on a line of its own");
  const auto flags = std::make_shared<Flags>();
  command->add_option("KEY", flags->key, "1 byte to 32 KiB")->required();
  command->add_flag("--raw", flags->raw, "print exactly the value's bytes, without a line break");
  SessionFile::add_flag(*command, flags->session);
  command->callback([&invocation, flags] { invocation.code = get(invocation.common, *flags); });
}

}  // namespace grapevine::tools
