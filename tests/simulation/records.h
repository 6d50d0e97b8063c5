// What the clients of a simulated cluster saw, and whether it may be so.
//
// Every value names the write that it is of, so each sibling that a read returns is a write that was
// asked for. Checked when a read ends (N owners, W and R as the consistencies say):
//
//   known       a read with R + W > N knows of every write that was acknowledged before it began:
//               the read's context covers its dot
//   not lost    what a context covers and the siblings lack was superseded by some write that could:
//               one whose context covers it, or of unknown outcome and with a context that may, or
//               one without a context that was tried again, for as long as a first attempt of it may
//               still arrive
//   not back    no sibling is covered by the context of a write that the read must know of
//   written     every sibling is the value of a write to that key, once
//   one life    a dot names one write
//   in time     nothing is read that had expired before, by the clock that is furthest behind
//   in session  a read in a session finds every version that the session had written or found there when it began, or knows of what
//               superseded it, and none that the session knows to be superseded; a write without a context in a session
//               that has forgotten nothing supersedes all that
//   in order    where one client alone writes a key, each time with the context of its last write, and
//               each was sent once and its outcome is known, there is one sibling at most
//
// and in the end, when all owners hold the same, of what they hold: known (whatever the consistency)
// and not lost.
//
// Resource.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/include/grapevine/client.h"
#include "storage/base/time.h"
#include "storage/model/dot.h"
#include "storage/model/token.h"
#include "storage/model/version_vector.h"

namespace grapevine::simulation {

using WriteNumber = std::uint64_t;

// The value of a write: its number, then bytes up to `size`.
std::string value_of(WriteNumber number, std::size_t size);
std::optional<WriteNumber> number_of(std::string_view value);

struct WriteRecord {
  WriteNumber number = 0;
  std::string key;
  bool removes = false;
  Consistency consistency = Consistency::kQuorum;
  std::optional<model::VersionVector> context;  // as given
  bool expires = false;
  Instant begun;
  // Once it ended:
  bool acknowledged = false;
  bool refused = false;  // certainly not written
  bool tried_again = false;
  Instant ended;
  std::optional<model::Dot> dot;    // also when a read told it
  model::VersionVector covers;      // of an acknowledged one: the context that it got
  mutable bool superseded = false;  // by an acknowledged write; found once, true for ever
  bool may_be_lost = false;         // the only copies were on a disk that went back in time
};

// What one client's session has seen of each key, by what its results said. Value.
class SessionRecord {
 public:
  // Whether all its keys are known exactly (storage/model/session.h).
  explicit SessionRecord(bool exact) : exact_(exact) {}

  using Live = std::map<model::Dot, WriteNumber>;
  struct OfKey {
    Live live;                    // written or found, and not seen superseded
    model::VersionVector covers;  // the contexts of its results
  };
  const OfKey& of(const std::string& key) { return keys_[key]; }

 private:
  friend class Records;
  void note(const std::string& key, const Live& live, const model::VersionVector& context);

  bool exact_;

  std::map<std::string, OfKey> keys_;
};

// A call in a session: what it goes by, what it tells. Value.
struct SessionCall {
  SessionRecord* record;        // outlives the call
  SessionRecord::OfKey before;  // when the call began
};

class Records {
 public:
  // `attempt_time`: for how long after its beginning a call may still be carried out.
  Records(std::uint32_t partitions, std::size_t owners, Duration attempt_time)
      : partitioning_(partitions), owners_(owners), attempt_time_(attempt_time) {}

  WriteNumber begin_write(const Operation& operation, Instant now);
  // What broke, in one sentence.
  [[nodiscard]] std::optional<std::string> end_write(WriteNumber number,
                                                     const absl::StatusOr<Written>& result,
                                                     bool tried_again, Instant now,
                                                     const SessionCall* session = nullptr);
  // A read of `key` that began at `begun`.
  [[nodiscard]] std::optional<std::string> end_read(const std::string& key, Consistency consistency,
                                                    Instant begun, const Found& found,
                                                    const SessionCall* session = nullptr);
  // What an owner holds of `key` in the end.
  struct Held {
    std::vector<std::pair<model::Dot, std::string>> versions;
    model::VersionVector vector;
  };
  [[nodiscard]] std::optional<std::string> check_end(const std::string& key, const Held& held,
                                                     Instant now);

  // Owners went back to an older state; until they have caught up, quorums prove nothing.
  void disks_went_back(Instant now) {
    back_since_ = now;
    last_back_ = now;
  }
  // Partitions get other owners; until these have caught up, the same.
  void owners_change(Instant now) {
    if (!back_since_.has_value()) back_since_ = now;
  }
  // By how much the nodes' clocks have been wrong at most.
  void clocks_wrong_by(Duration error) { clock_error_ = std::max(clock_error_, error); }
  // An owner lost some of what it had, and knows it.
  void disk_was_damaged(Instant now) { last_back_ = now; }
  void caught_up(Instant now);
  bool went_back() const { return back_since_.has_value(); }
  // Calls `visit` with each acknowledged write.
  template <typename Visit>
  void for_each_acknowledged(Visit visit) {
    for (auto& record : writes_) {
      if (record->acknowledged) visit(*record);
    }
  }

  std::size_t writes() const { return writes_.size(); }
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t reads() const { return reads_; }
  std::uint64_t siblings_seen() const { return siblings_seen_; }  // reads with more than one
  const std::map<std::string, std::vector<WriteRecord*>>& keys() const { return by_key_; }

 private:
  std::size_t required(Consistency consistency) const;
  std::optional<std::string> learn(WriteRecord& record, model::Dot dot);
  std::optional<std::string> check_missing(const WriteRecord& lost, const std::string& who,
                                           Instant until) const;
  bool may_be_alive(std::int64_t expires_unix_ms, Instant now) const;
  bool could_supersede(const WriteRecord& by, const WriteRecord& lost) const;

  const model::Partitioning partitioning_;
  const std::size_t owners_;
  const Duration attempt_time_;
  std::vector<std::unique_ptr<WriteRecord>> writes_;  // by number, from 1 on
  std::map<std::string, std::vector<WriteRecord*>> by_key_;
  std::map<std::pair<PartitionId, model::Dot>, WriteNumber> by_dot_;
  Duration clock_error_{0};
  std::optional<Instant> back_since_;
  Instant last_back_{Duration(-1)};
  Instant caught_up_at_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t siblings_seen_ = 0;
};

}  // namespace grapevine::simulation
