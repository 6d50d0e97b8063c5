#include "gossip/sketch_pull.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "gossip/states_codec.h"

namespace grapevine::gossip {

SketchPull::SketchPull(Replica& replica, const std::vector<PartitionState>& theirs,
                       std::uint64_t slots)
    : replica_(replica), cells_(model::cells_for(slots)) {
  for (const PartitionState& state : theirs) {
    Part& part = parts_.emplace_back();
    part.theirs = state;
    part.now = state.clock;
  }
  ask();
}

void SketchPull::ask() {
  SketchRequest request;
  request.partitions = partitions();
  request.states_hash = hash_states(theirs());
  request.cells = model::first_cells(sketches_of(replica_, request.partitions), cells_);
  remember_own();
  send(std::move(request));
}

void SketchPull::on_decoded(SketchReply reply) {
  note_changes();
  if (!update_states(reply) || !merge(reply)) return;
  decoded_ = true;
  if (reply.left.empty()) return adopt();
  SketchRequest request;
  request.partitions = partitions();
  request.states_hash = hash_states(theirs());
  request.slots = std::move(reply.left);
  send(std::move(request));
}

void SketchPull::remember_own() {
  for (Part& part : parts_) {
    const PartitionView& live = replica_.live(part.theirs.partition);
    part.clock = live.clock();
    part.root = live.share(live.range())->sum.low;
  }
}

// Where something else has changed this replica, the digests do not show any more whether all was
// found.
void SketchPull::note_changes() {
  for (Part& part : parts_) {
    const PartitionView& live = replica_.live(part.theirs.partition);
    if (live.share(live.range())->sum.low != part.root || live.clock() != part.clock) {
      part.adoptable = false;
    }
  }
}

// False when the pull has ended.
bool SketchPull::update_states(SketchReply& reply) {
  const auto same = [](const Part& part, const PartitionState& state) {
    return part.theirs.partition == state.partition;
  };
  if (!reply.states.empty() &&
      !std::equal(parts_.begin(), parts_.end(), reply.states.begin(), reply.states.end(), same)) {
    finish(absl::InvalidArgumentError("a peer told of other partitions than were asked for"));
    return false;
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[i];
    const PartitionState& now = reply.states.empty() ? part.theirs : reply.states[i];
    part.now = now.clock;
    if (decoded_) {
      // The slots are of a later state than the one that was compared.
      if (now.clock != part.theirs.clock || !now.has_root_of(part.theirs)) part.adoptable = false;
      continue;
    }
    if (!reply.states.empty()) part.theirs = now;
    part.difference = part.theirs.root.sum.low - part.root;
  }
  return true;
}

// Merges what the peer holds in the slots, and what it does not. False when the pull has ended.
bool SketchPull::merge(SketchReply& reply) {
  std::map<model::Slot, std::vector<const KeyedEntry*>> slots;
  for (const model::Slot slot : reply.absent) slots[slot];
  for (const KeyedEntry& keyed : reply.entries) {
    slots[model::slot_of(model::token_of(keyed.key))].push_back(&keyed);
  }
  std::vector<KeyedEntry> gone;
  absl::Status status;
  for (const auto& [slot, theirs] : slots) {
    if (status.ok()) status = add_slot(slot, theirs, gone);
  }
  for (const model::Slot slot : reply.crowded) {
    Part* const part = part_of(model::tokens_of(slot).first);
    if (part != nullptr) part->crowded = true;
  }
  std::map<PartitionId, std::vector<KeyedEntry>> by_partition;
  for (std::vector<KeyedEntry>* const some : {&reply.entries, &gone}) {
    for (KeyedEntry& keyed : *some) {
      if (!status.ok()) break;
      ++outcome_.keys_pulled;
      outcome_.bytes_pulled += wire_bytes(keyed);
      const Part& part = *part_of(model::token_of(keyed.key));
      by_partition[part.theirs.partition].push_back(std::move(keyed));
    }
  }
  for (auto& [partition, entries] : by_partition) {
    if (status.ok()) status = replica_.merge(partition, std::move(entries));
  }
  if (!status.ok()) {
    finish(std::move(status));
    return false;
  }
  remember_own();
  return true;
}

// What a slot accounts for; and the keys here that the peer does not hold: its entry is empty, and
// knows what its clock implies.
absl::Status SketchPull::add_slot(model::Slot slot, const std::vector<const KeyedEntry*>& theirs,
                                  std::vector<KeyedEntry>& gone) {
  const model::TokenRange tokens = model::tokens_of(slot);
  Part* const part = part_of(tokens.first);
  if (part == nullptr) {
    return absl::InvalidArgumentError("a peer answered slots of other partitions");
  }
  GRAPEVINE_ASSIGN_OR_RETURN(
      const auto mine,
      replica_.live(part->theirs.partition).items(tokens, kSlotKeysMax + 1, std::nullopt));
  if (mine.size() > kSlotKeysMax) {
    part->crowded = true;
    return absl::OkStatus();
  }
  for (const KeyedEntry* const keyed : theirs) {
    part->difference -= replica_.digest(keyed->key, keyed->entry);
  }
  for (const Item& item : mine) {
    part->difference += item.digest;
    const bool held = std::any_of(theirs.begin(), theirs.end(),
                                  [&](const KeyedEntry* keyed) { return keyed->key == item.key; });
    if (held) continue;
    KeyedEntry empty{item.key, {}, {}};
    model::fill(empty.entry, part->now);
    gone.push_back(std::move(empty));
  }
  return absl::OkStatus();
}

void SketchPull::adopt() {
  for (const Part& part : parts_) {
    if (part.crowded) outcome_.crowded.push_back(part.theirs);
    if (part.crowded || !part.adoptable || part.difference != 0 || part.theirs.root.unquiet > 0) {
      continue;
    }
    const absl::Status status = replica_.adopt(part.theirs.partition, part.theirs.clock);
    if (!status.ok()) return finish(status);
    outcome_.adopted.push_back(part.theirs.partition);
  }
  finish(absl::OkStatus());
}

SketchPull::Part* SketchPull::part_of(model::Token token) {
  const auto after = std::partition_point(parts_.begin(), parts_.end(), [&](const Part& part) {
    return replica_.live(part.theirs.partition).range().first <= token;
  });
  if (after == parts_.begin()) return nullptr;
  Part& part = *std::prev(after);
  return replica_.live(part.theirs.partition).range().contains(token) ? &part : nullptr;
}

std::vector<PartitionId> SketchPull::partitions() const {
  std::vector<PartitionId> partitions;
  for (const Part& part : parts_) partitions.push_back(part.theirs.partition);
  return partitions;
}

std::vector<PartitionState> SketchPull::theirs() const {
  std::vector<PartitionState> theirs;
  for (const Part& part : parts_) theirs.push_back(part.theirs);
  return theirs;
}

bool SketchPull::covers(PartitionId partition) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.theirs.partition == partition; });
}

void SketchPull::send(SketchRequest request) {
  waiting_ = true;
  requests_.push_back({++last_number_, std::move(request)});
}

void SketchPull::finish(absl::Status status) {
  done_ = true;
  waiting_ = false;
  outcome_.status = std::move(status);
  requests_.clear();
}

void SketchPull::on_failure(PartitionPull::RequestNumber number, const absl::Status& status) {
  if (waiting_ && number == last_number_) finish(status);
}

void SketchPull::on_reply(PartitionPull::RequestNumber number, ExchangeReply reply) {
  if (!waiting_ || number != last_number_) return;
  waiting_ = false;
  auto* const sketch = std::get_if<SketchReply>(&reply);
  if (sketch == nullptr) {
    return finish(absl::InternalError("an answer of another kind than the request"));
  }
  if (sketch->decoded) return on_decoded(std::move(*sketch));
  const std::size_t all =
      model::first_cells(sketches_of(replica_, partitions()), ~std::size_t{0}).size();
  if (decoded_ || cells_ >= all) {
    outcome_.undecoded = true;
    return finish(absl::OkStatus());
  }
  cells_ = std::min(all, 2 * cells_);
  ask();
}

}  // namespace grapevine::gossip
