// grapevine put KEY VALUE|- [--context C] [--ttl D] [--session FILE]
#include <chrono>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "storage/base/limits.h"
#include "tools/command.h"
#include "tools/json_lines.h"
#include "tools/session_file.h"

namespace grapevine::tools {
namespace {

struct Flags {
  std::string key;
  std::string value;
  std::optional<std::string> context;
  std::chrono::milliseconds ttl{0};  // 0: for ever
  std::string session;               // a path; empty: none
};

ExitCode put(const CommonOptions& common, const Flags& flags) {
  WriteOptions options{.consistency = common.consistency};
  if (flags.context.has_value()) {
    auto context = parse_context(*flags.context);
    if (!context.ok()) return fail(ExitCode::kUsage, text_of(context.status()));
    options.context = *std::move(context);
  }
  if (flags.ttl.count() != 0) options.ttl = flags.ttl;
  absl::StatusOr<std::string> value = flags.value;
  if (flags.value == "-") value = read_standard_input(kValueBytesMax);
  if (!value.ok()) return fail(value.status());
  auto session = SessionFile::open(flags.session);
  if (!session.ok()) return fail(ExitCode::kUsage, text_of(session.status()));
  options.session = session->session();
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  const auto written = (*client)->put(flags.key, *value, options);
  if (!written.ok()) return fail(written.status());
  const absl::Status saved = session->save();
  if (!saved.ok()) {
    return fail(ExitCode::kUsage, fmt::format("the value is written, but {}", text_of(saved)));
  }
  print_out(common.json ? print_written(flags.key, *written) + "\n" : "OK\n");
  return ExitCode::kDone;
}

}  // namespace

void add_put(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("put", "Write a value");
  const auto flags = std::make_shared<Flags>();
  command->add_option("KEY", flags->key, "1 byte to 32 KiB")->required();
  command->add_option("VALUE", flags->value, "up to 16 MiB; - reads it from standard input")
      ->required();
  command
      ->add_option("--context", flags->context,
                   "supersede exactly what this context has seen (get --json prints it); '' "
                   "supersedes nothing")
      ->type_name("C");
  add_duration(*command, "--ttl", flags->ttl,
               "how long the value lives (30s, 12h, 720h); for ever if not given",
               std::chrono::milliseconds(kTtlMsMax));
  SessionFile::add_flag(*command, flags->session);
  command->callback([&invocation, flags] { invocation.code = put(invocation.common, *flags); });
}

}  // namespace grapevine::tools
