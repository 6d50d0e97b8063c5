// Whose life a data directory continues: the decision of rule R7, which actor a starting node may
// write as.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/status.h"

namespace grapevine::storage {

// Where and when a node runs. Comes in from outside. Value.
struct Life {
  std::string machine;    // the machine's id
  std::string boot;       // this boot of it
  std::string directory;  // the directory itself (device and inode), not its name

  friend bool operator==(const Life&, const Life&) = default;
};

// What the directory remembers of its last life. Value.
struct LifeRecord {
  Life life;
  bool stopped_cleanly = false;

  std::string encode() const;
  static absl::StatusOr<LifeRecord> decode(std::string_view bytes);
};

// Whether a node that starts as `now` in a directory that remembers `last` is sure to remember
// every dot that its actor issued: after a clean stop in this directory on this machine, or after a
// mere crash on the same boot (the kernel had taken every write). In every other case it must take
// a new actor: power loss, a copied or moved directory.
bool keeps_actor(const LifeRecord& last, const Life& now);

}  // namespace grapevine::storage
