// grapevine del KEY [--context C]
#include <memory>
#include <optional>

#include "tools/command.h"
#include "tools/json_lines.h"

namespace grapevine::tools {
namespace {

struct Flags {
  std::string key;
  std::optional<std::string> context;
};

ExitCode del(const CommonOptions& common, const Flags& flags) {
  WriteOptions options{.consistency = common.consistency};
  if (flags.context.has_value()) {
    auto context = parse_context(*flags.context);
    if (!context.ok()) return fail(ExitCode::kUsage, text_of(context.status()));
    options.context = *std::move(context);
  }
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  const auto written = (*client)->remove(flags.key, options);
  if (!written.ok()) return fail(written.status());
  print_out(common.json ? print_written(flags.key, *written) + "\n" : "OK\n");
  return ExitCode::kDone;
}

}  // namespace

void add_del(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("del", "Delete a key; writes concurrent with the delete stay");
  const auto flags = std::make_shared<Flags>();
  command->add_option("KEY", flags->key, "1 byte to 32 KiB")->required();
  command->add_option("--context", flags->context, "delete exactly what this context has seen (get --json prints it)")
      ->type_name("C");
  command->callback([&invocation, flags] { invocation.code = del(invocation.common, *flags); });
}

}  // namespace grapevine::tools
