// What one turn of the loop changes in a store, as one atomic write: the rules R1, R3 and the ends
// of R5 and R6.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "storage/base/ids.h"
#include "storage/base/status.h"
#include "storage/base/time.h"
#include "storage/clock_journal.h"
#include "storage/model/clock.h"
#include "storage/model/entry.h"
#include "storage/model/entry_codec.h"
#include "storage/partition.h"
#include "storage/waiting.h"

namespace grapevine::storage {

class Store;

// A write to coordinate.
struct WriteRequest {
  std::string_view key;
  std::optional<std::string> value;  // nullopt deletes
  // What the writer has seen and so supersedes; nullopt: all that this replica knows.
  std::optional<model::VersionVector> context;
  WallTime written;
  std::uint64_t write_id = 0;  // as the client drew it
  WallTime expires = {};       // 0: never
  // Without a context: supersede this beside all that this replica knows.
  model::VersionVector also_seen = {};
};

struct WriteOutcome {
  model::Dot dot;  // of this write, or of the live version that an earlier attempt with its id left
  // For the writer's next context: all that this write superseded, and the write itself, unless a
  // vector that covers it would also cover a sibling that the writer has not seen (then it should
  // read before it writes again).
  model::VersionVector seen;
};

// Resource: collects changes; Store::commit writes them all or none. Reads within the batch see
// what it has done so far.
//
// At most one batch is open at a time, within one turn of the loop. Dots are added to the clocks at
// once and taken out again if the batch is dropped or cannot be written. Costs: a point read a key
// without values; values are read again only where concurrent versions survive.
class Batch {
 public:
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // R1. On an error nothing of this write is in the batch; FailedPrecondition when the clock has
  // closed this node's actor (R7: renew it); cold (waiting.h) when the batch may read in memory
  // only, and the entry is not there. REQUIRES: limits were checked.
  absl::StatusOr<WriteOutcome> write(WriteRequest request);
  // R3. `received.entry` is filled. On an error nothing of it is in the batch: InvalidArgument when
  // it contradicts itself, FailedPrecondition when it has seen a write of this node's actor that
  // this node does not remember, or has closed that actor (R7: renew the actor, then receive it
  // again), cold as above.
  absl::Status receive(model::KeyedEntry received);
  // The end of R5 and R6: adds a peer's clock. FailedPrecondition as receive(). REQUIRES: a batch of
  // its own.
  absl::Status adopt(PartitionId partition, const model::Clock& clock);
  // Takes out the versions of a key that have expired: locally, every owner by itself. The clock
  // goes on covering their dots, so that no peer brings them back.
  absl::Status expire(std::string_view key, WallTime now);
  // R8: every dot of `node` up to this epoch counts as seen. FailedPrecondition when that would close
  // the actor that this store writes as. REQUIRES: a batch of its own; who closes has made sure that
  // no owner holds what this replica lacks (gossip/closing.h).
  absl::Status close(PartitionId partition, NodeId node, std::uint64_t epoch);
  // Stores an entry once more, stripped under today's clock.
  absl::Status strip_again(std::string_view key);

  bool empty() const { return pending_.empty() && adopted_.empty(); }

 private:
  friend class Store;

  struct Pending {
    std::string key;
    model::Token token;
    Partition* partition;
    model::DigestShare before;  // what the tree holds of it
    model::ApartDots apart;     // its versions whose values are stored apart
    model::Entry entry;         // as stored, or as the rules have made it; with values once changed
    bool changed = false;
    bool replicate = false;  // written here: to be sent to the other owners
    std::vector<model::Dot> events;
  };
  struct Adopted {
    Partition* partition;
    model::Clock before;
  };

  Batch(Store& store, Reach reach) : store_(&store), reach_(reach) {}
  absl::StatusOr<Pending*> pending(std::string_view key);
  // Reads the values that `entry`, which has come of `pending`'s, still lacks; of those that stand
  // apart here only if `with_apart`.
  absl::Status need_values(const Pending& pending, model::Entry& entry, bool with_apart);
  void add_dot(const Pending& pending, model::Dot dot);
  void undo();

  struct AddedDot {
    PlacedDot placed;
    std::string_view key;  // of its Pending
  };

  Store* store_;
  const Reach reach_;
  std::vector<std::unique_ptr<Pending>> pending_;           // in order of first touch
  absl::flat_hash_map<std::string_view, Pending*> by_key_;  // looked up only, never walked
  std::vector<AddedDot> added_;
  std::vector<Adopted> adopted_;
  std::vector<std::string> spent_notes_;  // of expiries that are done with
};

}  // namespace grapevine::storage
