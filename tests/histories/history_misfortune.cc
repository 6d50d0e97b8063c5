// What befalls nodes, and how they start again.
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "tests/histories/history.h"

namespace grapevine::histories {

// ---- misfortune ----

// The process ends, and with it its exchanges.
void History::break_off(std::size_t at) {
  touched_.insert(at);
  for (std::size_t i = talks_.size(); i > 0; --i) {
    gossip::Conversation& conversation = *talks_[i - 1].conversation;
    if (&conversation.responder() == replicas_[at].get()) {
      conversation.break_off();
      touched_.insert(index_of(conversation.initiator()));
      finish(i - 1);
    } else if (&conversation.initiator() == replicas_[at].get()) {
      talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
  }
}

// Starts as a node does (R7): not before a peer was asked for dots of its actor that it has
// forgotten. A directory that comes from elsewhere draws its epoch; that the draw is not above all
// epochs that the node had before is a chance that a node takes, and histories do not.
void History::open(std::size_t at) {
  StoredReplica& replica = *replicas_[at];
  const absl::Status opened = replica.open();
  if (!opened.ok())
    return broken(fmt::format("replica {} does not start: {}", at, text_of(opened)));
  started(at);
}

void History::started(std::size_t at) {
  StoredReplica& replica = *replicas_[at];
  storage::Store& store = replica.store();
  suspect_[at].clear();
  for (const PartitionId id : replica.partitions()) {
    if (store.suspect(id)) suspect_[at].insert(id);
  }
  bool forgot = false;
  const auto is_old = [&] {
    return *std::prev(actors_.upper_bound(ActorId::of(store.node(), ActorId::kEpochMax))) >=
           store.actor();
  };
  const bool first = actors_.lower_bound(ActorId::of(store.node(), 0)) ==
                     actors_.upper_bound(ActorId::of(store.node(), ActorId::kEpochMax));
  if (store.kept_actor()) {
    const std::size_t peer = (at + 1) % replicas_.size();
    const std::vector<std::uint64_t> mine = store.tops(store.actor());
    const std::vector<std::uint64_t> theirs = replicas_[peer]->store().tops(store.actor());
    for (std::size_t i = 0; i < mine.size(); ++i) forgot = forgot || theirs[i] > mine[i];
  } else {
    if (store.from_elsewhere()) jumped_.insert(at);
    forgot = !first && is_old();
    if (forgot && !jumped_.contains(at)) {
      broken(fmt::format("replica {} becomes an actor that it was before (R7)", at));
    }
  }
  while (forgot && went_well(store.renew_actor(), "renewing the actor")) forgot = is_old();
  begin_life(at);
}

void History::stop(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  const bool power_lost = random.chance(0.3);
  note(fmt::format("{} is stopped{} and started", at, power_lost ? ", loses power" : ""));
  ++counts_.stops;
  went_well(replicas_[at]->stop(), "stopping");
  if (power_lost && !replicas_[at]->lose_power(random)) broken("a stopped store lost something");
  open(at);
}

void History::kill(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  note(fmt::format("{} is killed and started", at));
  ++counts_.kills;
  replicas_[at]->kill();
  open(at);
}

void History::lose_power(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  note(fmt::format("{} loses power and is started", at));
  ++counts_.power_losses;
  const std::vector<PartitionId> partitions = replicas_[at]->partitions();
  std::map<PartitionId, ReachedByKey> before;
  for (const PartitionId id : partitions) before[id] = replicas_[at]->reached(id);
  if (!replicas_[at]->lose_power(random)) {
    broken(fmt::format("replica {} lost a write that it had called durable", at));
  }
  open(at);
  if (broken_.has_value()) return;
  for (const PartitionId id : partitions) {
    if (before[id] == replicas_[at]->reached(id)) continue;
    ++counts_.fallen_back;
    break;
  }
}

void History::back_up(Random& random) {
  const std::size_t at = any_replica(random);
  note(fmt::format("{} is backed up", at));
  backups_[at].push_back(random.chance(0.5) ? replicas_[at]->back_up()
                                            : replicas_[at]->copy_while_running(random));
}

void History::restore(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  ++counts_.restores;
  if (backups_[at].empty() || random.chance(0.3)) {
    note(fmt::format("{} is copied while it runs, and started from the copy", at));
    replicas_[at]->restore(replicas_[at]->copy_while_running(random));
  } else {
    const std::size_t which = random.below(backups_[at].size());
    note(fmt::format("{} is restored from its backup {}", at, which));
    replicas_[at]->restore(backups_[at][which]);
  }
  open(at);
}

// Something is done while reads of the disk go wrong.
void History::read_badly(Random& random) {
  const std::size_t at = any_replica(random);
  const bool flips = random.chance(0.5);
  note(fmt::format("reads of {} {}", at, flips ? "bring other bytes" : "fail"));
  const std::uint64_t before = disk_.bad_reads();
  disk_.fail_reads(fmt::format("/replica{}", at), random.below(3),
                   flips ? LossyDisk::BadRead::kFlippedBit : LossyDisk::BadRead::kError);
  reads_go_bad_ = true;
  const double what = random.unit();
  if (what < 0.4) {
    write_at(at, random);
  } else if (what < 0.6) {
    deliver(random);
  } else if (what < 0.7) {
    upkeep_at(at, random);
  } else {
    move_exchanges(random);
  }
  reads_go_bad_ = false;
  disk_.heal_reads();
  counts_.bad_reads += disk_.bad_reads() - before;
  touched_.insert(at);
  // Bytes that came back wrong end the process sooner or later; the disk has the right ones.
  if (flips && disk_.bad_reads() > before) {
    break_off(at);
    replicas_[at]->kill();
    open(at);
    if (!broken_.has_value() && !replicas_[at]->store().findings().empty()) {
      broken("damage is found where nothing is damaged");
    }
  }
}
}  // namespace grapevine::histories
