// grapevine import FILE|-
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/importer.h"
#include "tools/json_lines.h"
#include "tools/line_reader.h"
#include "tools/progress.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

absl::StatusOr<KeyLine> read_key(const LineReader& reader) {
  auto line = parse_line(reader.line());
  absl::Status status = line.status();
  if (status.ok()) status = Importer::check_limits(*line);
  if (status.ok()) return line;
  return absl::InvalidArgumentError(
      fmt::format("{} line {}: {}", reader.name(), reader.line_number(), text_of(status)));
}

// Hands every line to `importer`, until the end, a bad line or a hopeless cluster.
absl::Status read_all(LineReader& reader, Importer& importer, Progress& progress) {
  for (;;) {
    GRAPEVINE_ASSIGN_OR_RETURN(const bool more, reader.next());
    if (!more) return absl::OkStatus();
    if (blank(reader.line())) continue;
    GRAPEVINE_ASSIGN_OR_RETURN(KeyLine line, read_key(reader));
    importer.add(std::move(line));
    const Importer::Report report = importer.report();
    if (report.hopeless) return absl::OkStatus();
    progress.update(reader.bytes_read(), report.keys_written);
  }
}

ExitCode failed_writes(const Importer::Report& report) {
  const ExitCode code =
      report.outcome_unknown ? ExitCode::kUnknown : exit_code_of(report.first_error);
  return fail(
      code,
      fmt::format(
          "{} written, {} not{}; the first error: {}; import the file again to write the rest",
          counted(report.keys_written, "key"), readable_count(report.keys_failed),
          report.hopeless ? ", stopped there" : "", text_of(report.first_error)));
}

ExitCode import(const CommonOptions& common, const std::string& file) {
  auto reader = LineReader::open(file);
  if (!reader.ok()) return fail(ExitCode::kUsage, text_of(reader.status()));
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  absl::Status read;
  Importer::Report report;
  std::chrono::nanoseconds elapsed{};
  {
    Progress progress("import", "keys", reader->bytes_total());
    Importer importer(**client, common.consistency);
    read = read_all(*reader, importer, progress);
    report = importer.finish();
    elapsed = progress.elapsed();
  }
  if (!read.ok()) {
    return fail(ExitCode::kUsage, fmt::format("{}; {} before it written", text_of(read),
                                              counted(report.keys_written, "key")));
  }
  if (report.keys_failed > 0) return failed_writes(report);
  if (common.json) {
    const nlohmann::ordered_json object{
        {"keys", report.keys_written}, {"seconds", std::chrono::duration<double>(elapsed).count()}};
    print_out(object.dump() + "\n");
  } else {
    print_out(fmt::format("imported {} in {}\n", counted(report.keys_written, "key"),
                          readable_duration(elapsed)));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_import(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("import", "Write the keys of a file of JSON lines");
  command->footer(
      "A line is {\"key\":\"k\",\"value\":\"v\"}, or "
      "{\"key\":\"k\",\"siblings\":[{\"value\":\"v1\"},...]} for a key in\n"
      "conflict; bytes that are no text go in base64 under key_base64 and value_base64. What a "
      "key\n"
      "held before is superseded, so that a file may be imported again.");
  const auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "- reads standard input")->required();
  command->callback([&invocation, file] { invocation.code = import(invocation.common, *file); });
}

}  // namespace grapevine::tools
