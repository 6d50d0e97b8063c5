// What must always hold, and what in the end.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <xxhash.h>

#include "tests/histories/history.h"

namespace grapevine::histories {
namespace {

constexpr std::size_t kHealRoundsMax = 12;

}  // namespace

// ---- what must always hold ----

void History::check(std::size_t at, bool trees) {
  if (is_over()) return;
  if (!replicas_[at]->fatal().empty()) {
    return broken(fmt::format("replica {}: {}", at, text_of(replicas_[at]->fatal().front())));
  }
  for (const std::string& key : keys_) check_key(at, key);
  for (std::size_t other = 0; other < replicas_.size(); ++other) {
    if (other != at) check_pair(at, other);
  }
  if (trees) {
    const auto result = storage::trees_are_true(replicas_[at]->store());
    if (!result) broken(fmt::format("replica {}: {}", at, result.message()));
  }
}

void History::check_key(std::size_t at, const std::string& key) {
  const storage::Store& store = replicas_[at]->store();
  const PartitionId partition = store.partitioning().of(key);
  const model::Clock& clock = store.live(partition).clock();
  const Reached reached = replicas_[at]->reached(key);
  const auto entry = store.load(key, model::Values::kWith);
  if (!entry.ok()) return broken(fmt::format("replica {}: {}", at, text_of(entry.status())));
  std::size_t live = 0;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (event.key != key) continue;
    const bool maximal = reached[i] && !superseded(reached, i) && event.value.has_value();
    const model::Version* const version = entry->find(event.dot);
    live += version != nullptr ? 1 : 0;
    const auto says = [&](const char* what) {
      broken(fmt::format("replica {}, key {}, write {} {}", at, key, name_of(event.dot), what));
    };
    if (maximal && version == nullptr) says("is lost (I1)");
    if (!maximal && version != nullptr) says("came back (I1)");
    if (version != nullptr && version->value != event.value) says("has another value (I1)");
    const bool claimed = entry->vector.covers(event.dot) || clock.contains(event.dot);
    if (!reached[i] && claimed) says("is claimed and never came (I2)");
    if (reached[i] && !entry->vector.covers(event.dot)) says("came and is forgotten (I1)");
  }
  if (live != entry->versions.size()) {
    broken(fmt::format("replica {}, key {}: a version that nobody wrote (I1)", at, key));
  }
  const std::uint64_t state = clock.hash() ^ live;
  trace_hash_ = XXH3_64bits_withSeed(&state, sizeof state, trace_hash_);
}

void History::check_pair(std::size_t at, std::size_t other) {
  for (const PartitionId id : replicas_[at]->partitions()) {
    const storage::View& mine = replicas_[at]->store().live(id);
    const storage::View& theirs = replicas_[other]->store().live(id);
    const bool certified = mine.tree().root().unquiet == 0 && theirs.tree().root().unquiet == 0 &&
                           mine.clock() == theirs.clock();
    if (certified && mine.tree().root().sum != theirs.tree().root().sum) {
      differ(id, fmt::format("replicas {} and {}: equal clocks, other versions (I3)", at, other));
    }
  }
}

// After damage this may be for a while: until an exchange settles it.
void History::differ(PartitionId partition, std::string what) {
  if (!knowledge_lost_.contains(partition)) broken(std::move(what));
}

// ---- the end ----

void History::heal() {
  Random random(plan_.seed);
  while (!talks_.empty() && !is_over()) move_exchanges(random);
  bool whole = false;
  for (std::size_t round = 0; round < kHealRoundsMax && !whole && !is_over(); ++round) {
    whole = true;
    for (std::size_t a = 0; a < replicas_.size(); ++a) {
      for (std::size_t b = 0; b < replicas_.size() && !is_over(); ++b) {
        if (a == b) continue;
        time_.advance(std::chrono::seconds(1));
        tell_members(a, b);
        whole = push_pull(a, b) && whole;
        keep_record(a);
        keep_record(b);
        check(a, false);
        check(b, false);
      }
    }
    for (std::size_t at = 0; at < replicas_.size() && !is_over(); ++at) {
      whole = close_due(at) == 0 && whole;
      went_well(replicas_[at]->upkeep_all(), "upkeep");
    }
    whole = whole && all_closed();
  }
  if (is_over()) return;
  if (!whole) broken("not all pairs are proven equal in the end, or not all is closed");
  for (const auto& replica : replicas_) {
    if (replica->store().any_suspect()) broken("a partition is suspect in the end (R9)");
  }
  if (!broken_.has_value()) check_end();
}

// Whether it proves them equal.
bool History::push_pull(std::size_t a, std::size_t b) {
  begin_talk(a, b);
  while (!talks_.empty() && !is_over()) {
    if (talks_.front().conversation->under_way() > 0) {
      move_talk(0, 0, /*lost=*/false);
    } else {
      finish(0);
    }
  }
  went_well(last_report_.status, "an exchange in the end");
  return last_report_.proven_equal;
}

void History::check_end() {
  using Contents = std::vector<std::pair<std::string, model::Entry>>;
  std::vector<Contents> contents;
  for (std::size_t at = 0; at < replicas_.size(); ++at) {
    Contents& mine = contents.emplace_back();
    const storage::Store& store = replicas_[at]->store();
    for (const PartitionId id : replicas_[at]->partitions()) {
      const storage::View& view = store.live(id);
      went_well(view.scan(view.range(), std::nullopt, model::Values::kWith,
                          [&](std::string_view key, model::Entry entry) {
                            mine.emplace_back(key, std::move(entry));
                            return true;
                          }),
                "scanning");
      if (view.tree().root().unquiet > 0) broken("an entry is not quiet in the end (I4)");
      if (view.clock() != replicas_.front()->store().live(id).clock()) {
        broken("clocks are not the same in the end");
      }
    }
    for (const auto& [key, entry] : mine) {
      if (entry.versions.empty()) broken("an entry without live versions is left (I4)");
    }
    if (mine != contents.front()) broken("contents are not the same in the end");
    const auto trees = storage::trees_are_true(store);
    if (!trees) broken(fmt::format("replica {}: {}", at, trees.message()));
  }
}
}  // namespace grapevine::histories
