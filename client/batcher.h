// Gathers what is outstanding into batches, sends them, and sees every operation to its end.
//
//   queue --cut--> batch in flight --answered--> ended
//     ^              |       ^
//     |              | some may be tried again
//     |              v       |
//     |            batch resting
//     +-- operations that waited for one of the batch's keys
//
// The retry rule. What certainly did not happen (Unavailable from a node, or never sent) and reads
// are tried again, elsewhere if another node is ready, until the deadline. A write that was sent
// and lost its connection is tried again with its write id, and ends as "outcome unknown" if no
// attempt is confirmed in time.
//
// Order. Operations on one key are carried out in the order in which they came: the later ones
// travel in the same batch behind the earlier, or wait until that batch is over. An operation that
// failed behind which a later one of its key was carried out is not tried again.
//
// Resource. Bounds: limits.batches_in_flight_max requests a link, each of limits.operations_max
// operations and about kBatchBytes; what waits is bounded by the client. Owner and thread: the
// client; its own thread.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "client/deadlines.h"
#include "client/pending.h"
#include "client/pool.h"

namespace grapevine::client {

struct BatchLimits {
  std::uint32_t operations_max = 1024;
  std::uint32_t batches_in_flight_max = 4;
};

class Batcher final : private kj::TaskSet::ErrorHandler {
 public:
  // A batch is cut when it holds so many bytes; one operation may be larger by itself.
  static constexpr std::size_t kBatchBytes = std::size_t{8} * 1024 * 1024;
  // How long after its last deadline a batch may be unanswered before its connection is given up.
  static constexpr Duration kAnswerGrace = std::chrono::seconds(1);
  // Pauses before another attempt, once every endpoint was tried.
  static constexpr Duration kRestMin = std::chrono::milliseconds(20);
  static constexpr Duration kRestMax = std::chrono::milliseconds(500);

  // `pool` must outlive it.
  Batcher(rpc::Loop& loop, Pool& pool, const BatchLimits& limits);
  ~Batcher();

  void add(std::unique_ptr<Pending> pending);
  // Sends what can be sent: after add, and when a link has become ready.
  void pump();
  // Ends everything: writes that may have happened with Unknown, the rest with Cancelled. Nothing
  // may be added after it.
  void close();

 private:
  using BatchId = std::uint64_t;
  struct Batch {
    BatchId id = 0;
    std::vector<std::unique_ptr<Pending>> pendings;
    std::uint32_t attempts = 0;
    NodeLink* link = nullptr;  // of the latest attempt
    bool in_flight = false;    // else it stands in resting_
    bool overdue = false;      // counted in link->requests_overdue
    Instant not_before;        // resting until then
    Instant last_deadline;     // of its operations
  };
  // Operations that wait until `batch`, which holds earlier ones of their key, is over.
  struct KeyLine {
    BatchId batch = 0;
    std::vector<std::unique_ptr<Pending>> waiting;
  };

  void taskFailed(kj::Exception&& exception) override;

  bool have_room(const NodeLink& link) const {
    return link.requests < limits_.batches_in_flight_max;
  }
  std::unique_ptr<Batch> cut();
  void send(std::unique_ptr<Batch> batch, NodeLink& link);
  template <typename Request>
  void send_request(Batch& batch, Request request);
  void refuse_writes(Batch& batch, const NodeLink& link);

  // An attempt is over. Each takes the batch out of batches_; settle puts it back if something is
  // left to try.
  void answered(BatchId id, capnp::List<wire::Result>::Reader results);
  void failed(BatchId id, const kj::Exception& exception);
  std::unique_ptr<Batch> landed(BatchId id);
  void settle(std::unique_ptr<Batch> batch, std::vector<OperationResult> results);
  bool may_retry(Pending& pending, const absl::Status& status);
  void rest(std::unique_ptr<Batch> batch);
  void drop_ended(Batch& batch);
  void release_keys(const Batch& batch, const std::vector<std::unique_ptr<Pending>>& over);

  void end(Pending& pending, OperationResult result);
  void expire();
  void arm_timer();
  void look_after_overdue(Batch& batch);

  rpc::Loop& loop_;
  Pool& pool_;
  const BatchLimits limits_;

  std::uint64_t next_order_ = 0;
  BatchId next_batch_ = 1;
  std::deque<std::unique_ptr<Pending>> queue_;
  absl::btree_map<BatchId, std::unique_ptr<Batch>> batches_;  // cut, and not over
  absl::btree_set<std::pair<Instant, BatchId>> resting_;      // of batches_, by not_before
  absl::flat_hash_map<std::string, KeyLine> lines_;           // of every key in batches_
  Deadlines deadlines_;
  std::optional<Instant> timer_at_;

  kj::TaskSet tasks_{
      *this};  // requests, rests, timers; the last member, so that they are dropped first
};

}  // namespace grapevine::client
