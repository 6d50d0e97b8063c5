// With whom states are compared over a stream, and when (push_pull.h).
//
// Machine. While nobody else is up: every seed, and one member known from an earlier life, each
// join_interval. Later: seeds at whose address no member is up each seed_interval, so that groups
// that started apart meet, and that another node that has come to live at a seed's address is
// found; one random member each push_pull_interval; and who has just come up at once.
//
// Bounds: one call to a seed and one to a member at a time; at most kSoonMax wait for theirs.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/roster.h"
#include "gossip/swim_options.h"
#include "storage/base/random.h"

namespace grapevine::gossip {

class SyncSchedule {
 public:
  static constexpr std::size_t kSoonMax = 4;

  SyncSchedule(const SwimOptions& options, Random& random, std::vector<std::string> seeds,
               const std::string& own_address, Instant now);

  struct Target {
    std::optional<NodeId> to;  // nullopt: a seed, whoever that is
    std::string address;
    bool joining = false;  // nobody else is up: everything is news
  };
  // Calls to be made now; each is under way until ended() is told of it.
  std::vector<Target> due(const Roster& roster, Instant now);
  void ended(const Target& target);
  void soon(NodeId node, Instant now);
  Instant next_deadline() const;

 private:
  struct Seed {
    std::string address;
    Instant next;
    bool calling = false;
  };
  std::optional<NodeId> member_due(const Roster& roster, Instant now);

  const SwimOptions& options_;
  Random& random_;
  std::vector<Seed> seeds_;
  std::set<NodeId> soon_;
  bool calling_ = false;  // a member
  Instant next_;          // member
};

}  // namespace grapevine::gossip
