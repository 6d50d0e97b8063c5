// Coordinates clients' operations: the owners of each key, how many must answer, what was read,
// what lags behind.
//
// A machine: it does no I/O but on the store, reads no clock and never waits. The caller feeds it
// what happened, then carries out take_output() before the next call.
//
//   write: here first (one batch, R1), then to all other owners at once; acknowledged when W of them, this node among
//          them, have it durably. Not enough reachable owners: refused, nothing written. Not enough answers: outcome unknown.
//   read:  the entry from here, its versions alone from R - 1 others; joined; values fetched where only another owner has
//          them. Owners that lag get the joined entry (read repair).
//   a key that this node does not own is forwarded to one that does; so is one of a partition that has lost entries here
//   (R9), until they are back.
//
// Operations of a request on one key are done in order; a request is cut into waves for that.
//
// An operation may tell what its session has seen of the key (storage/model/session.h), and is answered with what it has seen
// now, what an earlier operation of the same request on that key told included:
//   read:  if what R owners hold does not reach that, all the others are asked at once; if those that answer do not reach it
//          together either: Unavailable. What was seen to be superseded is left out, and for that nobody is waited for.
//   write: never waits. Without a context it supersedes what this node knows and what the session has seen exactly.
//
// Nothing here waits for the disk. An operation whose key is not in memory is parked until that was
// warmed; the others of its wave go on. Writes that the store refuses because its disk lags (a write
// stall) queue up and are tried again, in order, every kStallPause, until they are in or their
// request's deadline comes; no later write overtakes them.
//
// Bounds: kRequestsMax requests at once, kQueuedWritesMax writes with kQueuedBytesMax in the queue;
// a request ends at its deadline. Not promised: that a write that was not confirmed did not happen.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "server/operation.h"
#include "server/ring.h"
#include "storage/base/status.h"
#include "storage/base/time.h"
#include "storage/model/session.h"
#include "storage/store.h"

namespace grapevine::server {

struct RequestId {
  std::uint64_t value = 0;
  friend auto operator<=>(const RequestId&, const RequestId&) = default;
};
struct CallId {
  std::uint64_t value = 0;
  friend auto operator<=>(const CallId&, const CallId&) = default;
};

struct WarmId {
  std::uint64_t value = 0;
  friend auto operator<=>(const WarmId&, const WarmId&) = default;
};

// What the coordinator asks of other nodes.
struct ReplicateCall {
  std::vector<std::shared_ptr<const model::KeyedEntry>> entries;
};
struct ReadCall {
  std::vector<std::string> keys;
  bool heads_only = true;
};
struct ForwardCall {
  std::vector<Operation> operations;
  Instant deadline;
};
struct PeerCall {
  CallId id;
  NodeId to;
  std::variant<ReplicateCall, ReadCall, ForwardCall> body;
};

// Their answers.
struct ReplicateReply {};  // all of them durable
struct ReadReply {
  std::vector<absl::StatusOr<model::Entry>> entries;  // filled, one a key
};
struct ForwardReply {
  std::vector<OperationAnswer> answers;
};
using PeerReply = std::variant<ReplicateReply, ReadReply, ForwardReply>;

struct CoordinatorOutput {
  std::vector<PeerCall> calls;
  struct Answer {
    RequestId request;
    std::vector<OperationAnswer> answers;  // one an operation, in order
  };
  std::vector<Answer> answers;
  struct Warm {
    WarmId id;
    std::vector<std::string> keys;
  };
  std::vector<Warm> warms;  // on_warm is wanted while they are in memory: Store::warm
  // on_durable is wanted when the store's commits up to here are durable; 0: nothing to wait for.
  storage::CommitNumber wait_durable = 0;
  std::vector<NodeId>
      lagging;  // did not get a write: anti-entropy with them should not wait for its timer
  bool must_renew_actor =
      false;  // R7: somebody has seen writes of this actor that this store does not remember
};

struct CoordinatorCounters {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t failed = 0;  // operations answered with an error
  std::uint64_t forwarded = 0;
  std::uint64_t read_repairs = 0;  // entries sent or stored because an owner lagged
  std::uint64_t caught_up = 0;     // reads that asked more owners because of their session
  std::uint64_t behind = 0;        // of them, those that were refused in the end
  std::uint64_t cold = 0;          // operations parked because their key was not in memory
  std::uint64_t queued = 0;        // writes that had to wait for a stalled store
  std::uint64_t overloaded = 0;    // of them, and beyond the queue's bounds: refused in the end
};

class Coordinator {
 public:
  static constexpr std::size_t kRequestsMax = 20'000;
  static constexpr std::size_t kQueuedWritesMax = 10'000;
  static constexpr std::size_t kQueuedBytesMax = std::size_t{64} << 20;  // of keys and values
  // Of entries in a call; one may have more by itself.
  static constexpr std::size_t kReplicateBytesMax = std::size_t{16} << 20;
  static constexpr Duration kStallPause = std::chrono::milliseconds(5);

  Coordinator(storage::Store& store, const Ring& ring) : store_(store), ring_(ring) {}

  // Until the node has compared clocks with a peer (R7) writes are refused with `why`; empty: they
  // are taken.
  void refuse_writes(std::string why) { writes_refused_because_ = std::move(why); }

  // ResourceExhausted when too many requests are under way. `may_forward` is false for what another
  // node forwarded.
  absl::StatusOr<RequestId> execute(std::vector<Operation> operations, bool may_forward,
                                    Instant deadline, WallTime wall_now);
  void on_reply(CallId call, PeerReply reply);
  void on_failure(CallId call, const absl::Status& status);
  void on_durable(storage::CommitNumber number);
  void on_warm(WarmId id);
  void tick(Instant now);
  // When tick is wanted, perhaps at once; nullopt: nothing is under way.
  std::optional<Instant> next_deadline() const;

  CoordinatorOutput take_output() { return std::exchange(output_, {}); }
  // Requests, calls and whatever of them waits; 0: idle, and nothing is kept of what came before.
  std::size_t under_way() const {
    return requests_.size() + calls_.size() + not_durable_.size() + deadlines_.size() +
           parked_.size() + queued_.size();
  }
  const CoordinatorCounters& counters() const { return counters_; }

 private:
  using Owners = absl::InlinedVector<NodeId, 3>;

  struct OperationState {
    PartitionId partition;
    Owners owners;
    std::size_t needed = 0;
    bool resolved = false;
    bool forwarded = false;
    bool queued = false;  // a write in queued_
    std::size_t outstanding =
        0;  // nodes that may still answer; for a write this one too, until its log is durable
    std::size_t confirmed = 0;  // writes: who has it durably
    bool durable_here = false;  // writes: this node is among them
    WriteAnswer written;
    // Reads: what has answered, self first.
    struct Answered {
      NodeId owner;
      model::Entry entry;
    };
    std::vector<Answered> answered;
    Owners asked;
    bool fetching = false;            // has what it needs, but for values that only others have
    bool catching_up = false;         // R owners did not reach what its session has seen
    std::optional<model::Seen> seen;  // by the session of the key, when the operation began
  };

  struct Request {
    RequestId id;
    std::vector<Operation> operations;
    std::vector<OperationState> states;
    std::vector<OperationAnswer> answers;
    std::vector<std::vector<std::size_t>> waves;  // indices of operations; done one after another
    std::size_t wave = 0;                         // the one under way
    std::size_t unresolved = 0;                   // in it
    // What the sessions of earlier waves have now seen of each key; empty in the last wave.
    absl::btree_map<std::string, model::Session> sessions;
    bool may_forward = true;
    Instant deadline;
    WallTime wall;
  };

  struct Call {
    RequestId request;
    NodeId to;
    enum class Kind { kReplicate, kRead, kFetch, kForward, kRepair } kind;
    std::vector<std::size_t>
        operations;  // of the request; of a read, one a key, in the order of the call
  };

  // Operations of one request that go on together.
  struct Group {
    RequestId request;
    std::vector<std::size_t> operations;
    std::size_t bytes = 0;  // of those in queued_
  };

  // Common to all.
  static std::vector<std::vector<std::size_t>> cut_into_waves(const std::vector<Operation>& ops);
  void start_wave(Request& request);
  void finish_if_done(Request& request);
  void resolve(Request& request, std::size_t index, OperationAnswer answer);
  static void note_session(Request& request, const std::string& key, const OperationAnswer& answer);
  CallId send(NodeId to, std::variant<ReplicateCall, ReadCall, ForwardCall> body, Call call);
  std::size_t reachable_owners(const OperationState& state) const;
  // Whether this node may answer for the partition, as one of its owners.
  bool served_here(const OperationState& state) const;
  model::SessionScope scope() const;
  absl::StatusOr<model::Seen> seen_by_session(const Request& request,
                                              const Operation& operation) const;
  void park(Request& request, const std::vector<std::size_t>& indices);

  // coordinator_write.cc
  void start_writes(Request& request, std::vector<std::size_t> indices, storage::Reach reach);
  bool try_writes(Request& request, std::vector<std::size_t>& indices, storage::Reach reach);
  absl::Status write_here(Request& request, std::vector<std::size_t>& indices, storage::Reach reach,
                          storage::Committed& committed);
  static absl::Status overloaded_error(const std::string& how);
  void queue_writes(Request& request, const std::vector<std::size_t>& indices);
  void try_queued(Instant now);
  void replicate(Request& request, const std::vector<std::size_t>& indices,
                 std::vector<model::KeyedEntry> entries);
  void write_answered(Request& request, std::size_t index, bool confirmed);

  // coordinator_read.cc
  void start_reads(Request& request, const std::vector<std::size_t>& indices, storage::Reach reach);
  void ask_more_owners(Request& request, const std::vector<std::size_t>& indices);
  // False when more owners must be asked first.
  bool read_answered(Request& request, std::size_t index);
  void fetch_values(Request& request, std::size_t index, const model::Entry& joined);
  void resolve_too_few(Request& request, std::size_t index);
  void finish_read(Request& request, std::size_t index, model::Entry joined);
  void repair(Request& request, std::size_t index, const model::Entry& joined);

  void forward(Request& request, const std::vector<std::size_t>& indices);
  void forward_failed(Request& request, const Call& call, const absl::Status& status);

  void on_read(Request& request, const Call& call, ReadReply reply);  // without entries: it failed
  void on_forwarded(Request& request, const Call& call, ForwardReply reply);

  storage::Store& store_;
  const Ring& ring_;
  std::string writes_refused_because_;
  std::uint64_t last_request_ = 0;
  std::uint64_t last_call_ = 0;
  std::uint64_t last_warm_ = 0;
  absl::btree_map<RequestId, std::unique_ptr<Request>> requests_;
  absl::btree_map<CallId, Call> calls_;  // may outlive their request
  std::multimap<storage::CommitNumber, std::pair<RequestId, std::size_t>> not_durable_;
  std::multimap<Instant, RequestId> deadlines_;
  absl::btree_map<WarmId, Group> parked_;  // may outlive their request
  std::deque<Group> queued_;               // writes, oldest first
  std::size_t queued_bytes_ = 0;
  std::size_t queued_writes_ = 0;
  std::optional<Instant> try_queued_at_;  // nullopt: the next tick says
  CoordinatorOutput output_;
  CoordinatorCounters counters_;
};

}  // namespace grapevine::server
