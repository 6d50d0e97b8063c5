// One run of a simulated cluster: whole nodes, clients, faults, checks; a function of its options.
//
//   forming --all ready--> loaded, with faults --duration over--> healing --all equal--> done
//
// Checked meanwhile: what records.h says of every read, and every kProbeInterval of every two nodes
// that serve: equal clocks and both quiet means equal digests (I3). When all faults are healed and
// the clients are silent, all owners must hold the same, every entry quiet and none without live
// versions (I4), within kHealTime; what they hold must be what the records ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/time.h"
#include "tests/simulation/world.h"

namespace grapevine::simulation {

enum class Faults { kCalm, kNormal, kHell };

struct RunOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 0;  // 0: drawn, 3 to 5
  Duration duration = std::chrono::seconds(60);
  std::optional<Faults> faults;  // not given: drawn
  bool trace = false;
  bool steps = false;  // keep the hash after each event
};

// What a run reached: a check of what never happens checks nothing.
struct Counts {
  std::uint64_t calls = 0;
  std::uint64_t failed_calls = 0;
  std::uint64_t writes_acknowledged = 0;
  std::uint64_t reads = 0;
  std::uint64_t reads_with_siblings = 0;
  std::uint64_t events_told = 0;
  std::uint64_t in_session = 0;  // calls
  std::uint64_t caught_up = 0;   // reads that asked more owners because of their session
  std::uint64_t behind = 0;      // of those, refused
  std::uint64_t kills = 0;
  std::uint64_t power_losses = 0;
  std::uint64_t stops = 0;
  std::uint64_t freezes = 0;
  std::uint64_t cuts = 0;
  std::uint64_t partitions = 0;
  std::uint64_t bad_networks = 0;
  std::uint64_t slow_disks = 0;
  std::uint64_t clock_jumps = 0;
  std::uint64_t restores = 0;
  std::uint64_t backups = 0;           // made by nodes
  std::uint64_t backups_failed = 0;    // for a reason that is allowed
  std::uint64_t backups_restored = 0;  // of those
  std::uint64_t restore_crashes = 0;   // and done again
  std::uint64_t backup_crashes = 0;
  std::uint64_t opening_crashes = 0;
  std::uint64_t pull_crashes = 0;
  std::uint64_t forgotten_logs = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t refused_appends = 0;
  std::uint64_t started_anew = 0;  // after a full disk
  std::uint64_t bursts = 0;
  std::uint64_t crowds = 0;
  std::uint64_t crowded = 0;   // runs that read a key with 200 siblings or more
  std::uint64_t expiring = 0;  // runs with times to live
  std::uint64_t compared = 0;  // pairs of replicas, by the divergence tool's descent and key by key
  std::uint64_t differed = 0;  // of those
  std::uint64_t joins = 0;
  std::uint64_t leaves = 0;
  std::uint64_t left = 0;     // and gone
  std::uint64_t unheard = 0;  // of those, by the others
  std::uint64_t removals = 0;
  std::uint64_t replacements = 0;
  std::uint64_t bad_reads = 0;
  std::uint64_t damages = 0;
  std::uint64_t salvages = 0;
  std::uint64_t beyond_salvage = 0;
  std::uint64_t settled = 0;

  Counts& operator+=(const Counts& other);
  // Each with its name.
  std::vector<std::pair<const char*, std::uint64_t>> named() const;
};

struct RunResult {
  std::optional<std::string> broken;  // the check that failed, in one sentence
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  Duration virtual_time{0};
  Duration healed_in{0};
  std::size_t heap_at_rest = 0;  // bytes, of a node; 0 when something broke before
  Counts counts;
  std::vector<std::string> trace;
  std::vector<World::Step> steps;
};

// REQUIRES: no other world on this thread.
RunResult run(const RunOptions& options);

}  // namespace grapevine::simulation
