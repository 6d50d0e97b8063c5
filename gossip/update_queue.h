// What is still to be told on, and how often.
//
// Value. An update waits here, encoded, until it has been sent so many times; what was sent least
// goes first, among equals what matters most, then what came last. News about a subject takes the
// place of older news about it.
//
// Bounds: at most kUpdatesMax updates; beyond, what was sent most is given up, as is what no packet
// has room for (push-pull brings it).
// Cost of a packet: O((what fits + kLooksMax) log updates).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "gossip/packet.h"

namespace grapevine::gossip {

// What an update is about. Order: what matters most first.
struct Subject {
  enum class Kind : std::uint8_t { kAccusation, kRecord, kRumour, kLoad };

  Kind kind = Kind::kRecord;
  NodeId node;                 // of a rumour: its origin
  std::uint64_t sequence = 0;  // of a rumour; else 0
  friend auto operator<=>(const Subject&, const Subject&) = default;
};
// REQUIRES: an update.
Subject subject_of(const Message& update);

class UpdateQueue {
 public:
  static constexpr std::size_t kUpdatesMax = 20'000;
  static constexpr std::size_t kLooksMax = 32;  // at updates that do not fit into a packet

  void put(const Message& update);
  void forget(const Subject& subject);
  // Fills up the packet; what has been sent `transmissions` times is done.
  void fill(PacketWriter& packet, std::uint32_t transmissions);

  bool holds(const Subject& subject) const { return waiting_.contains(subject); }
  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    std::string bytes;
    std::uint32_t sent = 0;
    std::uint64_t number = 0;
  };
  using Rank = std::tuple<std::uint32_t, Subject::Kind, std::uint64_t, Subject>;

  static Rank rank(const Subject& subject, const Waiting& waiting);

  std::map<Subject, Waiting> waiting_;
  std::set<Rank> order_;  // exactly the ranks of waiting_
  std::uint64_t last_number_ = 0;
};

}  // namespace grapevine::gossip
