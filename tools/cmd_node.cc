// grapevine node leave|remove|replace NODE
#include <algorithm>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/cluster_members.h"
#include "tools/command.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::ordered_json;

// By id, or by a name that only one member has.
absl::StatusOr<Member*> find(ClusterMembers& cluster, const std::string& node) {
  Member* found = nullptr;
  for (Member& member : cluster.members) {
    if (to_string(member.record.id) == node) return &member;
    if (member.record.name != node) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError(fmt::format("{} and {} are both named {}; give the id",
                                                    to_string(found->record.id),
                                                    to_string(member.record.id), node));
    }
    found = &member;
  }
  if (found != nullptr) return found;
  return absl::NotFoundError(
      fmt::format("no member has the id or the name {}; grapevine members lists them", node));
}

AdminNode* asked(ClusterMembers& cluster) {
  const auto member =
      std::find_if(cluster.members.begin(), cluster.members.end(),
                   [&](const Member& one) { return one.record.id == cluster.asked.id; });
  return member == cluster.members.end() ? nullptr : member->node.get();
}

ExitCode done(const CommonOptions& common, const gossip::MemberRecord& node, const char* key,
              const std::string& text) {
  if (common.json) {
    print_out(Json{{"id", to_string(node.id)}, {"name", node.name}, {"state", key}}.dump() + "\n");
  } else {
    print_out(fmt::format("node {} ({}) {}\n", node.name, to_string(node.id), text));
  }
  return ExitCode::kDone;
}

ExitCode leave(const CommonOptions& common, const std::string& node, milliseconds wait) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const auto member = find(*cluster, node);
  if (!member.ok()) return fail(member.status());
  const gossip::MemberRecord& record = (*member)->record;
  if ((*member)->node == nullptr) {
    if (!(*member)->is_owner()) {
      return fail(ExitCode::kNo, fmt::format("node {} is no member any more", record.name));
    }
    return fail(ExitCode::kUnreachable,
                fmt::format("{}; a node that is gone for good is removed: grapevine node remove {}",
                            text_of((*member)->why_unreachable), node));
  }
  const absl::Status left = (*member)->node->leave(wait);
  if (!left.ok()) return fail(left);
  return done(common, record, "left", "has left the cluster and ends");
}

ExitCode remove(const CommonOptions& common, const std::string& node) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const auto member = find(*cluster, node);
  if (!member.ok()) return fail(member.status());
  const absl::Status removed = asked(*cluster)->remove((*member)->record.id);
  if (!removed.ok()) return fail(removed);
  return done(common, (*member)->record, "removed", "was removed from the cluster for good");
}

// `by`: empty: the node that is asked.
ExitCode replace(const CommonOptions& common, const std::string& node, const std::string& by) {
  Admin admin(common.timeout);
  auto cluster = reach_members(admin, endpoints_of(common));
  if (!cluster.ok()) return connect_failed(cluster.status());
  const auto member = find(*cluster, node);
  if (!member.ok()) return fail(member.status());
  const auto successor = find(*cluster, by.empty() ? to_string(cluster->asked.id) : by);
  if (!successor.ok()) return fail(successor.status());
  if ((*successor)->node == nullptr) {
    return fail(
        ExitCode::kUnreachable,
        fmt::format("{} cannot be reached; start it, then try again", (*successor)->record.name));
  }
  const absl::Status replaced = (*successor)->node->replace((*member)->record.id);
  if (!replaced.ok()) return fail(replaced);
  return done(common, (*member)->record, "removed",
              fmt::format("was removed for good; {} ({}) takes its place",
                          (*successor)->record.name, to_string((*successor)->record.id)));
}

}  // namespace

void add_node(CLI::App& app, Invocation& invocation) {
  auto* command =
      app.add_subcommand("node", "Have a node leave; remove or replace one that is gone");
  command->require_subcommand(1);
  const auto node = std::make_shared<std::string>();
  const auto add = [&](const char* name, const char* description) {
    auto* verb = command->add_subcommand(name, description);
    verb->add_option("NODE", *node, "id or name, as grapevine members shows it")->required();
    add_common_flags(*verb, invocation.common);
    return verb;
  };

  auto* leaves =
      add("leave", "Have the node bring all others up to date, give up its partitions and end");
  const auto wait = std::make_shared<milliseconds>(60'000);
  add_duration(*leaves, "--wait", *wait, "how long bringing the others up to date may take [1m]");
  leaves->callback(
      [&invocation, node, wait] { invocation.code = leave(invocation.common, *node, *wait); });

  add("remove", "Declare a node gone for good, without a way back; others own its partitions then")
      ->callback([&invocation, node] { invocation.code = remove(invocation.common, *node); });

  auto* replaces =
      add("replace", "Declare a node gone for good and have another take over what it owned");
  const auto by = std::make_shared<std::string>();
  replaces->add_option("--by", *by, "id or name of that other one [the node that is asked]");
  replaces->callback(
      [&invocation, node, by] { invocation.code = replace(invocation.common, *node, *by); });
}

}  // namespace grapevine::tools
