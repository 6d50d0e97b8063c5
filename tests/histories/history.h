// One random history of two to five real stores and the real gossip machines between them.
//
// After every step, of every replica that it touched (causality.md):
//
//   I1  the live versions of a key are exactly the maximal writes among the events that have truly reached the replica, each with
//       the value that was written; and all that has reached it is known there
//   I2  neither its clock nor a version vector claims an event that has not
//   I3  with any other replica: equal clocks and both quiet means equal digests
//   R8  what is closed no replica holds that the closer lacks
//   R9  after damage nothing is claimed that is not there, unless it had been superseded; who has heard all of another has it
//   no dot was ever issued twice; what was called durable survives a power loss; now and then: the digest trees are what a scan
//   adds up to
//
// and in the end: all pairs prove equal and all actors that have ended are closed within a bounded number of rounds, no partition is
// suspect, all replicas hold the same and no entry without live versions is left (I4).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossip/closing.h"
#include "storage/base/random.h"
#include "tests/gossip/conversation.h"
#include "tests/histories/stored_replica.h"

namespace grapevine::histories {

inline constexpr std::uint64_t kBackgroundNode = 99;  // wrote what was there, and has ended
std::string name_of(model::Dot dot);

// Reached says of each event whether it has come, and whether it is known to be superseded: usually
// by the events that came, but after damage the one may be known without the other.
inline bool superseded(const Reached& reached, std::size_t event) {
  return reached[gossip::kEventsMax + event];
}
inline Reached events_of(const Reached& reached) {
  return (reached << gossip::kEventsMax) >> gossip::kEventsMax;
}
// All that had come is superseded.
inline Reached all_superseded(const Reached& reached) {
  return reached | (reached << gossip::kEventsMax);
}

// Everything that a step chooses it draws from its own seed: the others do not change when it is
// left out. Value.
struct Step {
  std::size_t kind = 0;  // a row of the table in history.cc
  std::uint64_t seed = 0;
};

struct Plan {
  std::uint64_t seed = 0;  // of the scene: how many replicas, their options, what is there already
  std::vector<Step> steps;

  static Plan of(std::uint64_t seed);
};

// What the histories reached, all together: a check of a path that no history takes checks nothing.
struct Counts {
  std::uint64_t writes = 0;
  std::uint64_t retries_recognised = 0;
  std::uint64_t messages = 0;
  std::uint64_t delta_pulls = 0;
  std::uint64_t digest_pulls = 0;
  std::uint64_t equal_roots = 0;
  std::uint64_t clocks_adopted = 0;
  std::uint64_t regained = 0;  // second pulls
  std::uint64_t splits = 0;    // descents below the root
  std::uint64_t in_flight = 0;
  std::uint64_t stops = 0;
  std::uint64_t kills = 0;
  std::uint64_t power_losses = 0;
  std::uint64_t fallen_back = 0;  // power losses that lost something
  std::uint64_t restores = 0;
  std::uint64_t bad_reads = 0;
  std::uint64_t damages = 0;
  std::uint64_t damages_found = 0;  // by opening or scrub
  std::uint64_t salvages = 0;       // directories that were refused, and opened with salvage
  std::uint64_t refills = 0;  // those that were refused even so, or did not know whose they are
  std::uint64_t entries_lost = 0;  // live versions that a damage took
  std::uint64_t refused_as_suspect = 0;
  std::uint64_t recovered = 0;     // partitions that were suspect and are trusted again
  std::uint64_t settled = 0;       // partitions, where clocks were equal and digests were not
  std::uint64_t closed = 0;        // actors, by an owner, while there were still steps
  std::uint64_t closed_gaps = 0;   // of those with writes that nobody had any more
  std::uint64_t refused_late = 0;  // what actors that have ended replicated

  Counts& operator+=(const Counts& other);
};

class History {
 public:
  History(LossyDisk& disk, const Plan& plan);

  // What broke, with the step; nullopt when every check held.
  std::optional<std::string> run();
  const Counts& counts() const { return counts_; }
  // What was done, a line a step.
  const std::vector<std::string>& trace() const { return trace_; }
  // Of the trace and of every state that was checked: equal for equal histories.
  std::uint64_t trace_hash() const { return trace_hash_; }

 private:
  friend struct StepKind;

  struct Event {
    PartitionId partition;
    model::Dot dot;
    std::string key;
    std::optional<std::string> value;  // nullopt: it deletes
    std::uint64_t write_id = 0;
  };
  struct Read {
    std::string key;
    model::VersionVector context;
    Reached seen;
  };
  // A write as a client asked for it; it may ask again.
  struct Attempt {
    std::string key;
    std::optional<std::string> value;
    std::optional<model::VersionVector> context;
    Reached seen;  // with a context
    std::uint64_t write_id = 0;
  };
  // An exchange under way.
  struct Talk {
    std::unique_ptr<gossip::Conversation> conversation;
    ReachedByKey peer_knew;       // when it began
    std::optional<Instant> mark;  // closing.h
    bool in_turn = false;         // begun by the states, or the cells, of another one
  };
  struct Mail {
    std::size_t to;
    ActorId from;
    std::vector<model::KeyedEntry> entries;
    ReachedByKey reached;
  };

  // The steps.
  void write(Random& random);
  void read(Random& random);
  void deliver(Random& random);
  void begin_exchange(Random& random);
  void move_exchanges(Random& random);
  void let_time_pass(Random& random);
  void forget_dots(Random& random);
  void upkeep(Random& random);
  void sync(Random& random);
  void stop(Random& random);
  void kill(Random& random);
  void lose_power(Random& random);
  void back_up(Random& random);
  void restore(Random& random);
  void read_badly(Random& random);
  void damage(Random& random);
  void spread_members(Random& random);
  void close_actors(Random& random);

  void preload(Random& random);
  void write_at(std::size_t at, Random& random);
  Attempt draw_attempt(std::size_t at, Random& random);
  Read read_at(std::size_t at, const std::string& key);
  void deliver_mail(std::size_t which, Random& random);
  void upkeep_at(std::size_t at, Random& random);
  void finish(std::size_t conversation);
  void break_off(std::size_t at);
  void open(std::size_t at);
  void started(std::size_t at);
  void begin_life(std::size_t at);
  bool is_refused(const Mail& mail) const;
  // A talk of `at` with `other`; `theirs`, if given, are the states that `other` sent.
  void begin_talk(std::size_t at, std::size_t other,
                  std::optional<gossip::Conversation::SentStates> theirs = std::nullopt,
                  std::optional<gossip::Hint> hint = std::nullopt);
  void move_talk(std::size_t talk, std::size_t message, bool lost);
  // R9.
  bool is_suspect(std::size_t at, const std::string& key) const;
  void open_damaged(std::size_t at);
  void take_stock(std::size_t at, bool same_node, bool salvaged);
  Reached left_of(std::size_t at, const std::string& key, const model::Entry& stored,
                  const model::Clock* clock);
  void heard_all(std::size_t at, std::size_t from, PartitionId partition, const ReachedByKey& knew);
  // The events that are live where this has reached.
  Reached live_of(const std::string& key, const Reached& reached) const;
  void heal();
  bool push_pull(std::size_t a, std::size_t b);
  bool all_closed() const;
  // R8.
  void learn(std::size_t at, const std::map<NodeId, gossip::MemberRecord>& records);
  void tell_members(std::size_t at, std::size_t other);
  // The node's own record says as what it writes.
  void keep_record(std::size_t at);
  std::vector<NodeId> owners(PartitionId partition) const;
  bool is_unquiet(std::size_t at, PartitionId partition) const;
  std::uint64_t close_due(std::size_t at);
  void close_up_to(std::size_t at, PartitionId partition, ActorId last);

  void check(std::size_t at, bool trees);
  void check_key(std::size_t at, const std::string& key);
  void check_pair(std::size_t at, std::size_t other);
  void check_end();
  // An operation that no bad read disturbs must succeed.
  bool went_well(const absl::Status& status, std::string_view what);
  void broken(std::string what);
  // Two replicas will differ for good (I3), or one will be suspect.
  void differ(PartitionId partition, std::string what);
  void note(std::string line);

  bool is_over() const { return broken_.has_value(); }
  const std::string& any_key(Random& random) const { return keys_[random.below(keys_.size())]; }
  std::size_t any_replica(Random& random) const { return random.below(replicas_.size()); }
  std::size_t other_than(std::size_t at, Random& random) const;
  std::size_t index_of(const gossip::GhostlyReplica& replica) const;

  LossyDisk& disk_;
  HandTime time_;
  const Plan& plan_;
  const std::vector<std::string> keys_;
  std::vector<std::unique_ptr<StoredReplica>> replicas_;
  std::set<ActorId> actors_;  // all that ever served
  std::vector<std::vector<StoredReplica::Backup>> backups_;
  std::vector<Event> events_;
  std::set<std::pair<PartitionId, model::Dot>> issued_;
  std::vector<Read> reads_;
  std::vector<Attempt> attempts_;
  std::uint64_t last_write_id_ = 0;
  std::vector<Mail> mail_;
  std::vector<Talk> talks_;
  gossip::ExchangeReport last_report_;  // of those that were not begun in turn
  gossip::ConversationOptions options_;
  double loss_ = 0;
  // What each knows in memory, by its life.
  struct Memory {
    explicit Memory(NodeId self, Duration settle) : closing(self, {settle}) {}

    gossip::Closing closing;
    std::map<PartitionId, std::set<std::size_t>>
        lost_entries_heard;  // R9: who has brought all it has
  };
  std::vector<std::unique_ptr<Memory>> memories_;
  std::vector<std::map<NodeId, gossip::MemberRecord>> members_;  // as each knows them
  Duration settle_ = Duration::zero();
  std::vector<std::set<PartitionId>> suspect_;
  std::vector<ReachedByKey> ever_reached_;  // before damage: files may hold it again
  std::vector<NodeId> nodes_;               // who they are
  std::set<std::size_t> jumped_;            // drew an epoch once
  bool reads_go_bad_ = false;               // now
  // Where damage has cost the knowledge what superseded what.
  std::set<PartitionId> knowledge_lost_;
  std::set<std::size_t> touched_;
  std::size_t step_ = 0;
  std::optional<std::string> broken_;
  std::vector<std::string> trace_;
  std::uint64_t trace_hash_ = 0;
  Counts counts_;
};

// A plan that breaks a rule, with steps left out as long as it still does, for at most `seconds`.
struct Shrunk {
  Plan plan;
  std::string broken;
  std::vector<std::string> trace;
};
std::optional<Shrunk> shrink(LossyDisk& disk, Plan plan, double seconds);

}  // namespace grapevine::histories
