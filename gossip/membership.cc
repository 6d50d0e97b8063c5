#include "gossip/membership.h"

#include <algorithm>
#include <utility>

namespace grapevine::gossip {

Membership::Membership(MemberRecord self, std::vector<std::string> seeds,
                       const std::vector<MemberRecord>& known, FailureDetector& detector,
                       Instant now)
    : detector_(detector), members_(std::move(self)) {
  for (std::string& seed : seeds) {
    if (seed != members_.self().peer_address) seeds_.push_back({std::move(seed), now});
  }
  take_over(known, now);
}

void Membership::take_over(const std::vector<MemberRecord>& records, Instant now) {
  for (const NodeId id : members_.merge(records)) {
    output_.changed.push_back(id);
    if (id == members_.self().id) continue;
    if (members_.find(id)->state == MemberState::kUp) {
      detector_.watch(id, now);
    } else {
      detector_.forget(id);
    }
  }
}

bool Membership::answers_at(const std::string& address) const {
  const std::vector<MemberRecord> all = members_.all();
  return std::any_of(all.begin(), all.end(), [&](const MemberRecord& member) {
    return member.peer_address == address && up(member.id);
  });
}

bool Membership::calling(NodeId node) const {
  return std::any_of(calling_.begin(), calling_.end(),
                     [&](const auto& call) { return call.second.to == node; });
}

void Membership::tick(Instant now) {
  for (const NodeId node : detector_.probes(now)) {
    call(node, members_.find(node)->peer_address, 0);
  }
  const bool alone = members_.size() == 1;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    Seed& seed = seeds_[i];
    if (seed.calling || seed.next > now) continue;
    seed.next = now + (alone ? kJoinInterval : kSeedInterval);
    if (answers_at(seed.address)) continue;
    seed.calling = true;
    call(std::nullopt, seed.address, i);
  }
}

void Membership::call(std::optional<NodeId> to, std::string address, std::size_t seed) {
  const CallNumber number = ++last_number_;
  calling_.emplace(number, Calling{to, seed});
  output_.calls.push_back({number, to, std::move(address), members_.all()});
}

void Membership::on_reply(CallNumber number, const std::vector<MemberRecord>& records,
                          Instant now) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  const Calling calling = found->second;
  calling_.erase(found);
  take_over(records, now);
  if (calling.to.has_value()) {
    detector_.heard_from(*calling.to, now);
  } else {
    seeds_[calling.seed].calling = false;
  }
}

void Membership::on_failure(CallNumber number, Instant now) {
  const auto found = calling_.find(number);
  if (found == calling_.end()) return;
  const Calling calling = found->second;
  calling_.erase(found);
  if (calling.to.has_value()) {
    detector_.missed(*calling.to, now);
  } else {
    seeds_[calling.seed].calling = false;
  }
}

std::vector<MemberRecord> Membership::on_call(NodeId from, const std::vector<MemberRecord>& records,
                                              Instant now) {
  take_over(records, now);
  // It can call us; whether we can call it the next probe tells. A cut may be open one way.
  detector_.hint(from, now);
  return members_.all();
}

void Membership::on_connection_lost(NodeId node, Instant now) {
  // A call under way ends by itself, and is then counted: one cut is one miss.
  if (!calling(node)) detector_.missed(node, now);
}

void Membership::change_self(const MemberRecord& record) {
  members_.change_self(record);
  output_.changed.push_back(members_.self().id);
}

Membership::Output Membership::take_output() {
  for (const auto& verdict : detector_.take_verdicts()) {
    (verdict.up ? output_.came_up : output_.went_down).push_back(verdict.node);
  }
  return std::exchange(output_, {});
}

Instant Membership::next_deadline() const {
  Instant next = detector_.next_deadline();
  for (const Seed& seed : seeds_) {
    if (!seed.calling) next = std::min(next, seed.next);
  }
  return next;
}

}  // namespace grapevine::gossip
