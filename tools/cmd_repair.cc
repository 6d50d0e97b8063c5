// grapevine repair [--wait D]
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/readable.h"
#include "tools/table.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

// One member's repair, or why there was none.
struct Repaired {
  std::string name;
  absl::StatusOr<NodeRepair> report;
};

std::vector<Repaired> repair_all(Admin& admin, ClusterMembers& cluster, milliseconds wait) {
  std::vector<Repaired> repaired;
  std::vector<AdminNode*> nodes;
  std::vector<std::size_t> asked;
  for (Member& member : cluster.members) {
    if (!member.is_owner()) continue;
    if (member.node != nullptr) {
      nodes.push_back(member.node.get());
      asked.push_back(repaired.size());
    }
    repaired.push_back({member.record.name, member.why_unreachable.ok()
                                                ? absl::UnavailableError("not asked")
                                                : member.why_unreachable});
  }
  auto reports = admin.repair(nodes, wait);
  for (std::size_t i = 0; i < asked.size(); ++i) repaired[asked[i]].report = std::move(reports[i]);
  return repaired;
}

std::string print_table(const std::vector<Repaired>& repaired) {
  using enum Table::Align;
  Table table({{"NODE", kLeft},
               {"PROVEN EQUAL TO", kRight},
               {"KEYS PULLED", kRight},
               {"BYTES PULLED", kRight}});
  for (const auto& [name, report] : repaired) {
    if (!report.ok()) {
      table.add_row({name, "not reached", "-", "-"});
      continue;
    }
    table.add_row({name,
                   fmt::format("{} of {}", report->proven_equal, counted(report->peers, "peer")),
                   readable_count(report->keys_pulled), readable_bytes(report->bytes_pulled)});
  }
  return table.print();
}

std::string print_json(const std::vector<Repaired>& repaired) {
  Json list = Json::array();
  for (const auto& [name, report] : repaired) {
    Json object{{"name", name}, {"reachable", report.ok()}};
    if (report.ok()) {
      object["peers"] = report->peers;
      object["peers_unreachable"] = report->unreachable;
      object["peers_proven_equal"] = report->proven_equal;
      object["keys_pulled"] = report->keys_pulled;
      object["bytes_pulled"] = report->bytes_pulled;
    } else {
      object["why"] = std::string(text_of(report.status()));
    }
    list.push_back(std::move(object));
  }
  return list.dump() + "\n";
}

ExitCode repair(const CommonOptions& common, milliseconds wait) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const std::vector<Repaired> repaired = repair_all(admin, *cluster, wait);
  print_out(common.json ? print_json(repaired) : print_table(repaired));
  std::string unreachable;
  bool all_proven = true;
  for (const auto& [name, report] : repaired) {
    if (!report.ok()) {
      unreachable +=
          fmt::format("{}{} ({})", unreachable.empty() ? "" : ", ", name, text_of(report.status()));
    } else if (!report->finished || report->proven_equal < report->peers) {
      all_proven = false;
    }
  }
  if (!unreachable.empty()) {
    return fail(ExitCode::kUnreachable,
                fmt::format("not repaired: {}; run repair again when it is back", unreachable));
  }
  if (all_proven) return ExitCode::kDone;
  return fail(
      ExitCode::kNo,
      fmt::format(
          "not every pair was proven equal within {}; run repair again, or give it more time "
          "with --wait",
          readable_duration(wait)));
}

}  // namespace

void add_repair(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "repair", "Run anti-entropy to the end now; reports what each node pulled");
  const auto wait = std::make_shared<milliseconds>(60'000);
  add_duration(*command, "--wait", *wait, "how long each node may take [1m]");
  command->callback([&invocation, wait] { invocation.code = repair(invocation.common, *wait); });
}

}  // namespace grapevine::tools
