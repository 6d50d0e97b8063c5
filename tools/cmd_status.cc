// grapevine status
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/member_report.h"
#include "tools/readable.h"
#include "tools/table.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string print_table(const std::vector<MemberReport>& members) {
  using enum Table::Align;
  Table table({{"NAME", kLeft},
               {"ID", kLeft},
               {"STATE", kLeft},
               {"READY", kLeft},
               {"KEYS", kRight},
               {"DISK", kRight},
               {"UPTIME", kRight},
               {"VERSION", kLeft}});
  for (const auto& member : members) {
    const std::string id = to_string(member.record.id);
    if (!member.status.has_value()) {
      table.add_row(
          {member.record.name, id, member.state, "-", "-", "-", "-", member.record.version});
      continue;
    }
    const NodeStatus& status = *member.status;
    table.add_row({member.record.name, id, member.state,
                   status.ready ? "yes" : fmt::format("no: {}", status.not_ready_because),
                   readable_count(status.keys), readable_bytes(status.disk_bytes),
                   readable_duration(status.uptime), status.info.version});
  }
  return table.print();
}

Json node_object(const MemberReport& member) {
  Json object{{"name", member.record.name},
              {"id", to_string(member.record.id)},
              {"state", to_string(member.record.state)}};
  object["reachable"] = member.status.has_value();
  if (!member.status.has_value()) return object;
  object["ready"] = member.status->ready;
  if (!member.status->ready) object["not_ready_because"] = member.status->not_ready_because;
  object["keys"] = member.status->keys;
  object["disk_bytes"] = member.status->disk_bytes;
  object["uptime_ms"] = member.status->uptime.count();
  object["version"] = member.status->info.version;
  return object;
}

std::string print_json(const NodeInfo& cluster, const std::vector<MemberReport>& members) {
  Json object{{"cluster", cluster.cluster},
              {"replication_factor", cluster.replication_factor},
              {"partitions", cluster.partitions},
              {"nodes", Json::array()},
              {"pairs", Json::array()}};
  for (const auto& member : members) object["nodes"].push_back(node_object(member));
  for (const auto& pair : proven_pairs(members)) {
    Json one{{"left", pair.left}, {"right", pair.right}, {"proven_equal_ago_ms", nullptr}};
    if (pair.ago.has_value()) one["proven_equal_ago_ms"] = pair.ago->count();
    object["pairs"].push_back(std::move(one));
  }
  return object.dump() + "\n";
}

ExitCode status(const CommonOptions& common) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const std::vector<MemberReport> members = ask_members(*cluster);
  if (common.json) {
    print_out(print_json(cluster->asked, members));
    return ExitCode::kDone;
  }
  print_out(fmt::format(
      "{}\ncluster {}: replication factor {}, {}\ndivergence: {}\n", print_table(members),
      cluster->asked.cluster, cluster->asked.replication_factor,
      counted(cluster->asked.partitions, "partition"), divergence_line(proven_pairs(members))));
  return ExitCode::kDone;
}

}  // namespace

void add_status(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("status", "The cluster at a glance: nodes, data, divergence");
  command->callback([&invocation] { invocation.code = status(invocation.common); });
}

}  // namespace grapevine::tools
