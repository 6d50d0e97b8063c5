// Asks members whether they live: SWIM's probes with Lifeguard's nacks.
//
// Machine. One member after the other, each once in a random order, then in another one: so every
// member is probed within 2 × members × probe_interval, and on average as often as by chance.
//
//   t = 0                    ping
//   probe_timeout × (1+H)    no answer: ask indirect_probes others to ping it, and call it over a
//                            stream (its datagrams alone may be lost)
//   probe_interval × (1+H)   no answer from anywhere: missed
//
// Where there is reason to probe (hint: a connection was lost) the stream is tried at once, too. When
// the other machine says that nobody listens there, that ends the probe: the process is gone.
//
// Who is asked pings, tells the asker of an answer, and after 4/5 of probe_timeout that there is
// none yet (nack). A member that is down is pinged too, seldom, so that its return is noticed.
//
// Bounds: at most kProbesMax own probes and kRelaysMax for others at a time; what is asked beyond
// is not done.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/local_health.h"
#include "gossip/packet.h"
#include "gossip/roster.h"
#include "gossip/swim_options.h"
#include "storage/base/random.h"

namespace grapevine::gossip {

class Prober {
 public:
  static constexpr std::size_t kProbesMax = 64;
  static constexpr std::size_t kRelaysMax = 256;

  Prober(const SwimOptions& options, Random& random, Instant now);

  struct Send {
    NodeId to;
    std::string address;
    Message message;
  };
  struct StreamPing {
    NodeId to;
    ProbeNumber number;
  };
  struct Output {
    std::vector<Send> sends;
    std::vector<StreamPing> stream_pings;
    std::vector<NodeId> answered;
    std::uint32_t helped = 0;  // of them by others or a stream, for all that is known
    std::vector<NodeId> missed;
    std::vector<NodeId> refused;
  };

  void tick(const Roster& roster, Instant now);
  void on_ack(ProbeNumber number);  // by datagram or over a stream
  void on_nack(ProbeNumber number);
  void on_refused(ProbeNumber number);  // over a stream
  void on_request(NodeId from, const std::string& address, const PingRequest& request, Instant now);
  void came_up(NodeId node);  // joins the round under way
  void hint(NodeId node);     // there is reason to probe it at once
  void refuted() { health_.adjust(+1); }
  void stalled(Duration by);  // this node did nothing for so long

  Output take_output();
  Instant next_deadline() const;
  std::uint32_t health() const { return health_.score(); }

 private:
  struct Probe {
    NodeId node;
    bool of_down = false;  // whether it answers matters, not that it does not
    Instant ask_others;
    Instant ends;
    std::optional<std::uint32_t> asked;  // how many, once they have been
    std::uint32_t nacks = 0;
  };
  struct Relay {
    NodeId asker;
    std::string address;
    ProbeNumber number;  // the asker's
    Instant nack;
    bool nacked = false;
    Instant ends;
  };

  // The number of the probe; nullopt: none was begun.
  std::optional<ProbeNumber> begin(const Roster& roster, NodeId node, bool of_down, Instant now);
  void advance(const Roster& roster, Instant now);
  void ask_others(const Roster& roster, ProbeNumber number, Probe& probe);
  void end(const Probe& probe);
  void relay(Instant now);
  std::optional<NodeId> next_in_round(const Roster& roster);
  bool probing(NodeId node) const;

  const SwimOptions& options_;
  Random& random_;
  LocalHealth health_;
  ProbeNumber last_;
  std::map<ProbeNumber, Probe> probes_;
  std::map<ProbeNumber, Relay> relays_;
  std::vector<NodeId> round_;  // still to come in this round, from the back
  std::set<NodeId> hinted_;
  Instant next_probe_;
  Instant next_of_down_;
  Output output_;
};

}  // namespace grapevine::gossip
