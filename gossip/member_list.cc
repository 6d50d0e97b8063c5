#include "gossip/member_list.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "gossip/member_codec.h"
#include "storage/base/planted_flaws.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

constexpr std::uint64_t kFormat = 2;

// Joins what another record of the node says; true when that changed something.
bool join(MemberRecord& known, const MemberRecord& record) {
  const auto age = [](const MemberRecord& of) {
    return std::tie(of.epoch, of.incarnation, of.state);
  };
  const bool newer = age(record) > age(known) || GRAPEVINE_FLAW(takes_stale_records);
  MemberRecord joined = newer ? record : known;
  if (known.state == MemberState::kRemoved || record.state == MemberState::kRemoved) {
    joined.state = MemberState::kRemoved;
  }
  if (joined == known) return false;
  known = std::move(joined);
  return true;
}

}  // namespace

MemberList::MemberList(MemberRecord self) : self_(self.id) {
  members_.emplace(self_, std::move(self));
}

void MemberList::change_self(const MemberRecord& record) {
  MemberRecord& mine = members_.at(self_);
  if (mine.state == MemberState::kRemoved) return;
  const std::uint64_t incarnation = mine.incarnation + 1;
  mine = record;
  mine.id = self_;
  mine.incarnation = incarnation;
}

const MemberRecord* MemberList::find(NodeId id) const {
  const auto found = members_.find(id);
  return found == members_.end() ? nullptr : &found->second;
}

std::vector<MemberRecord> MemberList::all() const {
  std::vector<MemberRecord> records;
  for (const auto& [id, record] : members_) records.push_back(record);
  return records;
}

bool MemberList::remove(NodeId id) {
  const auto found = members_.find(id);
  if (found == members_.end()) return false;
  found->second.state = MemberState::kRemoved;
  return true;
}

void MemberList::outdo(std::uint64_t incarnation) {
  MemberRecord& mine = members_.at(self_);
  if (mine.state == MemberState::kRemoved || incarnation < mine.incarnation) return;
  mine.incarnation = incarnation + 1;
}

std::vector<NodeId> MemberList::merge(const std::vector<MemberRecord>& records) {
  std::vector<NodeId> changed;
  for (const MemberRecord& record : records) {
    if (!possible(record)) continue;
    if (record.id == self_) {
      MemberRecord& mine = members_.at(self_);
      if (mine.state == MemberState::kRemoved || record.state == MemberState::kRemoved) {
        if (join(mine, record)) changed.push_back(self_);
        continue;
      }
      if (record.incarnation < mine.incarnation || record == mine) continue;
      mine.incarnation = record.incarnation + 1;
      changed.push_back(self_);
      continue;
    }
    const auto known = members_.find(record.id);
    if (known == members_.end()) {
      if (members_.size() >= kMembersMax) continue;
      members_.emplace(record.id, record);
      changed.push_back(record.id);
    } else if (join(known->second, record)) {
      changed.push_back(record.id);
    }
  }
  return changed;
}

std::string MemberList::encode() const {
  std::string out;
  model::put_varint(out, kFormat);
  model::put_varint(out, members_.size());
  for (const auto& [id, record] : members_) {
    encode_record(record, out);
  }
  return out;
}

absl::StatusOr<std::vector<MemberRecord>> MemberList::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  if (in.varint() != kFormat) return absl::DataLossError("member list: unknown format");
  const std::uint64_t count = in.varint();
  std::vector<MemberRecord> records;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    records.push_back(decode_record(in));
  }
  if (!in.done())
    return absl::DataLossError("member list: malformed, cut short or bytes left over");
  return records;
}

}  // namespace grapevine::gossip
