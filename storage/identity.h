// What a data directory is: the record that every later opening is checked against.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/ids.h"
#include "storage/base/status.h"

namespace grapevine::storage {

// Value. Stored under "identity": varint format version, cluster name (varint length, bytes),
// varint partitions, actor (8 bytes). A newer format is refused by its version alone.
struct Identity {
  std::string cluster_name;
  std::uint32_t partitions = 0;
  ActorId actor;

  std::string encode() const;
  static absl::StatusOr<Identity> decode(std::string_view bytes);
};

}  // namespace grapevine::storage
