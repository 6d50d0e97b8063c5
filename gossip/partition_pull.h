// One replica catches up with another in one partition: the rules R4 (delta pull), R5 (digest pull)
// and R6 (equal roots).
//
//   deciding --nothing missing--> done
//      |-----roots equal, the peer is quiet--> adopting --> done
//      |-----roots differ, dots missing--> delta --log reaches--> done
//      |                                     '--it does not--.
//      '-----roots equal, or clocks equal (*)-------------> viewing (**) --> comparing --> regaining --> adopting --> done
//
//   (*)  or what no delta brings: a marker (R8), or what the peer's unquiet entries know, when all is to be heard
//   (**) unless roots differ, both sides hold keys and the peer's are quiet: then done, and by a sketch (SketchPull) it is to be
//        found what differs
//
//   viewing    the peer freezes a view of its partition
//   comparing  descent through the digests; what differs or is not quiet over there is pulled and merged (R3)
//   regaining  keys of dots that came from elsewhere meanwhile and that the view's clock knew are pulled once more: the view may
//              know them to be superseded
//   adopting   the view's clock is added to ours; not if a leaf had more keys than one request may list (one hash tag for all of
//              them): of those that were left out it is not known which the view has deleted
//
// Where clocks are equal, both sides quiet and yet the roots differ (I3), one of the two has lost
// something: entries without noticing, or, after a damage that it noticed, what only its clock knew.
// The join with an entry that is lost under the same clock is its deletion, and the damage would
// spread. So the difference is reported and nothing is pulled, unless it is to be settled: then the
// peer is asked first whether what it has stored adds up to its digests. If it does, what its clock
// claims is true, and a digest pull brings what this side does not know: that a version was
// superseded.
//
//   deciding --to be settled--> adding up --it adds up--> viewing --> ...
//
// A machine: requests out, replies in. A reply may come late or never; a failed one ends the pull,
// what was merged stays and no clock is adopted. Bounds: requests_in_flight_max requests; their
// replies are bounded by the responder.
//
// Source: causality_model.py's DigestPull and delta_pull are this machine with every reply at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gossip/messages.h"
#include "gossip/range_descent.h"
#include "gossip/replica.h"

namespace grapevine::gossip {

struct PullOptions {
  std::size_t requests_in_flight_max = 4;
  std::size_t ranges_per_split = 64;
  std::size_t keys_per_fetch = 1000;
  std::size_t delta_ranges_max =
      10'000;  // dot ranges of one request; at most what the responder takes
  std::size_t items_per_pull_max = 1 << 20;  // of one leaf; at most what the responder takes
  bool hear_all = false;  // also what unquiet entries of the peer know beyond its clock
  bool sketches = true;   // false: what no log tells is found by descent
  bool settle = false;    // equal clocks over other digests, see above
};

enum class PullPath : std::uint8_t { kNone, kDelta, kSketch, kDigest, kEqualRoots };

struct PullOutcome {
  PullPath path = PullPath::kNone;  // kSketch: nothing was pulled, a SketchPull should
  absl::Status status;
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
  std::uint64_t in_flight =
      0;                 // dots left for the next round: their direct replication is on its way
  bool adopted = false;  // the peer's clock, by digest pull or equal roots
  bool clocks_equal = false;      // when it began
  bool damage_suspected = false;  // then: both quiet, and yet other digests (I3)
  std::uint64_t difference = 0;   // then: our root minus theirs, whatever both write meanwhile
  bool settled = false;           // then: what the peer knew better is known here
  bool heard_all = false;         // as was asked for: nothing that the peer knew is unknown here
};

class PartitionPull {
 public:
  // `theirs` is what the peer said of the partition.
  PartitionPull(Replica& replica, PartitionState theirs, const PullOptions& options);

  using RequestNumber = std::uint64_t;
  struct Request {
    RequestNumber number;
    ExchangeRequest body;
  };
  std::vector<Request> take_requests();
  void on_reply(RequestNumber number, ExchangeReply reply);
  void on_failure(RequestNumber number, const absl::Status& status);

  bool done() const { return phase_ == Phase::kDone; }
  const PullOutcome& outcome() const { return outcome_; }
  PartitionId partition() const { return theirs_.partition; }
  const PartitionState& theirs() const { return theirs_; }

 private:
  enum class Phase { kDelta, kAddingUp, kViewing, kComparing, kRegaining, kDone };

  void decide();
  void ask_delta();
  void on_delta(DeltaReply reply);
  void compare_digests();
  void open_view();
  void on_view(OpenViewReply reply);
  void ask_more();
  void on_split(const SplitRequest& request, const SplitReply& reply);
  void ask_leaf(const model::TokenRange& range);
  void on_pull(const PullRequest& request, PullReply reply);
  void regain();
  void on_fetch(const FetchRequest& request, FetchReply reply);
  void adopt();

  bool merge(std::vector<KeyedEntry> entries);
  void send(ExchangeRequest body);
  void finish(absl::Status status);
  const PartitionView& live() const { return replica_.live(theirs_.partition); }

  Replica& replica_;
  PartitionState theirs_;
  const PullOptions options_;
  Phase phase_ = Phase::kDone;
  PullOutcome outcome_;

  RequestNumber last_number_ = 0;
  std::vector<Request> requests_;                     // to be taken
  std::map<RequestNumber, ExchangeRequest> waiting_;  // sent, not answered

  // From kViewing on.
  model::Clock clock_at_start_;  // ours, when the view was asked for
  model::Clock from_view_;       // dots that came with entries of the view itself
  std::optional<RangeDescent> descent_;
  bool listed_in_part_ = false;            // a leaf had more keys than could be listed
  bool splitting_ = false;                 // one split at a time: the descent answers in order
  std::vector<model::TokenRange> leaves_;  // to be asked for
  std::vector<std::string> regain_keys_;   // to be asked for
  model::Clock regained_;  // gained dots whose keys were, or are being, pulled once more
};

}  // namespace grapevine::gossip
