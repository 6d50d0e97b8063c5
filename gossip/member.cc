#include "gossip/member.h"

namespace grapevine::gossip {

std::string_view to_string(MemberState state) {
  switch (state) {
    case MemberState::kUp: return "up";
    case MemberState::kLeft: return "left";
    case MemberState::kRemoved: return "removed";
  }
  return "unknown";
}

}  // namespace grapevine::gossip
