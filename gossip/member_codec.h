// A member record as bytes, the same on disk (member_list.h) and between nodes (packet.h,
// push_pull.h): its fields in the order of member.h, numbers as varints, ids as 8 bytes, texts
// with a varint length.
#pragma once

#include <cstdint>
#include <string>

#include "gossip/member.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {

inline constexpr std::size_t kRecordTextBytesMax = 1024;  // of each text
// Leaves room to refute whatever is said of a node. Nobody gets there by counting.
inline constexpr std::uint64_t kIncarnationMax = std::uint64_t{1} << 62;

// Whether somebody could have made it: an id, no text too long, an incarnation that can be topped.
bool possible(const MemberRecord& record);

void encode_record(const MemberRecord& record, std::string& out);
// Hostile bytes: `in` is not ok() after a number beyond its type or a state that is unknown.
MemberRecord decode_record(model::ByteReader& in);

// A varint that must fit; `in` fails when it does not.
std::uint32_t decode_varint32(model::ByteReader& in);

}  // namespace grapevine::gossip
