#include "gossip/member_codec.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace grapevine::gossip {

bool possible(const MemberRecord& record) {
  const std::string* const texts[] = {&record.name,           &record.peer_address,
                                      &record.client_address, &record.http_address,
                                      &record.zone,           &record.version};
  const bool placed = record.place.value == 0 || record.place.valid();
  return record.id.valid() && placed && record.epoch <= ActorId::kEpochMax &&
         record.incarnation <= kIncarnationMax &&
         std::all_of(std::begin(texts), std::end(texts),
                     [](const auto* text) { return text->size() <= kRecordTextBytesMax; });
}

void encode_record(const MemberRecord& record, std::string& out) {
  model::put_fixed64(out, record.id.value);
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
  model::put_fixed64(out, record.place.value);
}

MemberRecord decode_record(model::ByteReader& in) {
  MemberRecord record;
  record.id.value = in.fixed64();
  record.epoch = in.varint();
  record.name = in.bytes();
  record.peer_address = in.bytes();
  record.client_address = in.bytes();
  record.http_address = in.bytes();
  record.zone = in.bytes();
  record.weight = decode_varint32(in);
  const std::uint64_t state = in.varint();
  if (state > static_cast<std::uint64_t>(MemberState::kRemoved)) {
    in.fail();
    return record;
  }
  record.state = static_cast<MemberState>(state);
  record.incarnation = in.varint();
  record.protocols.min = decode_varint32(in);
  record.protocols.max = decode_varint32(in);
  record.version = in.bytes();
  record.place.value = in.fixed64();
  return record;
}

std::uint32_t decode_varint32(model::ByteReader& in) {
  const std::uint64_t value = in.varint();
  if (value > std::numeric_limits<std::uint32_t>::max()) in.fail();
  return static_cast<std::uint32_t>(value);
}

}  // namespace grapevine::gossip
