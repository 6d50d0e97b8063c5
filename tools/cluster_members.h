// The members of a cluster, each asked for itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tools/admin.h"

namespace grapevine::tools {

// One member and the connection to it, or why there is none. Resource.
struct Member {
  gossip::MemberRecord record;
  std::unique_ptr<AdminNode> node;  // null: could not be reached, or is no member any more
  absl::Status why_unreachable;     // when it should have been

  bool is_owner() const { return record.state == gossip::MemberState::kUp; }
};

// Resource: goes before its Admin.
struct ClusterMembers {
  NodeInfo asked;               // the node that named the members
  std::vector<SeenPeer> peers;  // as it sees them
  std::vector<Member> members;  // sorted by name, then id

  // nullptr when the asked node has not told.
  const SeenPeer* seen(NodeId node) const;
};

// Asks the first endpoint that answers for the members, and connects to each at its client address.
// Unavailable when no endpoint answers; InvalidArgument when one is malformed.
absl::StatusOr<ClusterMembers> reach_members(Admin& admin,
                                             const std::vector<std::string>& endpoints);

}  // namespace grapevine::tools
