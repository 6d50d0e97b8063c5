// Members as they know each other, and the closing of actors that have ended (R8), as the server does
// it.
#include <algorithm>

#include <fmt/format.h>

#include "tests/histories/history.h"

namespace grapevine::histories {

// What a process knows in memory begins anew; the others notice that the connection broke. A node
// that has another id than before is announced, and the old one removed, by the operator.
void History::begin_life(std::size_t at) {
  const NodeId self = replicas_[at]->store().node();
  nodes_.resize(replicas_.size());
  const NodeId before = std::exchange(nodes_[at], self);
  memories_[at] = std::make_unique<Memory>(self, settle_);
  for (const auto& memory : memories_) {
    if (memory != nullptr) memory->closing.lost(self);
  }
  keep_record(at);
  if (before == self) return learn(at, {});
  std::map<NodeId, gossip::MemberRecord> news{{self, members_[at].at(self)}};
  for (std::size_t other = 0; other < members_.size(); ++other) {
    const auto old = members_[other].find(before);
    if (old == members_[other].end()) continue;
    gossip::MemberRecord& removed = news.emplace(before, old->second).first->second;
    removed.epoch = std::max(removed.epoch, old->second.epoch);
    removed.incarnation = std::max(removed.incarnation, old->second.incarnation) + 1;
    removed.state = gossip::MemberState::kRemoved;
  }
  for (std::size_t other = 0; other < members_.size(); ++other) {
    if (memories_[other] == nullptr) continue;
    learn(other, news);
    learn(at, members_[other]);
  }
}

void History::keep_record(std::size_t at) {
  const storage::Store& store = replicas_[at]->store();
  actors_.insert(store.actor());
  gossip::MemberRecord& record = members_[at][store.node()];
  if (record.id == store.node() && record.epoch == store.actor().epoch() &&
      record.state == gossip::MemberState::kUp) {
    return;
  }
  record.id = store.node();
  record.epoch = store.actor().epoch();
  record.state = gossip::MemberState::kUp;
  ++record.incarnation;
  learn(at, {});
}

void History::learn(std::size_t at, const std::map<NodeId, gossip::MemberRecord>& records) {
  std::map<NodeId, gossip::MemberRecord>& known = members_[at];
  for (const auto& [id, record] : records) {
    const auto mine = known.try_emplace(id, record).first;
    if (id != nodes_[at] && record.incarnation > mine->second.incarnation) mine->second = record;
  }
  std::vector<gossip::MemberRecord> all;
  for (const auto& [id, record] : known) all.push_back(record);
  memories_[at]->closing.members(all, time_.now());
}

void History::tell_members(std::size_t at, std::size_t other) {
  learn(other, members_[at]);
  learn(at, members_[other]);
  memories_[at]->closing.told(nodes_[other], time_.now());
}

void History::spread_members(Random& random) {
  const std::size_t at = any_replica(random);
  const std::size_t other = other_than(at, random);
  note(fmt::format("{} tells {} of the members", at, other));
  tell_members(at, other);
}

std::vector<NodeId> History::owners(PartitionId partition) const {
  std::vector<NodeId> owners = nodes_;
  std::rotate(owners.begin(),
              owners.begin() + static_cast<std::ptrdiff_t>(partition.value % owners.size()),
              owners.end());
  return owners;
}

bool History::is_unquiet(std::size_t at, PartitionId partition) const {
  return replicas_[at]->store().live(partition).tree().root().unquiet > 0;
}

// What many gossip intervals without misfortune bring: one node exchanges with most of the others.
void History::close_actors(Random& random) {
  const std::size_t at = any_replica(random);
  note(fmt::format("{} goes round", at));
  if (random.chance(0.7)) time_.advance(settle_);
  for (std::size_t other = 0; other < replicas_.size() && !is_over(); ++other) {
    if (other == at || random.chance(0.05)) continue;
    tell_members(at, other);
    begin_talk(at, other);
    const auto* const conversation = talks_.back().conversation.get();
    for (std::size_t talk = talks_.size() - 1;
         talk < talks_.size() && talks_[talk].conversation.get() == conversation;) {
      if (conversation->under_way() > 0) {
        move_talk(talk, 0, /*lost=*/false);
      } else {
        finish(talk);
      }
    }
  }
  const std::uint64_t closed = is_over() ? 0 : close_due(at);
  if (closed > 0) note(fmt::format("{} closes {} actors", at, closed));
  counts_.closed += closed;
}

std::uint64_t History::close_due(std::size_t at) {
  std::uint64_t closed = 0;
  for (const PartitionId id : replicas_[at]->partitions()) {
    const model::Clock& clock = replicas_[at]->store().live(id).clock();
    const std::vector<ActorId> due =
        memories_[at]->closing.due(id, owners(id), clock, is_unquiet(at, id), time_.now());
    for (const ActorId last : due) close_up_to(at, id, last);
    closed += due.size();
  }
  if (closed > 0) touched_.insert(at);
  return closed;
}

// What no owner has, and nobody is about to get, is gone for good: from now on it counts as seen and
// superseded wherever that is known.
void History::close_up_to(std::size_t at, PartitionId partition, ActorId last) {
  ReachedByKey gone;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (event.partition != partition || event.dot.actor.node() != last.node() ||
        event.dot.actor > last || replicas_[at]->reached(event.key)[i]) {
      continue;
    }
    Reached& of_key = gone[event.key];
    of_key.set(i);
    of_key = all_superseded(of_key);
    const auto complain = [&](std::string_view where) {
      broken(fmt::format("replica {} closes {}, which {} (R8)", at, name_of(event.dot), where));
    };
    const auto holds = [&](const Reached& reached) {
      return events_of(reached)[i] && !superseded(reached, i);
    };
    for (const auto& replica : replicas_) {
      if (holds(replica->reached(event.key))) complain("a replica holds");
    }
    for (const Mail& mail : mail_) {
      const auto reached = mail.reached.find(event.key);
      if (reached != mail.reached.end() && holds(reached->second) && !is_refused(mail)) {
        complain("is under way");
      }
    }
  }
  counts_.closed_gaps += gone.empty() ? 0 : 1;
  went_well(replicas_[at]->close(partition, last, gone), "closing");
}

// The server takes nothing that an actor replicates which has ended, or is closed. Where it repeats
// only what another wrote, no event tells; then the connection has ended with its process.
bool History::is_refused(const Mail& mail) const {
  const storage::Store& store = replicas_[mail.to]->store();
  for (const model::KeyedEntry& entry : mail.entries) {
    const model::Clock& clock = store.live(store.partitioning().of(entry.key)).clock();
    const auto has_ended = [&](ActorId actor) {
      return clock.closed(actor) || memories_[mail.to]->closing.ended(actor);
    };
    for (const model::Dot event : entry.events) {
      if (has_ended(event.actor)) return true;
    }
    if (entry.events.empty() && has_ended(mail.from)) return true;
  }
  return false;
}

bool History::all_closed() const {
  for (std::size_t at = 0; at < replicas_.size(); ++at) {
    for (const PartitionId id : replicas_[at]->partitions()) {
      const model::Clock& clock = replicas_[at]->store().live(id).clock();
      for (const NodeId node : nodes_) {
        const std::uint64_t epoch = members_[at].at(node).epoch;
        if (epoch > 1 && !clock.closed(ActorId::of(node, epoch - 1))) return false;
      }
    }
  }
  return true;
}

}  // namespace grapevine::histories
