// Small messages for everybody: what was told, by whom, and what has been heard already.
//
// Machine, without timers of its own. The store behind the spreading: SWIM (swim.h) tells on what
// is new here, and push-pull brings what was missed.
//
// Promised: a rumour is delivered at most once in one life of a node; every member that is reached
// within kAgeMax and has room for it delivers it, in no particular order; a node that restarted
// also what it told itself in an earlier life.
// Not promised: delivery to members that are away for longer; that a node that restarts is not told
// again what the others still hold (so a rumour should say what is true, not what to add).
//
// Bounds: kCountMax rumours, kBytesMax bytes, kAgeMax; beyond, the oldest are forgotten, and with
// each whatever its origin said before it. An origin tells kBurst at once and then one every
// kTellInterval.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gossip/packet.h"
#include "storage/base/status.h"
#include "storage/base/time.h"

namespace grapevine::gossip {

class Rumours {
 public:
  static constexpr std::size_t kCountMax = 256;
  static constexpr std::size_t kBytesMax = 64 * 1024;
  static constexpr std::size_t kOriginsMax = 10'000;
  static constexpr Duration kAgeMax = std::chrono::hours(1);
  static constexpr std::uint32_t kBurst = 16;
  static constexpr Duration kTellInterval = std::chrono::seconds(1);

  // `first_sequence`: above any that this origin has used in earlier lives, such as the time of day
  // in milliseconds.
  Rumours(NodeId self, std::uint64_t first_sequence) : self_(self), last_(first_sequence) {}

  // InvalidArgument: too long. ResourceExhausted: too many, try again after kTellInterval.
  absl::StatusOr<Rumour> tell(std::string name, std::string payload, Instant now);
  // True when it is to be delivered and told on. False: heard before, too old, or impossible.
  bool hear(const Rumour& rumour, Instant now);
  void tick(Instant now);  // forgets what is too old

  std::vector<Rumour> all(Instant now) const;  // with their ages, by id
  // What is held here and not there.
  std::vector<Rumour> lacking(const std::vector<Rumour>& there, Instant now) const;
  std::uint64_t hash() const;  // of what is held
  Instant next_deadline() const;
  std::size_t size() const { return held_.size(); }

 private:
  struct Held {
    Rumour rumour;
    Instant told;  // by its origin, as reckoned here
  };

  void hold(const Rumour& rumour, Instant told);
  void forget_oldest();

  const NodeId self_;
  std::uint64_t last_;  // own sequence
  double tokens_ = kBurst;
  Instant tokens_at_;
  std::map<RumourId, Held> held_;
  std::map<std::pair<Instant, RumourId>, std::size_t> by_age_;  // with their bytes
  std::map<NodeId, std::uint64_t> forgotten_;                   // by origin: up to this sequence
  std::size_t bytes_ = 0;
};

}  // namespace grapevine::gossip
