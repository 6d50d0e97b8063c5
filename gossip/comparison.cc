#include "gossip/comparison.h"

#include <algorithm>
#include <map>

#include "gossip/partition_states.h"
#include "gossip/responder.h"

namespace grapevine::gossip {

std::uint64_t few_keys(std::size_t partitions) {
  return 16 + 4 * partitions;
}

std::uint64_t dots_known(const Replica& replica, const std::vector<PartitionId>& partitions) {
  std::uint64_t known = 0;
  for (const PartitionId partition : partitions) {
    for (const auto& [actor, counters] : replica.live(partition).clock().actors()) {
      if (counters.base() == model::kClosed) continue;
      known += counters.base();
      for (const auto& interval : counters.above()) known += interval.last - interval.first + 1;
    }
  }
  return known;
}

Comparison::Comparison(Replica& replica, std::vector<PartitionId> partitions, Hint hint)
    : replica_(replica), partitions_(std::move(partitions)) {
  ask(hint.dots == 0 ? kFirstCells : model::cells_for(hint.dots), std::move(hint.slots));
}

std::size_t Comparison::cells_here() const {
  return model::first_cells(sketches_of(replica_, partitions_), ~std::size_t{0}).size();
}

void Comparison::ask(std::size_t cells, std::vector<model::Slot> slots) {
  ++tries_;
  CompareRequest request;
  request.slots = std::move(slots);
  if (request.slots.empty()) {
    request.dots = dots_known(replica_, partitions_);
    request.cells = model::first_cells(sketches_of(replica_, partitions_), cells);
  }
  // Later it is known that the two are not equal.
  if (request.slots.empty() && cells == kFirstCells) {
    request.summary = summarize(replica_, partitions_);
  }
  cells_ = cells;
  pulls_ = cells > kFirstCells || !request.slots.empty();
  request_ = std::move(request);
}

void Comparison::on_reply(CompareReply reply) {
  switch (reply.verdict) {
    case CompareVerdict::kEqual: outcome_.proven_equal = true; return finish(absl::OkStatus());
    case CompareVerdict::kEntries: return merge(std::move(reply));
    case CompareVerdict::kTooFewCells: return ask_with_more(reply);
    case CompareVerdict::kPulling: outcome_.peer_pulls = true; return finish(absl::OkStatus());
    case CompareVerdict::kUnlike:
      outcome_.fingerprints = std::move(reply.fingerprints);
      return finish(absl::OkStatus());
  }
  finish(absl::InvalidArgumentError("a peer compared, and came to nothing that is known"));
}

// One key a dot where all of them are missing on one side and no key was written twice; that is not so
// where as many cells did not do.
void Comparison::ask_with_more(const CompareReply& reply) {
  const std::uint64_t mine = dots_known(replica_, partitions_);
  const std::uint64_t dots = reply.dots > mine ? reply.dots - mine : mine - reply.dots;
  const std::string probes = model::probes_of(sketches_of(replica_, partitions_));
  const std::uint64_t expected = cells_ > kFirstCells ? 0 : dots;
  std::uint64_t slots = model::estimate_slots(probes, reply.probes, expected);
  if (slots != expected) slots += slots / 2;  // a guess, and a rough one
  const std::size_t cells = std::min(model::cells_for(slots), cells_here());
  if (tries_ >= kTries || slots > few_keys(partitions_.size()) || cells <= cells_) {
    return finish(absl::OkStatus());
  }
  ask(cells, {});
}

void Comparison::merge(CompareReply reply) {
  outcome_.in_flight += reply.in_flight;
  std::map<PartitionId, std::vector<KeyedEntry>> missing;
  for (KeyedEntry& keyed : reply.entries) {
    const std::optional<PartitionId> partition =
        partition_of(replica_, partitions_, model::token_of(keyed.key));
    if (!partition.has_value()) {
      return finish(absl::InvalidArgumentError("a peer answered with keys of other partitions"));
    }
    const model::Clock& mine = replica_.live(*partition).clock();
    keyed.events.clear();
    for (const model::Version& version : keyed.entry.versions) {
      if (!mine.contains(version.dot)) keyed.events.push_back(version.dot);
    }
    if (keyed.events.empty()) continue;
    ++outcome_.keys_pulled;
    outcome_.bytes_pulled += wire_bytes(keyed);
    missing[*partition].push_back(std::move(keyed));
  }
  for (auto& [partition, entries] : missing) {
    if (const absl::Status status = replica_.merge(partition, std::move(entries)); !status.ok()) {
      return finish(status);
    }
  }
  if (!reply.left.empty() && !missing.empty()) {
    tries_ = 0;
    return ask(cells_, std::move(reply.left));
  }
  outcome_.proven_equal = reply.summary == summarize(replica_, partitions_);
  finish(absl::OkStatus());
}

void Comparison::on_failure(const absl::Status& status) {
  const bool gone = absl::IsUnavailable(status) || absl::IsCancelled(status);
  finish(gone ? status : absl::OkStatus());
}

void Comparison::finish(absl::Status status) {
  done_ = true;
  outcome_.status = std::move(status);
}

}  // namespace grapevine::gossip
