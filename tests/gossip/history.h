// One random history of one partition on two to five replicas: reads, writes and deletes with old
// contexts or none, late and lost replication, exchanges whose messages interleave with all of
// that, evicted dot logs, replicas that fall back to an older state or lose entries, news of that
// which spread slowly, and actors that are closed (R8) as closing.h says. In the end it heals.
//
// After every step, of every replica that has changed (causality.md):
//
//   I1  the live versions of a key are exactly the maximal writes among the events that have truly reached the replica
//   I2  neither its clock nor a version vector claims an event that has not, unless that was closed when no replica held it any
//       more (but as what a later write has seen), nor a message that would still be taken
//   I3  with any other replica: equal clocks and both quiet means equal digests
//
// and in the end: all pairs prove equal within a bounded number of rounds, all that has ended is
// closed, all replicas are the same, without a gap, and no entry without live versions is left (I4).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gossip/closing.h"
#include "storage/base/random.h"
#include "tests/gossip/conversation.h"
#include "tests/gossip/fake_replica.h"

namespace grapevine::gossip {

// What the histories reached, all together: a check of a path that no history takes checks nothing.
struct HistoryCounts {
  std::uint64_t writes = 0;
  std::uint64_t delta_pulls = 0;
  std::uint64_t digest_pulls = 0;
  std::uint64_t equal_roots = 0;
  std::uint64_t clocks_adopted = 0;
  std::uint64_t regained = 0;  // second pulls
  std::uint64_t splits = 0;    // descents below the root
  std::uint64_t in_flight = 0;
  std::uint64_t closed = 0;        // while there were still writes
  std::uint64_t closed_gaps = 0;   // with dots that nobody had any more
  std::uint64_t mail_refused = 0;  // of actors that had ended
};

class History {
 public:
  explicit History(std::uint64_t seed, Flaw flaw = Flaw::kNone);

  // What broke, with the step; nullopt when every check held.
  std::optional<std::string> run();
  const HistoryCounts& counts() const { return counts_; }

 private:
  struct Event {
    model::Dot dot;
    std::string key;
    bool is_delete = false;
    Reached past;
  };
  struct Read {
    std::string key;
    model::VersionVector context;
    Reached seen;
  };
  struct Mail {
    std::size_t to;
    KeyedEntry entry;
    Reached reached;
  };
  struct Talk {
    std::unique_ptr<Conversation> conversation;
    std::optional<Instant> mark;  // closing.h; none when the states of the other began it
  };
  // A replica's node: what it knows of the others' epochs, and when it closes.
  struct Peer {
    std::vector<std::uint64_t> epochs;
    Closing closing;
  };

  void preload();
  void step();
  void write(std::size_t at);
  void read(std::size_t at) { reads_.push_back(read_at(at, any_key())); }
  Read read_at(std::size_t at, const std::string& key) const;
  void receive_mail();
  void meet(std::size_t a, std::size_t b);
  void call(std::size_t at, std::size_t other);
  void learn(std::size_t at, const std::vector<std::uint64_t>& epochs);
  ConversationOptions options_between(std::size_t at, std::size_t other) const;
  bool close_due(std::size_t at);
  void closes(std::size_t at, ActorId last);
  void begin_exchange(std::size_t at);
  void move_exchanges();
  void finish(std::size_t conversation);
  void crash(std::size_t at);
  void heal();
  bool heal_round();

  void check(std::size_t at);
  void check_key(std::size_t at, const std::string& key);
  void check_pair(std::size_t at, std::size_t other);
  void check_end();
  void broken(std::string what);
  std::string any_key();
  std::size_t other_than(std::size_t at);
  std::size_t index_of(const GhostlyReplica& replica) const;

  const std::uint64_t seed_;
  const Flaw flaw_;
  Random random_;
  std::vector<std::unique_ptr<FakeReplica>> replicas_;
  std::vector<std::vector<FakeReplica::Copy>> copies_;
  std::vector<Event> events_;
  std::vector<Read> reads_;
  std::vector<Mail> mail_;
  std::vector<Talk> talks_;
  std::vector<Peer> peers_;
  std::vector<NodeId> owners_;  // the first closes
  ClosingOptions closing_;
  Reached void_;  // closed, and held by nobody
  ConversationOptions options_;
  double loss_ = 0;
  bool misfortunes_ = false;
  std::uint64_t step_ = 0;
  Instant now_;
  std::optional<std::string> broken_;
  HistoryCounts counts_;
};

}  // namespace grapevine::gossip
