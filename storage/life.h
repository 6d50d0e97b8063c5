// Whose life a data directory continues: the decision of rule R7, which actor a starting node may
// write as.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/base/ids.h"
#include "storage/base/random.h"
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

// What a node that starts remembers of the dots that its actor issued.
enum class Memory {
  // Every one: after a clean stop in this directory on this machine, or after a mere crash on the
  // same boot (the kernel had taken every write). It goes on as the actor that it was.
  kWhole,
  // Perhaps not the last ones: power loss. Nobody has written as a later actor: it takes the next.
  kSuffixLost,
  // It does not know: the directory was copied, moved or restored from a backup, and whoever went on
  // in the original may have taken any number of actors since.
  kElsewhere,
};
// `last` is nullopt when the directory remembers no life: it was restored.
Memory memory_of(const std::optional<LifeRecord>& last, const Life& now);

// How far the epoch of a directory that comes from elsewhere goes on, at least; as much again is left
// to chance, so that restoring one backup twice does not give one actor twice. A life takes an epoch
// for a power loss and for a disk that was full, a few in a year: a thousand of them since the copy
// was made do not happen. And a node's 2^20 epochs still last for hundreds of restores.
inline constexpr std::uint64_t kEpochJump = 1'000;

// The actor that `last` goes on as. FailedPrecondition when its node has no epoch left.
absl::StatusOr<ActorId> next_actor(ActorId last, Memory memory, Random& random);
absl::StatusOr<ActorId> later_actor(ActorId last, std::uint64_t epochs);

}  // namespace grapevine::storage
