#include "gossip/roster.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "gossip/member_codec.h"
#include "storage/model/bytes.h"

namespace grapevine::gossip {
namespace {

bool is_up(Belief belief) {
  return belief == Belief::kUp || belief == Belief::kSuspect;
}

void insert_sorted(std::vector<NodeId>& nodes, NodeId node) {
  const auto at = std::lower_bound(nodes.begin(), nodes.end(), node);
  if (at == nodes.end() || *at != node) nodes.insert(at, node);
}

void erase_sorted(std::vector<NodeId>& nodes, NodeId node) {
  const auto at = std::lower_bound(nodes.begin(), nodes.end(), node);
  if (at != nodes.end() && *at == node) nodes.erase(at);
}

}  // namespace

Roster::Roster(MemberRecord self, const std::vector<MemberRecord>& known,
               const SwimOptions& options, Instant now)
    : options_(options), members_(std::move(self)) {
  for (const MemberRecord& record : known) {
    if (!take(record, now) || record.id == members_.self().id) continue;
    standings_[record.id] = {Belief::kUnknown, record.incarnation, now};
    place(record.id);
  }
  news_.spread.clear();
}

// ---- what is heard ----

bool Roster::take(const MemberRecord& record, Instant now) {
  const bool own = record.id == self().id && record.state != MemberState::kRemoved;
  const bool later_life = own && possible(record) && record.epoch > self().epoch;
  const bool refutes = own && record.incarnation >= self().incarnation && record != self();
  if (later_life) news_.later_epoch = std::max(news_.later_epoch, record.epoch);
  if ((later_life || refutes) && record.peer_address != self().peer_address) {
    news_.elsewhere.push_back(record.peer_address);
  }
  if (refutes && !may_refute(now)) return false;
  if (members_.merge({record}).empty()) return false;
  news_.changed.push_back(record.id);
  if (record.id == self().id) {
    if (self().state != MemberState::kRemoved) ++news_.refutations;
    spread(self());
    return true;
  }
  spread(*members_.find(record.id));
  return true;
}

void Roster::hear(const MemberRecord& record, Instant now) {
  const bool changed = take(record, now);
  const NodeId node = record.id;
  if (node == self().id || members_.find(node) == nullptr) return;
  if (is_member(node)) {
    if (record.state == MemberState::kUp) lives(node, record.incarnation, now);
  } else if (changed) {
    believe(node, Belief::kDown, record.incarnation, now);
    gone_[node] = now;
  }
}

void Roster::lives(NodeId node, std::uint64_t incarnation, Instant now) {
  const auto known = standings_.find(node);
  if (known != standings_.end()) {
    const Standing& standing = known->second;
    if (std::pair(incarnation, Belief::kUp) <= std::pair(standing.incarnation, standing.belief)) {
      return;
    }
    // After all nodes have been restarted at once each has to hear of each: this is news to others.
    if (standing.belief == Belief::kUnknown) spread(*members_.find(node));
  }
  believe(node, Belief::kUp, incarnation, now);
}

void Roster::hear(const Suspect& suspect, Instant now) {
  if (suspect.node == self().id) return accused(suspect.incarnation, now);
  if (!is_member(suspect.node)) return contradict(suspect.node);
  const Standing standing = standings_.at(suspect.node);
  if (standing.belief == Belief::kUnknown || suspect.incarnation < standing.incarnation) return;
  if (suspect.incarnation == standing.incarnation) {
    if (standing.belief == Belief::kDown) return;
    if (standing.belief == Belief::kSuspect) {
      if (suspicions_.at(suspect.node).confirm(suspect.by)) spread(suspect);
      return;
    }
  }
  believe(suspect.node, Belief::kSuspect, suspect.incarnation, now);
  suspicions_.emplace(suspect.node, Suspicion(suspect.by, terms(), now));
  spread(suspect);
}

void Roster::hear(const Down& down, Instant now) {
  if (down.node == self().id) return accused(down.incarnation, now);
  if (!is_member(down.node)) return contradict(down.node);
  const Standing standing = standings_.at(down.node);
  if (std::pair(down.incarnation, Belief::kDown) <=
      std::pair(standing.incarnation, standing.belief)) {
    return;
  }
  believe(down.node, Belief::kDown, down.incarnation, now);
  gone_[down.node] = now;
  spread(down);
}

void Roster::hear(const std::vector<MemberView>& views, NodeId by, Instant now) {
  joining_ = reachable_.empty();
  for (const MemberView& view : views) hear(view, by, now);
  joining_ = false;
}

void Roster::hear(const MemberView& view, NodeId by, Instant now) {
  const NodeId node = view.record.id;
  if (!possible(view.record)) return;
  const auto known = standings_.find(node);
  const bool was_up = known != standings_.end() && is_up(known->second.belief);
  const bool fresh = known == standings_.end();
  if (node != self().id && view.record.state == MemberState::kUp && !is_up(view.belief) &&
      !was_up) {
    // Neither here nor there: nothing to refute, and no reason to take it for up.
    take(view.record, now);
    if (!is_member(node)) return;
    Standing& standing = standings_[node];
    const std::pair theirs(view.incarnation, view.belief);
    if (fresh || theirs > std::pair(standing.incarnation, standing.belief)) {
      std::tie(standing.incarnation, standing.belief) = theirs;
    }
    if (fresh) standing.since = now;
    place(node);
    return;
  }
  hear(view.record, now);
  if (node == self().id) {
    if (view.belief >= Belief::kSuspect) accused(view.incarnation, now);
    return;
  }
  if (!is_member(node) || view.record.state != MemberState::kUp) return;
  if (is_up(view.belief)) lives(node, view.incarnation, now);
  if (view.belief >= Belief::kSuspect) hear(Suspect{node, view.incarnation, by}, now);
}

void Roster::heard_from(NodeId node, Instant now) {
  if (belief(node) == Belief::kUnknown && is_member(node)) {
    lives(node, standings_.at(node).incarnation, now);
  }
}

void Roster::missed(NodeId node, Instant now) {
  const auto known = standings_.find(node);
  if (known != standings_.end()) hear(Suspect{node, known->second.incarnation, self().id}, now);
}

void Roster::refused(NodeId node, Instant now) {
  missed(node, now);
  const auto suspicion = suspicions_.find(node);
  if (suspicion != suspicions_.end()) suspicion->second.hasten(now + options_.refused_time);
}

void Roster::accused(std::uint64_t incarnation, Instant now) {
  if (self().state != MemberState::kUp) return;
  if (incarnation >= self().incarnation) {
    if (!may_refute(now)) return;
    members_.outdo(incarnation);
    news_.changed.push_back(self().id);
    ++news_.refutations;
  }
  // An old accusation: whoever repeats it has not heard the refutation yet.
  spread(self());
}

bool Roster::may_refute(Instant now) {
  const auto earned = (now - refutations_at_) / kRefutationInterval;
  if (earned > 0) {
    refutations_left_ = static_cast<std::uint32_t>(
        std::min<std::int64_t>(kRefutationsMax, refutations_left_ + earned));
    refutations_at_ = now;
  }
  if (refutations_left_ == 0) return false;
  --refutations_left_;
  return true;
}

void Roster::contradict(NodeId node) {
  // Whoever still accuses it has not heard that it has left or was removed.
  if (const MemberRecord* const record = members_.find(node)) spread(*record);
}

void Roster::tick(Instant now) {
  std::vector<Down> down;
  for (const auto& [node, suspicion] : suspicions_) {
    if (suspicion.ends() <= now) down.push_back({node, standings_.at(node).incarnation, self().id});
  }
  for (const Down& verdict : down) hear(verdict, now);
  std::erase_if(gone_,
                [&](const auto& gone) { return now - gone.second >= options_.gossip_to_gone; });
}

void Roster::stalled(Duration by) {
  for (auto& [node, suspicion] : suspicions_) suspicion.postpone(by);
}

Instant Roster::next_deadline() const {
  Instant next{Duration::max()};
  for (const auto& [node, suspicion] : suspicions_) next = std::min(next, suspicion.ends());
  return next;
}

// ---- beliefs ----

void Roster::believe(NodeId node, Belief belief, std::uint64_t incarnation, Instant now) {
  Standing& standing = standings_[node];
  const bool was_up = is_up(standing.belief);
  if (was_up != is_up(belief)) {
    standing.since = now;
    (was_up ? news_.went_down : news_.came_up).push_back(node);
    if (!was_up) gone_.erase(node);
  }
  standing.belief = belief;
  standing.incarnation = incarnation;
  suspicions_.erase(node);
  place(node);
}

void Roster::place(NodeId node) {
  const bool answers = is_up(standings_.at(node).belief);
  const bool member = is_member(node);
  (member && answers ? insert_sorted : erase_sorted)(reachable_, node);
  (member && !answers ? insert_sorted : erase_sorted)(unreachable_, node);
}

Suspicion::Terms Roster::terms() const {
  // Whoever is up, but for the suspect and its first accuser, could confirm.
  const std::size_t others = reachable_.empty() ? 0 : reachable_.size() - 1;
  return {others < options_.confirmations ? 0 : options_.confirmations, options_.suspicion_min(n()),
          options_.suspicion_max(n())};
}

void Roster::spread(const Message& update) {
  const auto* const record = std::get_if<MemberRecord>(&update);
  const bool own = record != nullptr && record->id == self().id;
  if (own || !joining_) news_.spread.push_back(update);
}

// ---- what is done ----

void Roster::change_self(const MemberRecord& record) {
  if (self().state == MemberState::kRemoved) return;
  members_.change_self(record);
  news_.changed.push_back(self().id);
  spread(self());
}

bool Roster::remove(NodeId node, Instant now) {
  const MemberRecord* const known = members_.find(node);
  if (known == nullptr) return false;
  MemberRecord removed = *known;
  removed.state = MemberState::kRemoved;
  hear(removed, now);
  return true;
}

Roster::News Roster::take_news() {
  return std::exchange(news_, {});
}

// ---- what is known ----

bool Roster::is_member(NodeId node) const {
  const MemberRecord* const record = members_.find(node);
  return record != nullptr && record->state == MemberState::kUp;
}

std::size_t Roster::n() const {
  return (is_member(self().id) ? 1U : 0U) + reachable_.size() + unreachable_.size();
}

bool Roster::up(NodeId node) const {
  return node == self().id || (is_member(node) && is_up(belief(node)));
}

Belief Roster::belief(NodeId node) const {
  if (node == self().id) return Belief::kUp;
  const auto known = standings_.find(node);
  return known == standings_.end() ? Belief::kUnknown : known->second.belief;
}

Duration Roster::since(NodeId node, Instant now) const {
  const auto known = standings_.find(node);
  return known == standings_.end() ? Duration{0} : now - known->second.since;
}

std::vector<NodeId> Roster::gone_lately(Instant now) const {
  std::vector<NodeId> nodes;
  for (const auto& [node, since] : gone_) {
    if (now - since < options_.gossip_to_gone) nodes.push_back(node);
  }
  return nodes;
}

std::optional<Message> Roster::news_for(NodeId node) const {
  const MemberRecord* const record = members_.find(node);
  if (record == nullptr || node == self().id) return std::nullopt;
  if (record->state == MemberState::kRemoved) return *record;
  const Standing& standing = standings_.at(node);
  if (record->state == MemberState::kLeft) return std::nullopt;
  if (standing.belief == Belief::kSuspect) return Suspect{node, standing.incarnation, self().id};
  if (standing.belief == Belief::kDown) return Down{node, standing.incarnation, self().id};
  return std::nullopt;
}

MemberView Roster::view_of(const MemberRecord& record) const {
  if (record.id == self().id) return {record, Belief::kUp, record.incarnation};
  if (record.state != MemberState::kUp) return {record, Belief::kDown, record.incarnation};
  const Standing& standing = standings_.at(record.id);
  return {record, standing.belief, standing.incarnation};
}

std::vector<MemberView> Roster::views() const {
  return lacking({});
}

std::vector<MemberView> Roster::lacking(const std::vector<MemberView>& there) const {
  std::map<NodeId, const MemberView*> known;
  for (const MemberView& view : there) known.emplace(view.record.id, &view);
  std::vector<MemberView> lacking;
  for (const auto& [id, record] : members_.records()) {
    MemberView mine = view_of(record);
    const auto theirs = known.find(id);
    if (theirs == known.end() || *theirs->second != mine) lacking.push_back(std::move(mine));
  }
  return lacking;
}

std::uint64_t Roster::hash() const {
  std::string bytes;
  for (const auto& [id, record] : members_.records()) {
    const MemberView view = view_of(record);
    model::put_fixed64(bytes, id.value);
    model::put_varint(bytes, record.incarnation);
    model::put_varint(bytes, record.epoch);
    model::put_varint(bytes, view.incarnation);
    bytes.push_back(static_cast<char>(record.state));
    bytes.push_back(static_cast<char>(view.belief));
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace grapevine::gossip
