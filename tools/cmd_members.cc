// grapevine members
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
  Table table({{"ID", kLeft},
               {"NAME", kLeft},
               {"ADDRESS", kLeft},
               {"ZONE", kLeft},
               {"STATE", kLeft},
               {"PARTITIONS", kRight},
               {"KEYS", kRight},
               {"DISK", kRight},
               {"VERSION", kLeft}});
  for (const auto& [record, state, status] : members) {
    table.add_row({to_string(record.id), record.name, record.client_address,
                   record.zone.empty() ? "-" : record.zone, state,
                   status.has_value() ? readable_count(status->partitions_owned) : "-",
                   status.has_value() ? readable_count(status->keys) : "-",
                   status.has_value() ? readable_bytes(status->disk_bytes) : "-", record.version});
  }
  return table.print();
}

Json member_object(const MemberReport& member) {
  const auto& record = member.record;
  Json object{{"id", to_string(record.id)},
              {"name", record.name},
              {"client_address", record.client_address},
              {"peer_address", record.peer_address},
              {"http_address", record.http_address},
              {"zone", record.zone},
              {"state", to_string(record.state)},
              {"reachable", member.status.has_value()},
              {"version", record.version}};
  if (member.status.has_value()) {
    object["partitions"] = member.status->partitions_owned;
    object["keys"] = member.status->keys;
    object["disk_bytes"] = member.status->disk_bytes;
  }
  return object;
}

ExitCode members(const CommonOptions& common) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const std::vector<MemberReport> reports = ask_members(*cluster);
  if (common.json) {
    Json list = Json::array();
    for (const auto& member : reports) list.push_back(member_object(member));
    print_out(list.dump() + "\n");
  } else {
    print_out(print_table(reports));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_members(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand("members", "List the members, one row a node");
  command->callback([&invocation] { invocation.code = members(invocation.common); });
}

}  // namespace grapevine::tools
