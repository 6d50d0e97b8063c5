// Ports: what anti-entropy may know of a replica, and do to it. The storage engine stands behind
// them in a node, a map in a test.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/status.h"
#include "storage/model/clock.h"
#include "storage/model/digest.h"
#include "storage/model/entry.h"
#include "storage/model/sketch.h"
#include "storage/model/token.h"

namespace grapevine::gossip {

using model::Item;
using model::KeyedEntry;

// One partition at one moment. `live` views change between calls, frozen ones never.
class PartitionView {
 public:
  virtual ~PartitionView() = default;

  virtual const model::Clock& clock() const = 0;
  virtual const model::TokenRange& range() const = 0;
  // The digest of a range; nullopt when the view's tree does not resolve so fine a range.
  virtual std::optional<model::DigestShare> share(const model::TokenRange& range) const = 0;
  // Of a live view; nullptr where there is none.
  virtual const model::Sketch* sketch() const { return nullptr; }
  // The stored keys of a range in token order, at most `limit`, beginning after `after_key` (a key
  // of an earlier answer, or nullopt). DataLoss when a stored entry cannot be read: never taken for
  // an absent key.
  virtual absl::StatusOr<std::vector<Item>> items(
      const model::TokenRange& range, std::size_t limit,
      const std::optional<std::string>& after_key) const = 0;
  // The filled entry of a key; one without versions when it is not stored.
  virtual absl::StatusOr<model::Entry> load(std::string_view key) const = 0;
};

// The partitions of this node, as its exchanges see them. Single-threaded, like everything here.
class Replica {
 public:
  virtual ~Replica() = default;

  // What the replica holds now; valid as long as the replica.
  virtual const PartitionView& live(PartitionId partition) const = 0;
  // The same, frozen at this moment: clock, digests and entries fit each other. Costs a database
  // snapshot and a copy of clock and tree leaves; to be dropped soon.
  virtual std::unique_ptr<PartitionView> freeze(PartitionId partition) const = 0;

  // Names from the dot log: the keys of `dots`.
  struct NamedDots {
    struct Named {
      model::Dot dot;
      std::string key;
    };
    std::vector<Named> named;     // sorted by dot
    std::uint64_t in_flight = 0;  // named, but younger than the in-flight grace: left out
    bool complete = true;         // false: the log does not reach back to every one of them
  };
  virtual NamedDots name_dots(PartitionId partition, const std::vector<model::DotRange>& dots,
                              bool with_young, std::size_t limit) const = 0;
  // Whether it could most likely name all of them, young ones included.
  virtual bool reaches(PartitionId partition, const std::vector<model::DotRange>& dots) const = 0;

  // Whether it knows no dot at all.
  virtual bool names_none(PartitionId partition) const = 0;

  // Low half of the digest of an entry's live versions: what Item::digest of it is.
  virtual std::uint64_t digest(std::string_view key, const model::Entry& entry) const = 0;

  // R3: joins entries of a peer into the partition, as one atomic batch; what has become quiet is
  // stripped in it. When it returns, the batch is written (not yet synced: later writes can only be
  // lost together with it or after it).
  virtual absl::Status merge(PartitionId partition, std::vector<KeyedEntry> entries) = 0;
  // Adds the dots of a peer's clock to this replica's (the end of R5, and R6).
  virtual absl::Status adopt(PartitionId partition, const model::Clock& clock) = 0;
  // R8: every dot of `node` up to this epoch counts as seen (closing.h says when).
  virtual absl::Status close_actors(PartitionId partition, NodeId node, std::uint64_t epoch) = 0;
};

}  // namespace grapevine::gossip
