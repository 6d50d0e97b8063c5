// How long a suspect may still refute, the shorter the more members suspect it (Lifeguard, section
// IV-B).
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>

#include "storage/base/ids.h"
#include "storage/base/time.h"

namespace grapevine::gossip {

// Value. With c of the `confirmations` wanted it ends
//   max - (max - min) × log(c+1) / log(confirmations+1)
// after it began, never before min; with none wanted at min.
class Suspicion {
 public:
  struct Terms {
    std::uint32_t confirmations = 0;
    Duration min{0};
    Duration max{0};
  };
  Suspicion(NodeId accuser, const Terms& terms, Instant began);

  // Somebody suspects it too. True when that was new and counts: then it is worth telling on.
  bool confirm(NodeId by);
  Instant ends() const { return ends_; }
  // It is as good as proven: ends at `end` if that is earlier.
  void hasten(Instant end) { ends_ = std::min(ends_, end); }
  // Nobody here could hear a refutation for so long: that time does not count.
  void postpone(Duration by);

 private:
  Terms terms_;
  Instant began_;
  std::set<NodeId> accusers_;  // the first, and at most terms_.confirmations more
  Instant ends_;
};

}  // namespace grapevine::gossip
