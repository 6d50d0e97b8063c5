#include "storage/base/ids.h"

#include <charconv>

#include <fmt/format.h>

namespace grapevine {

std::string to_string(NodeId id) {
  return fmt::format("{:011x}", id.value);
}

std::string to_string(ActorId id) {
  return fmt::format("{}.{}", to_string(id.node()), id.epoch());
}

std::optional<NodeId> parse_node_id(std::string_view text) {
  NodeId id;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id.value, 16);
  if (error != std::errc() || !id.valid() || to_string(id) != text) return std::nullopt;
  return id;
}

}  // namespace grapevine
