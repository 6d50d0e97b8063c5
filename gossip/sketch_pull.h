// One replica catches up with another in several partitions at once, where the log does not reach:
// rule R5 by sketches (storage/model/sketch.h) instead of a descent.
//
//   asking --decoded--> merging --all slots--> adopting, done
//      |                   '--the byte limit cut some off--> asking for these --> merging
//      '--too few cells--> asking with more, until all were sent: undecoded, done
//
// The cells of this replica go to the peer, which answers with all that it holds in the slots that
// differ, and with the clocks that it had then. What both hold in the slots must account for the
// whole difference of the two root digests, as they were when the cells were made and when they were
// decoded; else a sketch has not shown everything, and no clock may be adopted. So it is adopted
// only where this replica has not changed meanwhile but by the pull itself. Where it has, what was
// merged stays, and the next exchange, which has little left to find, adopts.
//
// For partitions that are quiet over there: what the vectors of others say would have to be pulled
// before the clock is adopted. A slot with more keys than kSlotKeysMax is left to a descent.
//
// A machine, as PartitionPull is. Bounds: one request under way; its cells are at most those of a
// sketch, the answer is bounded by the responder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gossip/messages.h"
#include "gossip/partition_pull.h"
#include "gossip/replica.h"

namespace grapevine::gossip {

struct SketchOutcome {
  absl::Status status;
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
  std::vector<PartitionId> adopted;
  std::vector<PartitionState> crowded;  // to be compared by descent
  bool undecoded = false;               // even with all cells: so are all of them
};

class SketchPull {
 public:
  // `theirs`: what the peer said of the partitions, sorted. `slots`: how many are expected to
  // differ. REQUIRES: there are such partitions, and they have sketches here.
  SketchPull(Replica& replica, const std::vector<PartitionState>& theirs, std::uint64_t slots);

  std::vector<PartitionPull::Request> take_requests() { return std::exchange(requests_, {}); }
  void on_reply(PartitionPull::RequestNumber number, ExchangeReply reply);
  void on_failure(PartitionPull::RequestNumber number, const absl::Status& status);

  bool done() const { return done_; }
  bool covers(PartitionId partition) const;
  std::uint64_t slots() const { return model::slots_for(cells_); }  // that its cells are enough for
  const SketchOutcome& outcome() const { return outcome_; }
  std::vector<PartitionState> theirs() const;  // as last told

 private:
  struct Part {
    PartitionState theirs;  // when the peer decoded
    model::Clock now;       // the peer's when it answered last
    // Ours, as it was when the cells were made, and as the pull has left it since.
    model::Clock clock;
    std::uint64_t root = 0;
    // Root digest over there minus ours, minus what the slots account for so far.
    std::uint64_t difference = 0;
    bool adoptable = true;
    bool crowded = false;
  };

  void ask();
  void on_decoded(SketchReply reply);
  bool update_states(SketchReply& reply);
  bool merge(SketchReply& reply);
  absl::Status add_slot(model::Slot slot, const std::vector<const KeyedEntry*>& theirs,
                        std::vector<KeyedEntry>& gone);
  void remember_own();
  void note_changes();
  void adopt();

  Part* part_of(model::Token token);
  std::vector<PartitionId> partitions() const;
  void send(SketchRequest request);
  void finish(absl::Status status);

  Replica& replica_;
  std::vector<Part> parts_;
  std::size_t cells_ = 0;
  bool done_ = false;
  SketchOutcome outcome_;

  PartitionPull::RequestNumber last_number_ = 0;
  std::vector<PartitionPull::Request> requests_;  // to be taken
  bool waiting_ = false;                          // for the answer to the last one
  bool decoded_ = false;
};

}  // namespace grapevine::gossip
