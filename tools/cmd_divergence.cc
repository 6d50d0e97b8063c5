// grapevine divergence [--keys] [--limit N] [--watch]
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/divergence.h"
#include "tools/divergence_probe.h"

namespace grapevine::tools {
namespace {

constexpr milliseconds kWatchInterval{1000};

struct Flags {
  bool keys = false;
  std::uint64_t limit = 1000;
  bool watch = false;
};

absl::StatusOr<Divergence> look(Admin& admin, const CommonOptions& common, const Flags& flags) {
  GRAPEVINE_ASSIGN_OR_RETURN(ClusterMembers cluster, reach_members(admin, endpoints_of(common)));
  return probe(cluster, {.keys_listed_max = flags.keys ? flags.limit : 0});
}

std::string whole_text(const Divergence& divergence) {
  const std::string pairs = print_pairs(divergence);
  const std::string listed = print_listed(divergence);
  return fmt::format("{}{}{}{}{}\n", pairs, pairs.empty() ? "" : "\n", listed,
                     listed.empty() ? "" : "\n", verdict_of(divergence).text);
}

// Takes back what `text` has put on the terminal.
void clear(const std::string& text) {
  const auto lines = std::count(text.begin(), text.end(), '\n');
  if (lines > 0) print_out(fmt::format("\x1b[{}F\x1b[J", lines));
}

ExitCode watch(Admin& admin, const CommonOptions& common, const Flags& flags) {
  const bool redraws = isatty(STDOUT_FILENO) == 1 && !common.json;
  std::string drawn;
  for (;; admin.pause(kWatchInterval)) {
    const auto divergence = look(admin, common, flags);
    if (!divergence.ok() && absl::IsInvalidArgument(divergence.status()))
      return connect_failed(divergence.status());
    std::string text;
    if (!divergence.ok()) {
      text = fmt::format("{}\n", text_of(divergence.status()));
    } else if (common.json) {
      text = print_json(*divergence) + "\n";
    } else {
      text = redraws ? whole_text(*divergence) : verdict_of(*divergence).text + "\n";
    }
    if (redraws) clear(drawn);
    // With --json only objects go to standard output.
    if (!divergence.ok() && common.json) {
      fail(exit_code_of(divergence.status()), text_of(divergence.status()));
    } else {
      print_out(text);
    }
    if (std::fflush(stdout) != 0) return ExitCode::kUsage;  // nobody reads any more; run() tells
    drawn = std::move(text);
    if (divergence.ok() && verdict_of(*divergence).kind == Verdict::Kind::kEqual)
      return ExitCode::kDone;
  }
}

ExitCode divergence(const CommonOptions& common, const Flags& flags) {
  Admin admin(common.timeout);
  if (flags.watch) return watch(admin, common, flags);
  const auto found = look(admin, common, flags);
  if (!found.ok()) return connect_failed(found.status());
  print_out(common.json ? print_json(*found) + "\n" : whole_text(*found));
  return verdict_of(*found).code;
}

}  // namespace

void add_divergence(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "divergence", "Compare all replicas; exits 0 only when they are provably equal");
  command->footer(
      "A row for each pair of nodes: keys that differ, writes that one has seen and the other has "
      "not, how many\n"
      "of these are so young that they are on their way, how long ago the oldest came, and when "
      "the "
      "nodes last\n"
      "proved themselves equal. Exit codes: 0 provably equal; 1 diverged, or not yet proven; 3 a "
      "member cannot be\n"
      "reached, and what can be is equal. While clients write, replicas are hardly ever equal: "
      "\"equal but for\n"
      "writes on the way\" is then all there is to see.");
  const auto flags = std::make_shared<Flags>();
  command->add_flag("--keys", flags->keys,
                    "list the keys that differ, with the versions at every owner");
  command->add_option("--limit", flags->limit, "of --keys: at most so many keys [1000]")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_flag("--watch", flags->watch,
                    "look again every second until the replicas are provably equal");
  command->callback(
      [&invocation, flags] { invocation.code = divergence(invocation.common, *flags); });
}

}  // namespace grapevine::tools
