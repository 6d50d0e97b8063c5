#include "gossip/member_list.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

constexpr std::size_t kTextBytesMax = 1024;
constexpr std::uint64_t kFormat = 1;
// Leaves room to refute whatever is said of a node. Nobody gets there by counting.
constexpr std::uint64_t kIncarnationMax = std::uint64_t{1} << 62;

bool possible(const MemberRecord& record) {
  const std::string* const texts[] = {&record.name,           &record.peer_address,
                                      &record.client_address, &record.http_address,
                                      &record.zone,           &record.version};
  return record.id.valid() && record.incarnation <= kIncarnationMax &&
         std::all_of(std::begin(texts), std::end(texts),
                     [](const auto* text) { return text->size() <= kTextBytesMax; });
}

bool newer(const MemberRecord& a, const MemberRecord& b) {
  return std::tie(a.incarnation, a.state) > std::tie(b.incarnation, b.state);
}

}  // namespace

MemberList::MemberList(MemberRecord self) : self_(self.id) {
  members_.emplace(self_, std::move(self));
}

void MemberList::change_self(const MemberRecord& record) {
  MemberRecord& mine = members_.at(self_);
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

std::vector<NodeId> MemberList::merge(const std::vector<MemberRecord>& records) {
  std::vector<NodeId> changed;
  for (const MemberRecord& record : records) {
    if (!possible(record)) continue;
    if (record.id == self_) {
      MemberRecord& mine = members_.at(self_);
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
    } else if (newer(record, known->second)) {
      known->second = record;
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
    model::put_fixed64(out, id.value);
    model::put_varint(out, record.epoch);
    model::put_bytes(out, record.name);
    model::put_bytes(out, record.peer_address);
    model::put_bytes(out, record.client_address);
    model::put_bytes(out, record.http_address);
    model::put_bytes(out, record.zone);
    model::put_varint(out, record.weight);
    model::put_varint(out, static_cast<std::uint64_t>(record.state));
    model::put_varint(out, record.incarnation);
    model::put_varint(out, record.protocols.min);
    model::put_varint(out, record.protocols.max);
    model::put_bytes(out, record.version);
  }
  return out;
}

absl::StatusOr<std::vector<MemberRecord>> MemberList::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  if (in.varint() != kFormat) return absl::DataLossError("member list: unknown format");
  const std::uint64_t count = in.varint();
  std::vector<MemberRecord> records;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    MemberRecord record;
    record.id.value = in.fixed64();
    record.epoch = in.varint();
    record.name = in.bytes();
    record.peer_address = in.bytes();
    record.client_address = in.bytes();
    record.http_address = in.bytes();
    record.zone = in.bytes();
    record.weight = static_cast<std::uint32_t>(in.varint());
    const std::uint64_t state = in.varint();
    if (state > static_cast<std::uint64_t>(MemberState::kRemoved)) {
      return absl::DataLossError("member list: unknown state");
    }
    record.state = static_cast<MemberState>(state);
    record.incarnation = in.varint();
    record.protocols.min = static_cast<std::uint32_t>(in.varint());
    record.protocols.max = static_cast<std::uint32_t>(in.varint());
    record.version = in.bytes();
    records.push_back(std::move(record));
  }
  if (!in.done()) return absl::DataLossError("member list: cut short or bytes left over");
  return records;
}

}  // namespace grapevine::gossip
