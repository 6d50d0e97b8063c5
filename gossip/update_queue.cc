#include "gossip/update_queue.h"

#include <limits>
#include <utility>
#include <vector>

#include "storage/base/check.h"

namespace grapevine::gossip {

namespace {

struct SubjectOf {
  Subject operator()(const MemberRecord& record) const {
    return {Subject::Kind::kRecord, record.id, 0};
  }
  Subject operator()(const Suspect& suspect) const {
    return {Subject::Kind::kAccusation, suspect.node, 0};
  }
  Subject operator()(const Down& down) const { return {Subject::Kind::kAccusation, down.node, 0}; }
  Subject operator()(const LoadReport& report) const {
    return {Subject::Kind::kLoad, report.node, 0};
  }
  Subject operator()(const Rumour& rumour) const {
    return {Subject::Kind::kRumour, rumour.id.origin, rumour.id.sequence};
  }
  template <typename OfAProbe>
  Subject operator()(const OfAProbe& /*message*/) const {
    check_failed(__FILE__, __LINE__, "is an update", "a message of a probe is no update");
  }
};

}  // namespace

Subject subject_of(const Message& update) {
  return std::visit(SubjectOf(), update);
}

UpdateQueue::Rank UpdateQueue::rank(const Subject& subject, const Waiting& waiting) {
  return {waiting.sent, subject.kind, std::numeric_limits<std::uint64_t>::max() - waiting.number,
          subject};
}

void UpdateQueue::put(const Message& update) {
  const Subject subject = subject_of(update);
  forget(subject);
  if (waiting_.size() >= kUpdatesMax) forget(std::get<Subject>(*order_.rbegin()));
  const Waiting& waiting =
      waiting_.emplace(subject, Waiting{encode_message(update), 0, ++last_number_}).first->second;
  order_.insert(rank(subject, waiting));
}

void UpdateQueue::forget(const Subject& subject) {
  const auto found = waiting_.find(subject);
  if (found == waiting_.end()) return;
  order_.erase(rank(subject, found->second));
  waiting_.erase(found);
}

void UpdateQueue::fill(PacketWriter& packet, std::uint32_t transmissions) {
  std::vector<Subject> added;
  std::vector<Subject> too_large;  // for any packet
  std::size_t looks = 0;
  for (const Rank& next : order_) {
    const Subject& subject = std::get<Subject>(next);
    if (packet.add_encoded(waiting_.at(subject).bytes)) {
      added.push_back(subject);
    } else if (packet.empty()) {
      too_large.push_back(subject);
    } else if (++looks > kLooksMax) {
      break;
    }
  }
  for (const Subject& subject : too_large) forget(subject);
  for (const Subject& subject : added) {
    const auto found = waiting_.find(subject);
    order_.erase(rank(subject, found->second));
    if (++found->second.sent >= transmissions) {
      waiting_.erase(found);
    } else {
      order_.insert(rank(subject, found->second));
    }
  }
}

}  // namespace grapevine::gossip
