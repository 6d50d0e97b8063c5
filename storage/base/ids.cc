#include "storage/base/ids.h"

#include <charconv>

#include <fmt/format.h>

namespace grapevine {

std::string to_string(NodeId id) { return fmt::format("{:011x}", id.value); }

std::string to_string(ActorId id) {
  return fmt::format("{}.{}", to_string(id.node()), id.epoch());
}

std::optional<NodeId> parse_node_id(std::string_view text) {
  if (text.size() != NodeId::kBits / 4) return std::nullopt;
  NodeId id;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id.value, 16);
  if (error != std::errc() || end != text.data() + text.size() || !id.valid()) return std::nullopt;
  return id;
}

}  // namespace grapevine
