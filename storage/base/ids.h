// Ids as types, so that a node cannot be taken for an actor nor a counter for a token.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace grapevine {

// A node for life: 44 random bits, drawn when its data directory is made, never 0. Value.
struct NodeId {
  static constexpr int kBits = 44;
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << kBits) - 1;

  std::uint64_t value = 0;

  bool valid() const { return value != 0 && value <= kMax; }
  friend auto operator<=>(const NodeId&, const NodeId&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const NodeId& id) {
    return H::combine(std::move(state), id.value);
  }
};

// One life of one node, the same for all its partitions: node id and epoch in 64 bits. The epoch
// rises whenever the node cannot prove that it remembers every dot it issued. Ordered by node, then
// epoch. Value.
struct ActorId {
  static constexpr int kEpochBits = 20;
  static constexpr std::uint64_t kEpochMax = (std::uint64_t{1} << kEpochBits) - 1;

  std::uint64_t value = 0;

  static ActorId of(NodeId node, std::uint64_t epoch) {
    return {(node.value << kEpochBits) | (epoch & kEpochMax)};
  }
  NodeId node() const { return {value >> kEpochBits}; }
  std::uint64_t epoch() const { return value & kEpochMax; }
  friend auto operator<=>(const ActorId&, const ActorId&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const ActorId& id) {
    return H::combine(std::move(state), id.value);
  }
};

// A fixed range of the token space: its top bits. Value.
struct PartitionId {
  std::uint32_t value = 0;

  friend auto operator<=>(const PartitionId&, const PartitionId&) = default;
};

// Node ids are shown as 11 hexadecimal digits, actors as NODE.EPOCH.
std::string to_string(NodeId id);
std::string to_string(ActorId id);
// nullopt unless `text` is exactly what to_string prints for a valid id.
std::optional<NodeId> parse_node_id(std::string_view text);

}  // namespace grapevine
