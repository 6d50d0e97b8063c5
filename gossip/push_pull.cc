#include "gossip/push_pull.h"

#include <algorithm>

#include "gossip/member_codec.h"
#include "gossip/member_list.h"
#include "gossip/rumours.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

constexpr char kVersion = 1;

MemberView decode_view(model::ByteReader& in) {
  MemberView view;
  view.record = decode_record(in);
  if (in.ok() && !possible(view.record)) in.fail();
  const std::uint8_t belief = in.byte();
  if (belief > static_cast<std::uint8_t>(Belief::kDown)) in.fail();
  view.belief = static_cast<Belief>(std::min(belief, std::uint8_t{3}));
  view.incarnation = in.varint();
  if (view.incarnation > kIncarnationMax) in.fail();
  return view;
}

Rumour decode_rumour(model::ByteReader& in) {
  Rumour rumour;
  rumour.id.origin.value = in.fixed64();
  rumour.id.sequence = in.varint();
  rumour.age_seconds = decode_varint32(in);
  rumour.name = in.bytes();
  rumour.payload = in.bytes();
  if (!rumour.id.origin.valid() || rumour.name.size() > Rumour::kNameBytesMax ||
      rumour.payload.size() > Rumour::kPayloadBytesMax) {
    in.fail();
  }
  return rumour;
}

}  // namespace

std::string encode_push_pull(const PushPull& state) {
  std::string out(1, kVersion);
  model::put_fixed64(out, state.from.value);
  model::put_fixed64(out, state.members_hash);
  model::put_fixed64(out, state.rumours_hash);
  out.push_back(state.wants_answer ? 1 : 0);
  model::put_varint(out, state.members.size());
  for (const MemberView& view : state.members) {
    encode_record(view.record, out);
    out.push_back(static_cast<char>(view.belief));
    model::put_varint(out, view.incarnation);
  }
  model::put_varint(out, state.rumours.size());
  for (const Rumour& rumour : state.rumours) {
    model::put_fixed64(out, rumour.id.origin.value);
    model::put_varint(out, rumour.id.sequence);
    model::put_varint(out, rumour.age_seconds);
    model::put_bytes(out, rumour.name);
    model::put_bytes(out, rumour.payload);
  }
  return out;
}

absl::StatusOr<PushPull> decode_push_pull(std::string_view bytes) {
  model::ByteReader in(bytes);
  if (in.byte() != kVersion) {
    return absl::InvalidArgumentError("push-pull of another node: another version of the format");
  }
  PushPull state;
  state.from.value = in.fixed64();
  if (!state.from.valid()) in.fail();
  state.members_hash = in.fixed64();
  state.rumours_hash = in.fixed64();
  const std::uint8_t flags = in.byte();
  if (flags > 1) in.fail();
  state.wants_answer = flags == 1;
  const std::uint64_t members = in.varint();
  if (members > MemberList::kMembersMax) in.fail();
  for (std::uint64_t i = 0; i < members && in.ok(); ++i) state.members.push_back(decode_view(in));
  const std::uint64_t rumours = in.varint();
  if (rumours > Rumours::kCountMax) in.fail();
  for (std::uint64_t i = 0; i < rumours && in.ok(); ++i) {
    state.rumours.push_back(decode_rumour(in));
  }
  if (!in.done()) {
    return absl::InvalidArgumentError("push-pull of another node: malformed or cut short");
  }
  return state;
}

}  // namespace grapevine::gossip
