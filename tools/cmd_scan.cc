// grapevine scan [PREFIX] [--limit N] [--values]
#include <algorithm>
#include <limits>
#include <memory>

#include "storage/base/limits.h"
#include "tools/command.h"
#include "tools/json_lines.h"

namespace grapevine::tools {
namespace {

constexpr std::uint32_t kKeysAPage = 1000;
constexpr std::uint32_t kKeysAPageWithValues = 100;

struct Flags {
  std::string prefix;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
  bool values = false;
  bool raw = false;
};

void print_item(const ScannedKey& item, const CommonOptions& common, const Flags& flags) {
  if (common.json) {
    if (!flags.values) return print_out(print_key(item.key) + "\n");
    KeyLine line{.key = item.key, .values = {}};
    for (const auto& sibling : item.siblings) line.values.push_back(sibling.value);
    return print_out(print_line(std::move(line)) + "\n");
  }
  if (!flags.values) return print_out(item.key + "\n");
  for (const auto& sibling : item.siblings) print_out(item.key + "\t" + sibling.value + "\n");
}

ExitCode scan(const CommonOptions& common, const Flags& flags) {
  auto client = connect(common);
  if (!client.ok()) return connect_failed(client.status());
  ScanOptions options{.prefix = flags.prefix, .values = flags.values};
  std::uint64_t left = flags.limit;
  do {
    const std::uint32_t page_keys = flags.values ? kKeysAPageWithValues : kKeysAPage;
    options.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, page_keys));
    auto page = (*client)->scan(options);
    if (!page.ok()) return fail(page.status());
    for (const auto& item : page->keys) print_item(item, common, flags);
    left -= std::min<std::uint64_t>(left, page->keys.size());
    options.cursor = std::move(page->cursor);
  } while (!options.cursor.empty() && left > 0);
  return ExitCode::kDone;
}

}  // namespace

void add_scan(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("scan",
                                     "Print the keys that begin with PREFIX; keys that share a "
                                     "{hash tag} in key order, others in no useful order");
  const auto flags = std::make_shared<Flags>();
  command->add_option("PREFIX", flags->prefix, "all keys when not given");
  command->add_option("--limit", flags->limit, "at most so many keys")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_flag("--values", flags->values,
                    "print KEY, a tab and the value; a conflict gives a line for each sibling");
  command->callback([&invocation, flags] { invocation.code = scan(invocation.common, *flags); });
}

}  // namespace grapevine::tools
