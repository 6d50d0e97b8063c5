#include "gossip/partition_pull.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::gossip {
namespace {

// The order of keys in a partition.
std::pair<model::Token, std::string_view> place_of(const std::string& key) {
  return {model::token_of(key), key};
}

}  // namespace

PartitionPull::PartitionPull(Replica& replica, PartitionState theirs, const PullOptions& options)
    : replica_(replica), theirs_(std::move(theirs)), options_(options) {
  decide();
}

void PartitionPull::decide() {
  const PartitionState mine = state_of(replica_, theirs_.partition);
  const std::vector<model::DotRange> missing = theirs_.clock.minus(mine.clock);
  const bool roots_equal = theirs_.has_root_of(mine);
  const bool clocks_equal = theirs_.clock == mine.clock;
  outcome_.clocks_equal = clocks_equal;
  if (!roots_equal && clocks_equal && theirs_.root.unquiet == 0 && mine.root.unquiet == 0) {
    outcome_.damage_suspected = true;
    outcome_.difference = mine.root.sum.low - theirs_.root.sum.low;
    if (!options_.settle) return;
    phase_ = Phase::kAddingUp;
    send(AddUpRequest{theirs_.partition});
    return;
  }
  // What no delta brings: a marker has no key, nor has what a vector knows.
  const bool beyond_dots = (options_.hear_all && theirs_.root.unquiet > 0) ||
                           std::any_of(missing.begin(), missing.end(),
                                       [](const model::DotRange& range) { return range.closes(); });
  if (roots_equal && (!missing.empty() || beyond_dots)) {
    outcome_.path = PullPath::kEqualRoots;
    if (theirs_.root.unquiet == 0) {
      adopt();
    } else {
      open_view();
    }
  } else if (beyond_dots || (!roots_equal && clocks_equal) ||
             (!missing.empty() && !theirs_.log_reaches)) {
    compare_digests();
  } else if (!missing.empty()) {
    phase_ = Phase::kDelta;
    outcome_.path = PullPath::kDelta;
    ask_delta();
  } else {
    finish(absl::OkStatus());
  }
}

void PartitionPull::ask_delta() {
  std::vector<model::DotRange> missing = theirs_.clock.minus(live().clock());
  if (missing.empty()) return finish(absl::OkStatus());
  if (missing.size() > options_.delta_ranges_max) missing.resize(options_.delta_ranges_max);
  send(DeltaRequest{theirs_.partition, std::move(missing)});
}

void PartitionPull::on_delta(DeltaReply reply) {
  if (!reply.log_reaches) return compare_digests();
  outcome_.in_flight = reply.in_flight;
  const auto missing = [this] { return model::count_dots(theirs_.clock.minus(live().clock())); };
  const std::uint64_t before = missing();
  if (!merge(std::move(reply.entries))) return;
  if (reply.more && missing() < before) {
    ask_delta();
  } else {
    finish(absl::OkStatus());
  }
}

// Roots differ, and no log tells where.
void PartitionPull::compare_digests() {
  const PartitionView& mine = live();
  const bool by_sketch = options_.sketches && theirs_.root.unquiet == 0 &&
                         mine.sketch() != nullptr && mine.share(mine.range())->keys > 0;
  outcome_.path = by_sketch ? PullPath::kSketch : PullPath::kDigest;
  if (by_sketch) return finish(absl::OkStatus());
  open_view();
}

void PartitionPull::open_view() {
  phase_ = Phase::kViewing;
  clock_at_start_ = live().clock();
  send(OpenViewRequest{theirs_.partition});
}

void PartitionPull::on_view(OpenViewReply reply) {
  if (reply.state.partition != theirs_.partition) {
    return finish(absl::InvalidArgumentError("a peer opened another partition than was asked for"));
  }
  theirs_ = std::move(reply.state);
  phase_ = Phase::kComparing;
  const PartitionView& mine = live();
  descent_.emplace(mine.range(), *mine.share(mine.range()), theirs_.root,
                   GRAPEVINE_FLAW(adopts_past_the_unquiet) ? RangeDescent::Unquiet::kIgnored
                                                           : RangeDescent::Unquiet::kOnTheRight);
  ask_more();
}

void PartitionPull::ask_more() {
  for (const RangeDescent::Leaf& leaf : descent_->take_leaves()) leaves_.push_back(leaf.range);
  if (!splitting_ && !descent_->done()) {
    splitting_ = true;
    send(SplitRequest{descent_->wanted(options_.ranges_per_split)});
  }
  while (!done() && !leaves_.empty() && waiting_.size() < options_.requests_in_flight_max) {
    const model::TokenRange range = leaves_.back();
    leaves_.pop_back();
    ask_leaf(range);
  }
  if (!done() && waiting_.empty()) {
    phase_ = Phase::kRegaining;
    regain();
  }
}

void PartitionPull::on_split(const SplitRequest& request, const SplitReply& reply) {
  splitting_ = false;
  constexpr std::size_t kParts = std::size_t{1} << RangeDescent::kSplitBits;
  if (reply.parts.size() != request.ranges.size()) {
    return finish(absl::InvalidArgumentError("a peer answered other ranges than were asked for"));
  }
  for (std::size_t i = 0; i < request.ranges.size(); ++i) {
    if (!reply.parts[i].empty() && reply.parts[i].size() != kParts) {
      return finish(absl::InvalidArgumentError("a peer split a range into other than 16 parts"));
    }
    descent_->answer(parts_of(live(), request.ranges[i]), reply.parts[i]);
  }
  ask_more();
}

void PartitionPull::ask_leaf(const model::TokenRange& range) {
  auto items = live().items(range, options_.items_per_pull_max, std::nullopt);
  if (!items.ok()) return finish(items.status());
  if (items->size() == options_.items_per_pull_max) listed_in_part_ = true;
  sort_by_hash(*items);
  send(PullRequest{range, *std::move(items), std::nullopt});
}

void PartitionPull::on_pull(const PullRequest& request, PullReply reply) {
  if (request.after_key.has_value() && reply.resume_after.has_value() &&
      place_of(*reply.resume_after) <= place_of(*request.after_key)) {
    return finish(absl::InvalidArgumentError("a peer's answers do not go forward"));
  }
  // A key that the view does not hold: its entry there is empty, and knows what the view's clock
  // implies.
  const std::set<std::uint64_t> absent(reply.absent.begin(), reply.absent.end());
  for (const Item& item : request.items) {
    if (!absent.contains(item.key_hash)) continue;
    KeyedEntry gone{item.key, {}, {}};
    model::fill(gone.entry, theirs_.clock);
    reply.entries.push_back(std::move(gone));
  }
  if (!merge(std::move(reply.entries))) return;
  if (reply.resume_after.has_value()) {
    PullRequest next = request;
    next.after_key = std::move(reply.resume_after);
    send(std::move(next));
  }
  ask_more();
}

// Finds the keys that must be pulled once more, until there are none.
void PartitionPull::regain() {
  model::Clock known = clock_at_start_;
  known.merge(from_view_);
  known.merge(regained_);
  const std::vector<model::DotRange> gained = theirs_.clock.intersect(live().clock().minus(known));
  if (!gained.empty() && !GRAPEVINE_FLAW(makes_no_second_pull)) {
    const Replica::NamedDots dots = replica_.name_dots(
        theirs_.partition, gained, /*with_young=*/true, model::count_dots(gained));
    if (!dots.complete) {
      // Its key is not known any more: no clock may be adopted. The next round compares again.
      return finish(absl::OkStatus());
    }
    std::set<std::string> keys;
    for (const auto& [dot, key] : dots.named) {
      keys.insert(key);
      regained_.add(dot);
    }
    regain_keys_.insert(regain_keys_.end(), keys.begin(), keys.end());
  }
  if (regain_keys_.empty()) return adopt();
  FetchRequest request;
  const std::size_t count = std::min(regain_keys_.size(), options_.keys_per_fetch);
  const auto from = regain_keys_.end() - static_cast<std::ptrdiff_t>(count);
  std::move(from, regain_keys_.end(), std::back_inserter(request.keys));
  regain_keys_.erase(from, regain_keys_.end());
  send(std::move(request));
}

void PartitionPull::on_fetch(const FetchRequest& request, FetchReply reply) {
  const auto is_of = [](const KeyedEntry& keyed, const std::string& key) {
    return keyed.key == key;
  };
  if (reply.entries.empty() || reply.entries.size() > request.keys.size() ||
      !std::equal(reply.entries.begin(), reply.entries.end(), request.keys.begin(), is_of)) {
    return finish(absl::InvalidArgumentError("a peer answered other keys than were asked for"));
  }
  for (std::size_t i = reply.entries.size(); i < request.keys.size(); ++i) {
    regain_keys_.push_back(request.keys[i]);
  }
  if (!merge(std::move(reply.entries))) return;
  regain();
}

void PartitionPull::adopt() {
  if (listed_in_part_) return finish(absl::OkStatus());
  const absl::Status status = replica_.adopt(theirs_.partition, theirs_.clock);
  outcome_.adopted = status.ok();
  outcome_.settled = outcome_.adopted && outcome_.damage_suspected;
  finish(status);
}

// False when the pull has ended.
bool PartitionPull::merge(std::vector<KeyedEntry> entries) {
  if (entries.empty()) return true;
  for (const KeyedEntry& keyed : entries) {
    ++outcome_.keys_pulled;
    outcome_.bytes_pulled += wire_bytes(keyed);
    for (const model::Version& version : keyed.entry.versions) from_view_.add(version.dot);
  }
  const absl::Status status = replica_.merge(theirs_.partition, std::move(entries));
  if (!status.ok()) finish(status);
  return status.ok();
}

std::vector<PartitionPull::Request> PartitionPull::take_requests() {
  return std::exchange(requests_, {});
}

void PartitionPull::send(ExchangeRequest body) {
  const RequestNumber number = ++last_number_;
  waiting_.emplace(number, body);
  if (auto* pull = std::get_if<PullRequest>(&body)) {
    for (Item& item : pull->items) item.key.clear();  // only the hashes travel
  }
  requests_.push_back({number, std::move(body)});
}

void PartitionPull::finish(absl::Status status) {
  phase_ = Phase::kDone;
  outcome_.heard_all = options_.hear_all && status.ok() && live().clock().covers(theirs_.clock) &&
                       (outcome_.adopted || theirs_.root.unquiet == 0);
  outcome_.status = std::move(status);
  waiting_.clear();
  requests_.clear();
}

void PartitionPull::on_failure(RequestNumber number, const absl::Status& status) {
  if (waiting_.erase(number) > 0) finish(status);
}

void PartitionPull::on_reply(RequestNumber number, ExchangeReply reply) {
  const auto sent = waiting_.find(number);
  if (sent == waiting_.end()) return;
  const ExchangeRequest request = std::move(sent->second);
  waiting_.erase(sent);
  if (reply.index() != request.index()) {
    return finish(absl::InternalError("an answer of another kind than the request"));
  }
  if (auto* delta = std::get_if<DeltaReply>(&reply)) {
    on_delta(std::move(*delta));
  } else if (std::holds_alternative<AddUpReply>(reply)) {
    outcome_.path = PullPath::kDigest;
    open_view();
  } else if (auto* view = std::get_if<OpenViewReply>(&reply)) {
    on_view(std::move(*view));
  } else if (const auto* split = std::get_if<SplitReply>(&reply)) {
    on_split(std::get<SplitRequest>(request), *split);
  } else if (auto* pull = std::get_if<PullReply>(&reply)) {
    on_pull(std::get<PullRequest>(request), std::move(*pull));
  } else if (auto* fetch = std::get_if<FetchReply>(&reply)) {
    on_fetch(std::get<FetchRequest>(request), std::move(*fetch));
  }
}

}  // namespace grapevine::gossip
