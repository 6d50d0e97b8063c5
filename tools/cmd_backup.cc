// grapevine backup DIR [--keep N] [--rate BYTES] [--all] | --list
#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/progress.h"
#include "tools/readable.h"
#include "tools/table.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;
using enum Table::Align;

struct BackupFlags {
  BackupRequest request;
  bool all = false;
  bool list = false;
};

// The nodes that are asked, and why others cannot be.
struct Asked {
  ClusterMembers cluster;
  std::vector<const Member*> members;
  std::string unreachable;

  std::vector<AdminNode*> nodes() const {
    std::vector<AdminNode*> nodes;
    for (const Member* member : members) nodes.push_back(member->node.get());
    return nodes;
  }
};

absl::StatusOr<std::unique_ptr<Asked>> ask(Admin& admin, const CommonOptions& common, bool all) {
  GRAPEVINE_ASSIGN_OR_RETURN(ClusterMembers cluster, reach_members(admin, endpoints_of(common)));
  auto asked = std::make_unique<Asked>();
  asked->cluster = std::move(cluster);
  for (const Member& member : asked->cluster.members) {
    if (all ? !member.is_owner() : member.record.id != asked->cluster.asked.id) continue;
    if (member.node != nullptr) {
      asked->members.push_back(&member);
    } else {
      asked->unreachable += fmt::format("{}{} ({})", asked->unreachable.empty() ? "" : ", ",
                                        member.record.name, text_of(member.why_unreachable));
    }
  }
  return asked;
}

std::string readable_seconds(std::int64_t unix_seconds) {
  return readable_time(unix_seconds * 1000).substr(0, std::string("2026-11-24T02:53:32").size()) +
         "Z";
}

Json json_of(const Member& member, const std::string& directory, const Backup& backup) {
  return {{"name", member.record.name},
          {"id", to_string(member.record.id)},
          {"directory", directory},
          {"backup", backup.number},
          {"time", readable_seconds(backup.unix_seconds)},
          {"epoch", backup.epoch},
          {"files", backup.files},
          {"bytes", backup.bytes}};
}

// What is left to say when all is printed.
ExitCode finish(const std::string& unreachable, const absl::Status& first_failure,
                const char* what) {
  if (!first_failure.ok()) return fail(first_failure);
  if (unreachable.empty()) return ExitCode::kDone;
  return fail(ExitCode::kUnreachable, fmt::format("{}: {}", what, unreachable));
}

ExitCode list(const CommonOptions& common, const BackupFlags& flags) {
  Admin admin(common.timeout);
  auto asked = ask(admin, common, flags.all);
  if (!asked.ok()) return connect_failed(asked.status());
  Table table({{"NODE", kLeft},
               {"BACKUP", kRight},
               {"TIME", kLeft},
               {"EPOCH", kRight},
               {"FILES", kRight},
               {"SIZE", kRight},
               {"DIRECTORY", kLeft}});
  Json rows = Json::array();
  absl::Status failure;
  for (const Member* member : (*asked)->members) {
    const auto listed = member->node->backups(flags.request.directory);
    if (!listed.ok()) {
      failure.Update(listed.status());
      continue;
    }
    for (const Backup& backup : listed->backups) {
      table.add_row({member->record.name, std::to_string(backup.number),
                     readable_seconds(backup.unix_seconds), std::to_string(backup.epoch),
                     readable_count(backup.files), readable_bytes(backup.bytes),
                     listed->directory});
      rows.push_back(json_of(*member, listed->directory, backup));
    }
  }
  if (common.json) {
    print_out(rows.dump() + "\n");
  } else if (!table.empty()) {
    print_out(table.print());
  }
  return finish((*asked)->unreachable, failure, "not listed");
}

ExitCode back_up(const CommonOptions& common, const BackupFlags& flags) {
  Admin admin(common.timeout);
  auto asked = ask(admin, common, flags.all);
  if (!asked.ok()) return connect_failed(asked.status());
  std::vector<absl::StatusOr<NodeBackup>> made;
  {
    Progress progress("backup", "bytes", std::nullopt);
    made = admin.back_up((*asked)->nodes(), flags.request,
                         [&](std::uint64_t bytes) { progress.update(0, bytes); });
  }
  Table table({{"NODE", kLeft},
               {"BACKUP", kRight},
               {"FILES NEW", kRight},
               {"SHARED", kRight},
               {"COPIED", kRight},
               {"SIZE", kRight},
               {"TOOK", kRight},
               {"DIRECTORY", kLeft}});
  Json rows = Json::array();
  absl::Status failure;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const Member& member = *(*asked)->members[i];
    if (!made[i].ok()) {
      failure.Update(made[i].status());
      continue;
    }
    const NodeBackup& backup = *made[i];
    const std::uint32_t shared = backup.made.files - std::min(backup.made.files, backup.files_new);
    table.add_row({member.record.name, std::to_string(backup.made.number),
                   readable_count(backup.files_new), readable_count(shared),
                   readable_bytes(backup.bytes_new), readable_bytes(backup.made.bytes),
                   readable_duration(backup.took), backup.directory});
    Json row = json_of(member, backup.directory, backup.made);
    row["files_new"] = backup.files_new;
    row["files_shared"] = shared;
    row["bytes_new"] = backup.bytes_new;
    row["deleted"] = backup.deleted;
    row["seconds"] = std::chrono::duration<double>(backup.took).count();
    rows.push_back(std::move(row));
  }
  if (common.json) {
    print_out(rows.dump() + "\n");
  } else if (!table.empty()) {
    print_out(table.print());
  }
  return finish((*asked)->unreachable, failure, "not backed up");
}

}  // namespace

void add_backup(CLI::App& app, Invocation& invocation) {
  auto* command = app.add_subcommand(
      "backup", "Have a node back itself up into DIR/NODE-ID on its own machine, while it goes on");
  command->footer(
      "Backups in one directory share the files that they have in common: a later one copies what "
      "is "
      "new.\n"
      "Each node has to be backed up: what one holds is its share of the data, as of one moment. "
      "See "
      "restore.");
  const auto flags = std::make_shared<BackupFlags>();
  command->add_option("DIR", flags->request.directory, "an absolute path")->required();
  auto* const keep = command->add_option("--keep", flags->request.keep,
                                         "afterwards delete all but the newest N [all are kept]");
  keep->type_name("N")->check(CLI::Range(1U, ~0U));
  auto* const rate = command->add_option("--rate", flags->request.bytes_per_second,
                                         "bytes a second to copy at most, e.g. 64MiB [no limit]");
  rate->type_name("BYTES")->transform(CLI::AsSizeValue(false));
  command->add_flag("--all", flags->all,
                    "every member of the cluster, not only the endpoint's node");
  command->add_flag("--list", flags->list, "only list the backups that are there")
      ->excludes(keep)
      ->excludes(rate);
  command->callback([&invocation, flags] {
    if (!std::filesystem::path(flags->request.directory).is_absolute()) {
      invocation.code =
          fail(ExitCode::kUsage,
               fmt::format("{} is not an absolute path; it is one on the node's machine",
                           printable(flags->request.directory)));
      return;
    }
    invocation.code =
        flags->list ? list(invocation.common, *flags) : back_up(invocation.common, *flags);
  });
}

}  // namespace grapevine::tools
