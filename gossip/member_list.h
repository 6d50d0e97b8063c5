// All members, as this node has heard of them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gossip/member.h"
#include "storage/base/status.h"

namespace grapevine::gossip {

// Value. Invariant: the own record is in it, and nobody's word about this node beats its own: a
// record of it that is newer than its own, or another one of the same age, makes it raise its
// incarnation above that (refutation). With two exceptions. One of a later epoch speaks for a life
// that this one does not remember: it is true until the node has an epoch beyond it (Roster::News).
// And removal is final: once any record of a node has said removed, it is, whatever else is true of
// it. A node that learns that it was removed takes it over. (Otherwise one that comes back would talk
// itself into the cluster again, with data that the others have long deleted and closed.)
class MemberList {
 public:
  static constexpr std::size_t kMembersMax = 10'000;

  explicit MemberList(MemberRecord self);

  const MemberRecord& self() const { return members_.at(self_); }
  void change_self(const MemberRecord& record);  // raises the incarnation
  // Raises the own incarnation above this one, unless it is already.
  void outdo(std::uint64_t incarnation);
  // By an operator, once and for all. False when it is not known.
  bool remove(NodeId id);
  const MemberRecord* find(NodeId id) const;
  std::vector<MemberRecord> all() const;  // by id
  const std::map<NodeId, MemberRecord>& records() const { return members_; }
  std::size_t size() const { return members_.size(); }

  // Takes over what is newer; returns whose records have changed. Records that cannot be (no id,
  // too long, an incarnation that nobody reaches) are ignored.
  std::vector<NodeId> merge(const std::vector<MemberRecord>& records);

  // For keeping the list over a restart: varint format (2), varint count, the records
  // (member_codec.h).
  std::string encode() const;
  static absl::StatusOr<std::vector<MemberRecord>> decode(std::string_view bytes);

 private:
  NodeId self_;
  std::map<NodeId, MemberRecord> members_;
};

}  // namespace grapevine::gossip
