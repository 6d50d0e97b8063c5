// grapevine export FILE|-
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/json_lines.h"
#include "tools/progress.h"
#include "tools/readable.h"
#include "tools/replaced_file.h"

namespace grapevine::tools {
namespace {

constexpr std::uint32_t kKeysAPage = 1000;

// All keys with their values, sorted by key.
absl::StatusOr<std::vector<KeyLine>> collect(Client& client, Progress& progress) {
  std::vector<KeyLine> lines;
  ScanOptions options{.limit = kKeysAPage, .values = true};
  do {
    GRAPEVINE_ASSIGN_OR_RETURN(ScanPage page, client.scan(options));
    for (auto& item : page.keys) {
      KeyLine line{.key = std::move(item.key), .values = {}};
      for (auto& sibling : item.siblings) line.values.push_back(std::move(sibling.value));
      lines.push_back(std::move(line));
    }
    options.cursor = std::move(page.cursor);
    progress.update(0, lines.size());
  } while (!options.cursor.empty());
  std::sort(lines.begin(), lines.end(),
            [](const KeyLine& a, const KeyLine& b) { return a.key < b.key; });
  return lines;
}

void write_lines(std::vector<KeyLine> lines, const std::function<void(std::string_view)>& write) {
  for (auto& line : lines) write(print_line(std::move(line)) + "\n");
}

ExitCode export_keys(const CommonOptions& common, const std::string& file) {
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<std::vector<KeyLine>> lines;
  {
    Progress progress("export", "keys", std::nullopt);
    lines = collect(**client, progress);
  }
  if (!lines.ok()) return fail(lines.status());
  const std::uint64_t keys = lines->size();
  if (file == "-") {
    write_lines(*std::move(lines), print_out);
    return ExitCode::kDone;
  }
  auto out = ReplacedFile::create(file);
  absl::Status written = out.status();
  if (written.ok()) {
    write_lines(*std::move(lines), [&](std::string_view line) { out->write(line); });
    written = out->commit();
  }
  if (!written.ok()) return fail(ExitCode::kUsage, text_of(written));
  const auto elapsed = std::chrono::steady_clock::now() - start;
  if (common.json) {
    const nlohmann::ordered_json object{
        {"keys", keys}, {"seconds", std::chrono::duration<double>(elapsed).count()}};
    print_out(object.dump() + "\n");
  } else {
    print_out(fmt::format("exported {} in {}\n", counted(keys, "key"), readable_duration(elapsed)));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_export(CLI::App& app, Invocation& invocation) {
  auto* command =
      app.add_subcommand("export", "Write all keys to a file as JSON lines, sorted by key");
  command->footer(
      "Equal data gives equal bytes; see import for the lines. Holds all of the data in memory. A "
      "failure\n"
      "leaves an old file as it was. Reads one owner of each key: a node that owns every key, "
      "named alone in\n"
      "--endpoints, gives its own copy.");
  const auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "- writes standard output")->required();
  command->callback(
      [&invocation, file] { invocation.code = export_keys(invocation.common, *file); });
}

}  // namespace grapevine::tools
