// The knobs of SWIM, the formula that each enters, and their bounds.
//
// Below n is the number of members that have neither left nor been removed, this one included, and
// H the local health of a node: 0 when it works as it should, up to health_max as it misses what
// others do not miss (Lifeguard, section IV-A).
//
// Sources: Das, Gupta, Motivala: SWIM, DSN 2002. Dadgar, Phillips, Currey: Lifeguard, DSN-W 2018.
// HashiCorp's memberlist, whose defaults are those of lan() but for spread_multiplier.
#pragma once

#include <cstdint>

#include "storage/base/status.h"
#include "storage/base/time.h"

namespace grapevine::gossip {

// Value.
struct SwimOptions {
  // One member is probed every probe_interval × (1 + H); no answer by then makes it a suspect. More
  // often: found sooner, more packets (two per interval and member, whatever n is).
  Duration probe_interval = std::chrono::seconds(1);
  // After probe_timeout × (1 + H) without an answer others are asked to probe it, and it is called
  // over a stream. Above the 99th percentile of the round trip; at most half of probe_interval, so
  // that their answers still count.
  Duration probe_timeout = std::chrono::milliseconds(500);
  std::uint32_t indirect_probes = 3;  // how many others are asked; 0 to 16

  // A suspect is down after min = suspicion_multiplier × log10(n+1) × probe_interval when
  // `confirmations` others suspect it too, and after suspicion_max_multiplier × min when nobody
  // else does; in between c confirmations give
  // max - (max - min) × log(c+1) / log(confirmations+1) (Lifeguard, section IV-B).
  // Where fewer others could confirm, none are waited for: min. Higher: fewer members that are
  // merely slow are taken for down, found later. At least 1.
  double suspicion_multiplier = 4;
  double suspicion_max_multiplier = 6;
  std::uint32_t confirmations = 2;

  // A suspect at whose address nobody listens (its machine says so at once) is down after this time,
  // if that is sooner: a few gossip_interval, so that it can refute if it has moved or restarted.
  Duration refused_time = std::chrono::milliseconds(800);

  std::uint32_t health_max = 8;  // H stays below; 1 switches local health off

  // An update is sent max(transmissions_min, ⌈spread_multiplier × log10(n+1)⌉) times by each member
  // that learns it. Higher: fewer members that hear of it only by the next push-pull, more bytes a
  // change. With multiplier m one of about n^(m/2.3 - 1) updates misses somebody: measured, with 4
  // (memberlist's) 2 to 8 % of all updates at n = 8 to 50, with 6 less than 0.5 %. In small
  // clusters luck weighs more, hence the least number.
  double spread_multiplier = 6;         // at least 1
  std::uint32_t transmissions_min = 8;  // 1 to 64
  // While there are updates, gossip_fanout random members hear of them every gossip_interval; a
  // new one spreads to all in about log2(n) + ln(n) intervals over gossip_fanout.
  Duration gossip_interval = std::chrono::milliseconds(200);
  std::uint32_t gossip_fanout = 3;  // 1 to 16
  // For so long who went down, left or was removed is told what the others are told, so that it can
  // refute.
  Duration gossip_to_gone = std::chrono::seconds(30);

  // Whole states are compared with one random member every push_pull_interval (±25 %) and with each
  // that comes up: 40 bytes when they are equal.
  Duration push_pull_interval = std::chrono::seconds(30);
  // While no other member is up: the time between calls of a seed, and between probes of up to
  // three members that are known from an earlier life.
  Duration join_interval = std::chrono::milliseconds(500);
  // Later: between calls of a seed at whose address no member is up.
  Duration seed_interval = std::chrono::seconds(10);
  // One member that is down is probed every down_probe_interval × max(1, members up / 10): all
  // together send at most 10 such probes an interval.
  Duration down_probe_interval = std::chrono::seconds(2);

  // The own load is spread when it changed (unchanged: after ten times as long, for those that have
  // joined since), and not before
  // max(load_interval, 16 bytes × n × transmissions / load_bytes_per_second) after the last time:
  // so much each node spends at most on the loads of all.
  Duration load_interval = std::chrono::seconds(1);
  std::uint32_t load_bytes_per_second = 1'000;

  std::size_t packet_bytes_max = 1'400;  // 200 to kPacketBytesMax
  std::uint32_t cluster = 0;             // cluster_tag of the cluster's name

  // One machine: for tests and trials. A killed process is down within about a quarter of a second,
  // one that hangs within about 2 s.
  static SwimOptions local();
  // One data centre: the defaults.
  static SwimOptions lan() { return {}; }
  // Round trips of some 100 ms, and some loss.
  static SwimOptions wan();

  // InvalidArgument names the knob that is out of its bounds.
  absl::Status check() const;

  // ---- the formulas ----
  Duration suspicion_min(std::size_t n) const;
  Duration suspicion_max(std::size_t n) const;
  std::uint32_t transmissions(std::size_t n) const;  // at least 1
  Duration down_probe_period(std::size_t members_up) const;
  Duration load_period(std::size_t n) const;
  // Between push-pulls that checks lead to: probe_interval × max(1, n / 16).
  Duration sync_after_check_period(std::size_t n) const;
};

}  // namespace grapevine::gossip
