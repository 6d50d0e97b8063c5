// Who answers and who does not: the interface, and a first detector behind it.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/random.h"
#include "storage/base/time.h"

namespace grapevine::gossip {

// A machine that judges by evidence. The caller probes whom probes() names and reports everything
// that it learns of a node on the way, whether it was a probe or not.
class FailureDetector {
 public:
  virtual ~FailureDetector() = default;

  virtual void watch(NodeId node,
                     Instant now) = 0;   // from now on; counts as down until it is heard from
  virtual void forget(NodeId node) = 0;  // one that was up is down with it
  virtual void heard_from(NodeId node, Instant now) = 0;  // it answered, or called
  virtual void missed(NodeId node, Instant now) = 0;      // a call failed or a connection was lost
  virtual void hint(NodeId node,
                    Instant now) = 0;  // a sign of life that proves nothing: probe it at once

  // Whom to probe now. A probe has been made until it is reported by heard_from or missed.
  virtual std::vector<NodeId> probes(Instant now) = 0;
  virtual bool up(NodeId node) const = 0;
  // For how long it has been so.
  virtual Duration since(NodeId node, Instant now) const = 0;

  struct Verdict {
    NodeId node;
    bool up;
  };
  virtual std::vector<Verdict> take_verdicts() = 0;
  virtual Instant next_deadline() const = 0;
};

// Every node probes every other one itself: n² probes an interval, good for a dozen nodes. SWIM
// takes its place.
//
//   up --misses_to_down misses in a row--> down --heard from--> up
//
// A member that missed is probed again after retry_interval, so that a killed process, whose
// address refuses connections, is down within misses_to_down × retry_interval; one that hangs
// within misses_to_down × (probe timeout + retry_interval). A down member is probed every
// probe_interval for ever, so its return is noticed within that.
struct PingOptions {
  Duration probe_interval = std::chrono::milliseconds(500);
  Duration retry_interval = std::chrono::milliseconds(100);
  std::uint32_t misses_to_down = 3;
};

class PingDetector final : public FailureDetector {
 public:
  PingDetector(const PingOptions& options, Random& random) : options_(options), random_(random) {}

  void watch(NodeId node, Instant now) override;
  void forget(NodeId node) override;
  void heard_from(NodeId node, Instant now) override;
  void missed(NodeId node, Instant now) override;
  void hint(NodeId node, Instant now) override;
  std::vector<NodeId> probes(Instant now) override;
  bool up(NodeId node) const override;
  Duration since(NodeId node, Instant now) const override;
  std::vector<Verdict> take_verdicts() override { return std::exchange(verdicts_, {}); }
  Instant next_deadline() const override;

 private:
  struct Watched {
    bool up = false;
    Instant since;
    std::uint32_t misses = 0;
    bool probing = false;
    Instant next_probe;
  };

  PingOptions options_;
  Random& random_;
  std::map<NodeId, Watched> nodes_;
  std::vector<Verdict> verdicts_;
};

}  // namespace grapevine::gossip
