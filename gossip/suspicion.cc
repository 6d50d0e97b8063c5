#include "gossip/suspicion.h"

#include <algorithm>
#include <cmath>

namespace grapevine::gossip {

Suspicion::Suspicion(NodeId accuser, const Terms& terms, Instant began)
    : terms_(terms),
      began_(began),
      accusers_{accuser},
      ends_(began + (terms.confirmations == 0 ? terms.min : terms.max)) {}

bool Suspicion::confirm(NodeId by) {
  if (accusers_.size() > terms_.confirmations || !accusers_.insert(by).second) return false;
  const auto confirmed = static_cast<double>(accusers_.size() - 1);
  const double share = std::log(confirmed + 1) / std::log(terms_.confirmations + 1.0);
  const auto gained = static_cast<double>((terms_.max - terms_.min).count()) * share;
  hasten(began_ + std::max(terms_.min, terms_.max - Duration(static_cast<Duration::rep>(gained))));
  return true;
}

void Suspicion::postpone(Duration by) {
  began_ = began_ + by;
  ends_ = ends_ + by;
}

}  // namespace grapevine::gossip
