// How far the replicas of a cluster are apart, and what that proves. Values and functions over
// them: whoever asked the nodes (divergence_probe.h) fills them in.
//
// Two replicas of a partition are proven equal when their root digests and clocks are equal.
// Equal clocks of quiet replicas with different digests are damage.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gossip/messages.h"
#include "storage/model/entry.h"
#include "tools/exit_code.h"
#include "tools/key_difference.h"

namespace grapevine::tools {

// One partition at the owners that were reached. Nodes are named by their place in
// Divergence::nodes.
struct ComparedPartition {
  std::map<std::size_t, gossip::PartitionState> states;
  // Of pairs (the smaller place first) whose roots differ; sorted by hash.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<DifferingKey>> differing;
  // An owner was reached, but does not hold the partition yet; or nobody who was reached holds it.
  bool incomplete = false;
};

// Two nodes, over all partitions that both own.
struct PairDivergence {
  std::size_t left = 0;
  std::size_t right = 0;
  std::uint32_t partitions = 0;
  std::uint32_t partitions_proven = 0;     // proven equal just now
  std::uint32_t partitions_differing = 0;  // their digests differ
  std::uint32_t partitions_damaged = 0;
  std::uint64_t differing_keys = 0;
  std::uint64_t missing_left = 0;  // writes that the right one has seen and the left one has not
  std::uint64_t missing_right = 0;
  std::uint64_t in_flight = 0;  // of these, on either side: so young that they are on their way
  // How long ago the oldest of them came to the one that has it; nullopt: nothing is missing, or
  // (older_than_log) longer ago than its log reaches.
  std::optional<std::chrono::milliseconds> oldest_missing;
  bool older_than_log = false;
  // By the nodes' own exchanges; nullopt: never since they started.
  std::optional<std::chrono::milliseconds> proven_equal_ago;
};

// A key that differs, at every owner that was reached.
struct KeyAtReplicas {
  std::string key;
  struct AtNode {
    std::size_t node;
    std::vector<model::Version> versions;  // heads; none: the key is absent there
  };
  std::vector<AtNode> replicas;
};

struct Divergence {
  struct Unreachable {
    std::string name;
    std::string why;
  };

  std::vector<std::string> nodes;  // names of those that were reached
  std::vector<Unreachable> unreachable;
  std::vector<PairDivergence> pairs;  // sorted by left, then right; those that share a partition

  std::uint32_t replicas = 0;    // of the partition that has most
  std::uint32_t partitions = 0;  // compared
  std::uint32_t partitions_incomplete = 0;
  std::uint32_t partitions_damaged = 0;
  std::uint64_t keys = 0;            // of each partition at the owner that has most
  std::uint64_t differing_keys = 0;  // each counted once, however many pairs it differs in
  std::uint64_t missing_writes = 0;  // each counted once: seen by some owner and not by all
  std::uint64_t unquiet = 0;         // entries that still carry a version vector, at all owners

  std::vector<KeyAtReplicas> listed;  // of the differing keys, when asked for
};

// Adds what one partition shows.
void add(const ComparedPartition& partition, Divergence& into);

struct Verdict {
  enum class Kind {
    kEqual,         // proven: every owner of every partition
    kDiverged,      // keys differ
    kClocksDiffer,  // data equal, not yet proven
    kInFlight,      // nothing differs but what writes do that are on their way
    kNotProven,     // what was reached does not suffice
  };
  Kind kind = Kind::kNotProven;
  ExitCode code = ExitCode::kUnreachable;
  std::string text;  // one line
};
Verdict verdict_of(const Divergence& divergence);

// The pairs as a table; empty when there is none.
std::string print_pairs(const Divergence& divergence);
// The listed keys, a line each and a line for every version.
std::string print_listed(const Divergence& divergence);
// One JSON object, without a line break.
std::string print_json(const Divergence& divergence);

}  // namespace grapevine::tools
