// Members of a simulated cluster that come and go while clients write.
//
// Whose machine dies for good (bury, replace) takes its disk with it: an operator removes the node
// some time later. Who leaves has handed over: its disk may be thrown away, or is kept and turns up
// again as an old member's.
#include <algorithm>

#include <fmt/format.h>

#include "tests/simulation/cluster_run.h"

namespace grapevine::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kOwners = 3;  // never fewer members: the owners of every key are so many
constexpr std::size_t kSeeds = 3;
constexpr Duration kLeaveTime = seconds(20);
constexpr Duration kHearTime = seconds(10);  // in which the others hear of a departure

}  // namespace

SimulatedNode* Run::any_spare() {
  std::vector<SimulatedNode*> spare;
  for (const auto& node : nodes_) {
    if (!is_member(*node)) spare.push_back(node.get());
  }
  return spare.empty() ? nullptr : spare[random_.below(spare.size())];
}

void Run::become_member(SimulatedNode& node) {
  std::vector<std::string> seeds;
  for (std::size_t i = 0; i < kSeeds; ++i) {
    seeds.push_back(fmt::format("{}:{}", any_member().host(), SimulatedNode::kPeerPort));
  }
  node.set_seeds(std::move(seeds));
  members_.push_back(&node);
  std::sort(members_.begin(), members_.end(),
            [](const auto* a, const auto* b) { return a->index() < b->index(); });
  records_->owners_change(world_.now());
  node.start();
}

void Run::no_member_any_more(SimulatedNode& node) {
  std::erase(members_, &node);
  std::erase_if(backups_, [&](const Backup& backup) { return backup.node == node.index(); });
  damaged_.erase(node.index());
}

void Run::join() {
  SimulatedNode* const node = any_spare();
  if (node == nullptr) return;
  world_.note(fmt::format("{} joins", node->name()));
  ++counts_.joins;
  become_member(*node);
}

bool Run::any_leaving() {
  std::erase_if(leaving_, [&](const auto& it) {
    const SimulatedNode& node = *nodes_[it.first];
    return !node.running() || node.lives() != it.second.life;
  });
  return !leaving_.empty();
}

void Run::leave() {
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->ready() || members_.size() <= kOwners || any_leaving()) return;
  world_.note(fmt::format("{} is told to leave", node->name()));
  ++counts_.leaves;
  leaving_[node->index()] = {node->lives(), node->node().store().node()};
  records_->owners_change(world_.now());
  node->leave(kLeaveTime, [this, node, life = node->lives()](const absl::Status& status) {
    // Its process may be ending, or another life have begun.
    const bool stays = node->serving() && node->lives() == life &&
                       node->node().cluster().members().self().state == gossip::MemberState::kUp;
    world_.note(fmt::format("{} {}", node->name(), stays ? "does not leave" : "has left"));
    if (!stays && !status.ok()) world_.say(text_of(status));
    if (stays) leaving_.erase(node->index());
  });
}

void Run::on_left(SimulatedNode& node) {
  ++counts_.left;
  const Dead gone{leaving_.at(node.index()).id, node.name()};
  leaving_.erase(node.index());
  no_member_any_more(node);
  records_->owners_change(world_.now());
  if (random_.chance(0.7)) node.scrap();
  world_.after(kHearTime, nullptr, [this, gone, &node] { remove_if_unheard(gone, node); });
}

// Its last words may have been lost: then an operator sees a member that does not answer.
void Run::remove_if_unheard(const Dead& gone, SimulatedNode& node) {
  const bool all_serve = std::all_of(members_.begin(), members_.end(),
                                     [](const auto* member) { return member->serving(); });
  if (!all_serve) {
    world_.after(seconds(1), nullptr, [this, gone, &node] { remove_if_unheard(gone, node); });
    return;
  }
  const auto is_back = [&](const SimulatedNode* member) {
    return member->node().store().node() == gone.id;
  };
  if (std::any_of(members_.begin(), members_.end(), is_back)) return;
  const auto thinks_it_is_up = [&](const SimulatedNode* member) {
    const auto* const record = member->node().cluster().members().find(gone.id);
    return record != nullptr && record->state == gossip::MemberState::kUp;
  };
  if (std::none_of(members_.begin(), members_.end(), thinks_it_is_up)) return;
  ++counts_.unheard;
  dead_.insert(gone.id);
  if (!is_member(node)) node.scrap();
  remove_later(gone, nullptr, seconds(1));
}

std::optional<Run::Dead> Run::die_for_good() {
  if (members_.size() <= kOwners || records_->went_back() || mending_ || reads_fail_ ||
      !dead_.empty() || any_leaving()) {
    return std::nullopt;
  }
  SimulatedNode* const node = any_running();
  if (node == nullptr || !node->serving() || !all_others_serve(*node)) return std::nullopt;
  const Dead dead{node->node().store().node(), node->name()};
  world_.note(fmt::format("{} dies for good", dead.name));
  dead_.insert(dead.id);
  no_member_any_more(*node);
  forgive_what_it_alone_had(*node);
  records_->disk_was_damaged(world_.now());
  node->lose_power();
  node->scrap();
  return dead;
}

void Run::bury() {
  const auto dead = die_for_good();
  if (!dead.has_value()) return;
  ++counts_.removals;
  remove_later(*dead, nullptr, draw(random_, milliseconds(100), seconds(20)));
}

void Run::replace() {
  SimulatedNode* const successor = any_spare();
  if (successor == nullptr) return;
  const auto dead = die_for_good();
  if (!dead.has_value()) return;
  ++counts_.replacements;
  world_.after(draw(random_, milliseconds(100), seconds(10)), nullptr,
               [this, dead = *dead, successor] {
                 if (!is_member(*successor)) become_member(*successor);
                 remove_later(dead, successor, seconds(1));
               });
}

// An operator tells a node that serves, the successor if there is one, again and again until it has
// done so.
void Run::remove_later(const Dead& dead, SimulatedNode* successor, Duration pause) {
  world_.after(pause, nullptr, [this, dead, successor] {
    if (!dead_.contains(dead.id)) return;
    remove_later(dead, successor, seconds(1));
    const bool succeeds = successor != nullptr && is_member(*successor);
    SimulatedNode* const by = succeeds ? successor : any_running();
    if (by == nullptr || !by->ready()) return;
    records_->owners_change(world_.now());
    by->as_the_process([this, dead, succeeds, by](server::Node& node) {
      const absl::Status removed =
          succeeds ? node.cluster().replace(dead.id) : node.cluster().remove(dead.id);
      world_.note(fmt::format("{} is told that {} is gone for good: {}", by->name(), dead.name,
                              std::string(text_of(removed))));
      if (removed.ok()) dead_.erase(dead.id);
    });
  });
}

// Empty: every member is ready and takes exactly the members for that.
std::string Run::not_acquainted_because() const {
  for (const SimulatedNode* const node : members_) {
    if (!node->ready()) return fmt::format("{} is not ready", node->name());
  }
  if (!dead_.empty()) return "a node that is gone for good was not removed";
  for (const SimulatedNode* const node : members_) {
    const gossip::MemberList& known = node->node().cluster().members();
    std::size_t up = 0;
    std::string names;
    for (const gossip::MemberRecord& record : known.all()) {
      if (record.state != gossip::MemberState::kUp) continue;
      ++up;
      names += fmt::format(" {} ({})", record.name, to_string(record.id));
    }
    for (const SimulatedNode* const other : members_) {
      const auto* const record = known.find(other->node().store().node());
      if (record == nullptr || record->state != gossip::MemberState::kUp) {
        return fmt::format("{} does not know {}", node->name(), other->name());
      }
    }
    if (up != members_.size()) return fmt::format("{} knows{}", node->name(), names);
  }
  return {};
}

// Empty: the owners have all that others hold.
std::string Run::not_handed_over_because() const {
  for (const SimulatedNode* const node : members_) {
    for (std::uint32_t i = 0; i < config_.partitions; ++i) {
      const PartitionId partition{i};
      if (owns(*node, *node, partition)) continue;
      const model::Clock& clock = live(*node, partition).clock();
      for (const SimulatedNode* const owner : members_) {
        if (!owns(*node, *owner, partition)) continue;
        if (live(*owner, partition).clock().covers(clock)) continue;
        return fmt::format("{}, which owned partition {} once, knows what {} lacks: {} and {}",
                           node->name(), i, owner->name(), model::to_string(clock),
                           model::to_string(live(*owner, partition).clock()));
      }
    }
  }
  return {};
}

}  // namespace grapevine::simulation
