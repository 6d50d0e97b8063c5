// When to compare with whom.
//
// Every gossip interval (± 25 %, so that nodes do not fall into step) the peer that has waited
// longest. Earlier where something is known to be missing: a peer came back, a write did not reach
// it, an operator asks, or the last exchange made progress and so may have more to do: then again
// after kAgainAfter, so that recovery does not wait for the timer.
//
// A peer that has told with its answers to probes (Summary) that the pair is equal needs no exchange
// by the timer, for as long as it goes on telling.
//
// Of those whose time has come, the one that has waited longest is first.
//
// A machine. Bounds: one exchange a peer, exchanges_at_once in all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "gossip/exchange.h"
#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/time.h"

namespace grapevine::gossip {

struct SchedulerOptions {
  Duration interval = std::chrono::seconds(1);
  std::size_t exchanges_at_once = 4;
};

class Scheduler {
 public:
  static constexpr Duration kAgainAfter = std::chrono::milliseconds(50);
  // A summary holds for so many intervals a peer: each is probed once in as many.
  static constexpr int kToldRounds = 3;

  // What is known of one peer.
  struct Peer {
    bool reachable = false;
    bool under_way = false;
    std::optional<Instant> proven_equal;  // when the pair was last proven equal
    std::optional<Instant> last_ended;    // the last exchange
    std::optional<Instant> soon;        // an exchange is wanted at this time, apart from the timer
    std::optional<Instant> told_equal;  // last, if not otherwise since
  };

  Scheduler(const SchedulerOptions& options, Random& random) : options_(options), random_(random) {}

  void peer_up(NodeId peer, Instant now);  // reachable (again)
  void peer_down(NodeId peer);
  void forget(NodeId peer);             // is no member any more
  void want(NodeId peer, Instant now);  // something is missing there or here
  void ended(NodeId peer, const ExchangeReport& report, Instant now);

  // A summary came: the pair is equal, or not (or there is more to be heard).
  void told(NodeId peer, bool equal, Instant now);

  void proven(NodeId peer, Instant now) { peers_[peer].proven_equal = now; }

  // An exchange with `peer` begins for a reason of the caller's; false when one is under way
  // already or too many are.
  bool claim(NodeId peer);
  // The peers with whom to begin an exchange now.
  std::vector<NodeId> due(Instant now);
  Instant next_deadline() const;
  const std::map<NodeId, Peer>& peers() const { return peers_; }

 private:
  bool known_equal(const Peer& peer, Instant now) const;

  SchedulerOptions options_;
  Random& random_;
  std::map<NodeId, Peer> peers_;
  std::size_t under_way_ = 0;
  Instant next_round_;
};

}  // namespace grapevine::gossip
