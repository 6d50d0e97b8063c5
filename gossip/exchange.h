// One anti-entropy exchange with one peer, over all partitions that both own.
//
//   comparison --equal--> done, proven equal (unless all is to be heard of some partitions: their states)
//      '--not, but for what it has brought--> fingerprints --> states of the partitions whose fingerprints differ --> a pull for each that lacks something
//                --> sketch pulls for groups of those whose log does not reach --> a descent where these fail --> done
//
// Proven equal is a pair that holds the same live versions under the same clocks. Entries that are
// not quiet do not matter for it: what their vectors know beyond the clock shows in no reader's
// answer, and may wait long for a gap to be closed.
//
// Push-pull: the peer takes our states as the beginning of an exchange of its own and pulls what it
// lacks (from_states).
//
// A machine: requests out, replies in; a summary or states request that fails ends the exchange, a
// failed pull only that pull. Bounds: partitions_at_once pulls under way. Not promised: that the
// replicas are equal when it is done; writes may have come meanwhile. Only proven_equal is a proof,
// of the moment when the summary was answered.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "gossip/comparison.h"
#include "gossip/messages.h"
#include "gossip/partition_pull.h"
#include "gossip/replica.h"
#include "gossip/sketch_pull.h"

namespace grapevine::gossip {

struct ExchangeOptions {
  std::size_t partitions_at_once = 8;
  std::size_t sketches_at_once = 2;  // each of any number of partitions
  bool compares = true;              // begins with a comparison (else with the summary alone)
  // Whether a partition may be pulled now: not while another exchange pulls it, which most likely
  // brings the same. It is then left for the next round. Empty: always.
  std::function<bool(PartitionId)> may_pull;
  // Whether all must be heard that the peer knows of a partition, because its actors are to be
  // closed (closing.h): then also what the vectors of its unquiet entries say beyond its clock, which
  // costs the states of the partition, and a pull if there are such entries. Empty: of none.
  std::function<bool(PartitionId)> hear_all;
  // Whether equal clocks over other digests are to be settled (PullOptions::settle), because the
  // difference has stood for longer than anything ordinary explains. Empty: of none.
  std::function<bool(PartitionId)> settle;
  PullOptions pull;
};

struct ExchangeReport {
  absl::Status status;  // of the exchange itself, or of the first pull that failed
  bool proven_equal = false;
  std::uint64_t comparisons = 0;  // that brought keys
  std::uint64_t delta_pulls = 0;
  std::uint64_t digest_pulls = 0;  // partitions; those by sketch among them
  std::uint64_t sketch_pulls = 0;
  std::uint64_t undecoded = 0;  // sketches that did not show what differs
  std::uint64_t equal_roots = 0;
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t clocks_adopted = 0;
  std::map<PartitionId, std::uint64_t>
      differences;                        // under equal clocks, not settled: ours minus theirs
  std::vector<PartitionId> other_clocks;  // of these nothing is known about that
  std::uint64_t settled = 0;              // partitions
  std::uint64_t put_off = 0;              // partitions that might not be pulled now
  std::vector<PartitionId> heard_all;     // of options.hear_all, those where it has come about
  bool progress() const { return keys_pulled > 0 || clocks_adopted > 0; }
};

class Exchange {
 public:
  // Over `partitions`, sorted.
  Exchange(Replica& replica, std::vector<PartitionId> partitions, const ExchangeOptions& options,
           Hint hint = {});
  // Begins with states that the peer sent, and the estimate that was answered to them: pulls what they
  // have and this replica lacks. Where it cannot know of more than kFewPartitions whether the peer's
  // log names that, it asks for states first: then the peer, which now knows what is lacking, says
  // so.
  static constexpr std::size_t kFewPartitions = 2;
  static Exchange from_states(Replica& replica, std::vector<PartitionState> theirs,
                              std::uint64_t slots, const ExchangeOptions& options);

  struct RequestNumber {
    // Of the (first) partition whose pull asks; nullopt: the exchange itself asks. Views belong to it.
    std::optional<PartitionId> partition;
    std::uint64_t number = 0;
    friend auto operator<=>(const RequestNumber&, const RequestNumber&) = default;
  };
  struct Output {
    struct Request {
      RequestNumber number;
      ExchangeRequest body;
    };
    std::vector<Request> requests;
    std::vector<PartitionId> close_views;  // what these opened is not needed any more
  };
  Output take_output();
  void on_reply(const RequestNumber& number, ExchangeReply reply);
  void on_failure(const RequestNumber& number, const absl::Status& status);

  bool pulls(PartitionId partition) const;
  bool done() const { return done_; }
  const ExchangeReport& report() const { return report_; }

 private:
  Exchange(Replica& replica, const ExchangeOptions& options)
      : replica_(&replica), options_(options) {}
  void ask(ExchangeRequest request);
  bool may_compare() const;
  void compare_on();
  void on_equal();
  void on_fingerprints(const std::vector<Fingerprint>& fingerprints);
  void ask_states(std::vector<PartitionState> mine);
  bool must_hear_all(PartitionId partition) const;
  void begin_pulls(std::vector<PartitionState> theirs);
  void go_on();
  void end_pulls();
  void begin_next_pulls();
  void group_sketches();
  void account(const PartitionPull& pull);
  void account(const SketchPull& pull);
  void fail(const absl::Status& status);

  Replica* replica_;
  ExchangeOptions options_;
  std::vector<PartitionId> partitions_;   // that are shared; of an exchange in turn: that were told
  bool in_turn_ = false;                  // it began with states of the peer
  std::optional<Comparison> comparison_;  // at the beginning
  bool comparing_ = false;                // it waits for many keys of any partition
  struct ToPull {
    PartitionState theirs;
    bool descend = false;
  };
  std::deque<ToPull> to_pull_;
  std::map<PartitionId, PartitionPull> pulls_;
  std::vector<PartitionState> to_sketch_;
  std::uint64_t slots_expected_ = 0;  // to differ in all that was asked for; 0: not known
  std::uint64_t dots_expected_ = 0;   // those that one side lacks there
  struct Group {
    std::vector<PartitionState> theirs;
    std::uint64_t slots = 0;  // that are expected to differ
  };
  std::deque<Group> groups_;
  std::map<PartitionId, SketchPull> sketches_;  // by first partition
  std::uint64_t last_number_ = 0;
  std::optional<std::size_t> asked_kind_;  // index of the request that waits for its answer
  Output output_;
  bool done_ = false;
  ExchangeReport report_;
};

}  // namespace grapevine::gossip
