#include "tools/cluster_members.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "rpc/address.h"

namespace grapevine::tools {
namespace {

absl::StatusOr<std::unique_ptr<AdminNode>> connect_to_first(
    Admin& admin, const std::vector<std::string>& endpoints) {
  for (const auto& endpoint : endpoints)
    GRAPEVINE_RETURN_IF_ERROR(rpc::parse_address(endpoint).status());
  std::string why;
  for (const auto& endpoint : endpoints) {
    auto connected = std::move(admin.connect({endpoint}).front());
    if (connected.ok()) return connected;
    if (!absl::IsUnavailable(connected.status()) && endpoints.size() == 1)
      return connected.status();
    why += fmt::format("{}{}", why.empty() ? "" : "; ", text_of(connected.status()));
  }
  return absl::UnavailableError(
      fmt::format("no endpoint answers: {}; check --endpoints and that a node runs there", why));
}

}  // namespace

const SeenPeer* ClusterMembers::seen(NodeId node) const {
  const auto found = std::find_if(peers.begin(), peers.end(),
                                  [&](const SeenPeer& peer) { return peer.node == node; });
  return found == peers.end() ? nullptr : &*found;
}

absl::StatusOr<ClusterMembers> reach_members(Admin& admin,
                                             const std::vector<std::string>& endpoints) {
  GRAPEVINE_ASSIGN_OR_RETURN(auto first, connect_to_first(admin, endpoints));
  GRAPEVINE_ASSIGN_OR_RETURN(MemberList list, first->members());
  ClusterMembers cluster{.asked = first->info(), .peers = std::move(list.peers), .members = {}};
  std::sort(list.members.begin(), list.members.end(), [](const auto& a, const auto& b) {
    return std::tie(a.name, a.id) < std::tie(b.name, b.id);
  });
  std::vector<std::string> addresses;
  std::vector<std::size_t> dialled;
  for (auto& record : list.members) {
    Member member{
        .record = std::move(record), .node = nullptr, .why_unreachable = absl::OkStatus()};
    if (member.record.id == cluster.asked.id) {
      member.node = std::move(first);
    } else if (member.is_owner()) {
      addresses.push_back(member.record.client_address);
      dialled.push_back(cluster.members.size());
    }
    cluster.members.push_back(std::move(member));
  }
  auto connected = admin.connect(addresses);
  for (std::size_t i = 0; i < dialled.size(); ++i) {
    Member& member = cluster.members[dialled[i]];
    if (!connected[i].ok()) {
      member.why_unreachable = connected[i].status();
    } else if ((*connected[i])->info().id != member.record.id) {
      member.why_unreachable = absl::UnavailableError(fmt::format(
          "{}: another node answers there ({})", addresses[i], (*connected[i])->info().name));
    } else {
      member.node = *std::move(connected[i]);
    }
  }
  return cluster;
}

}  // namespace grapevine::tools
