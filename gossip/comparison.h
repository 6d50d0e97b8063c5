// Where two replicas differ in few keys, all that they share is compared at once: by one sketch of all
// partitions (storage/model/sketch.h), without the states of any.
//
//   asking with few cells --equal--> done, proven equal
//      |    |--decoded--> merging --summaries equal--> done, proven equal
//      |    |               |--the byte limit cut some off--> asking for these --> merging
//      |    |               '--not--> done, unlike: something other than missing keys is between them
//      |    |--too few--> asking with as many as the dots apart and the probes call for (once, or twice) --> ...
//      |    |--the peer lacks something: it pulls --> done
//      |    '--too much, or nothing that a key explains--> done, unlike
//      '--failed--> done, unlike; or failed, when the peer is gone
//
// Which of the two lacks something the numbers of dots tell that each knows; they are a guess, on which
// nothing but the way taken depends. It is rule R4 with the missing dots' keys found by a sketch: of what
// the peer holds in the slots that differ, an entry is taken only if it brings a dot that is missing
// here, and no clock is adopted. So nothing that was lost under equal clocks can spread, and what only
// clocks know (deletes, superseded writes) is left to the rest of the exchange.
//
// A machine, as PartitionPull is. Bounds: one request under way, of at most a sketch's cells.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "gossip/messages.h"
#include "gossip/replica.h"

namespace grapevine::gossip {

// What the peer's question has shown, to begin with. Value.
struct Hint {
  std::vector<model::Slot> slots;  // that differ; empty: not known
  std::uint64_t dots = 0;          // that are missing here; 0: not known
};

// With more keys than this apart, states of each partition cost less than cells for all.
std::uint64_t few_keys(std::size_t partitions);
// How many dots a replica knows in these; of a closed actor none.
std::uint64_t dots_known(const Replica& replica, const std::vector<PartitionId>& partitions);

struct ComparisonOutcome {
  absl::Status status;
  bool proven_equal = false;
  bool peer_pulls = false;                // what it lacks; nothing is to be done here
  std::vector<Fingerprint> fingerprints;  // the peer's, when it has told them
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
  std::uint64_t in_flight = 0;
};

class Comparison {
 public:
  using RequestNumber = std::uint64_t;
  static constexpr std::size_t kFirstCells = 4;  // show one difference, and mostly two
  static constexpr int kTries = 3;

  // REQUIRES: `partitions` sorted; all have a sketch here.
  Comparison(Replica& replica, std::vector<PartitionId> partitions, Hint hint);

  std::optional<CompareRequest> take_request() { return std::exchange(request_, std::nullopt); }
  void on_reply(CompareReply reply);
  void on_failure(const absl::Status& status);

  // Keys of any of the partitions are on their way here, more than by chance.
  bool pulls() const { return !done_ && pulls_; }
  bool done() const { return done_; }
  const ComparisonOutcome& outcome() const { return outcome_; }

 private:
  void ask(std::size_t cells, std::vector<model::Slot> slots);
  void ask_with_more(const CompareReply& reply);
  void merge(CompareReply reply);
  void finish(absl::Status status);
  std::size_t cells_here() const;

  Replica& replica_;
  const std::vector<PartitionId> partitions_;
  int tries_ = 0;
  std::size_t cells_ = 0;  // of the last request
  bool pulls_ = false;
  bool done_ = false;
  std::optional<CompareRequest> request_;
  ComparisonOutcome outcome_;
};

}  // namespace grapevine::gossip
