// Damage that stays, and what may be claimed after it (R9).
#include <fmt/format.h>

#include "tests/histories/history.h"

namespace grapevine::histories {

// A node goes down, and what its disk holds then is not what was written.
void History::damage(Random& random) {
  const std::size_t at = any_replica(random);
  break_off(at);
  StoredReplica& replica = *replicas_[at];
  const bool stopped = random.chance(0.5);
  if (stopped) {
    went_well(replica.stop(), "stopping");
  } else {
    replica.kill();
  }
  const std::string done = replica.damage(random);
  note(fmt::format("{} is {}, {}", at, stopped ? "stopped" : "killed",
                   done.empty() ? "and is started" : done));
  if (done.empty()) return open(at);
  ++counts_.damages;
  open_damaged(at);
}

// As an operator does it: what is refused is salvaged; where even that is refused, the node begins
// anew. What is not noticed while it opens the scrub finds, the process ends, and opens once more.
void History::open_damaged(std::size_t at) {
  StoredReplica& replica = *replicas_[at];
  const auto node = nodes_[at];
  const auto open_somehow = [&](bool& salvaged) {
    absl::Status opened = replica.open();
    if (!absl::IsDataLoss(opened)) return opened;
    ++counts_.salvages;
    salvaged = true;
    opened = replica.open(/*salvage=*/true);
    if (!absl::IsDataLoss(opened)) return opened;
    replica.refill();
    return replica.open();
  };
  bool noticed = false;
  for (bool again = true; again;) {
    bool salvaged = false;
    const absl::Status opened = open_somehow(salvaged);
    if (!opened.ok()) {
      return broken(fmt::format("replica {} does not start: {}", at, text_of(opened)));
    }
    const bool same_node = replica.store().node() == node;
    counts_.refills += same_node ? 0 : 1;
    const bool found = salvaged || !same_node || !replica.store().findings().empty();
    counts_.damages_found += found ? 1 : 0;
    note(fmt::format("{} starts{}{}", at,
                     !found     ? ""
                     : salvaged ? " from what could be salvaged"
                                : " from what can be read",
                     same_node ? "" : ", as another node"));
    if (found) take_stock(at, same_node, salvaged);
    if (broken_.has_value()) return;
    started(at);
    again = !replica.scrub_all();
    if (again) replica.kill();
    noticed |= found || again;
  }
  // In what nobody reads any more (metadata that was replaced): a compaction would meet it some day,
  // and the process would end at whatever it does then.
  if (!noticed && replica.turn_back()) open(at);
}

Reached History::live_of(const std::string& key, const Reached& reached) const {
  Reached live;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    live[i] = event.key == key && event.value.has_value() && reached[i] && !superseded(reached, i);
  }
  return live;
}

// From what is stored now follows what may be claimed from now on.
void History::take_stock(std::size_t at, bool same_node, bool salvaged) {
  StoredReplica& replica = *replicas_[at];
  const storage::Store& store = replica.store();
  ReachedByKey left;
  for (const PartitionId id : replica.partitions()) {
    const storage::View& view = store.live(id);
    const bool was_suspect = suspect_[at].contains(id);
    std::map<std::string, model::Entry> stored;
    went_well(
        view.scan_stored(view.range(), std::nullopt, model::Values::kWithout, storage::Reach::kDisk,
                         [&](std::string_view key, model::Entry entry) {
                           stored.emplace(key, std::move(entry));
                           return true;
                         }),
        "scanning");
    for (const std::string& key : keys_) {
      if (store.partitioning().of(key) != id) continue;
      const Reached before = replica.reached(key);
      ever_reached_[at][key] |= before;
      if (store.suspect(id) && !was_suspect) {
        // Entries may be missing, or older ones have come back: what is there speaks for itself.
        left[key] = left_of(at, key, stored[key], nullptr);
      } else if (store.suspect(id) || salvaged || !same_node) {
        left[key] = left_of(at, key, stored[key], &view.clock());
      } else {
        left[key] = before;  // it is said to be whole
      }
      const Reached lost = live_of(key, before) & ~live_of(key, left[key]);
      counts_.entries_lost += lost.count();
      if (left[key] != before) knowledge_lost_.insert(id);
      if (lost.any() && same_node && !store.suspect(id)) {
        broken(fmt::format("replica {}, key {}: versions are lost, and it is not suspect (R9)", at,
                           key));
      }
    }
  }
  replica.left_with(std::move(left));
}

// What the stored entry says by itself, and the clock, if it is to be believed: nothing that had not
// reached the replica before, and nothing of what was lost but that it had been superseded.
Reached History::left_of(std::size_t at, const std::string& key, const model::Entry& stored,
                         const model::Clock* clock) {
  const Reached& before = ever_reached_[at][key];
  model::VersionVector says = stored.vector;
  for (const model::Version& version : stored.versions) says.raise(version.dot);
  Reached left;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    const bool claimed = says.covers(event.dot) || (clock != nullptr && clock->contains(event.dot));
    if (event.key != key || !claimed) continue;
    const auto says_too_much = [&](const char* what) {
      broken(fmt::format("replica {}, key {}: after the damage write {} {}", at, key,
                         name_of(event.dot), what));
    };
    if (!before[i]) says_too_much("is claimed and never came (I2)");
    left.set(i);
    if (stored.find(event.dot) != nullptr) continue;
    if (event.value.has_value() && !superseded(before, i)) {
      says_too_much("is lost, and claimed to be superseded (R9)");
    }
    left[gossip::kEventsMax + i] = superseded(before, i);
  }
  return left;
}

}  // namespace grapevine::histories
