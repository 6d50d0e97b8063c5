#include "gossip/exchange.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "gossip/partition_states.h"

namespace grapevine::gossip {
namespace {

// In place of how many slots are expected to differ: a guess has turned out to be wrong.
constexpr std::uint64_t kEstimateFailed = ~std::uint64_t{0};

}  // namespace

Exchange::Exchange(Replica& replica, std::vector<PartitionId> partitions,
                   const ExchangeOptions& options, Hint hint)
    : Exchange(replica, options) {
  partitions_ = std::move(partitions);
  if (options_.compares && sketches_of(replica, partitions_).size() == partitions_.size() &&
      !partitions_.empty()) {
    comparison_.emplace(replica, partitions_, std::move(hint));
    compare_on();
  } else {
    ask(summarize(replica, partitions_));
  }
}

// One that brings many keys is not for while another exchange pulls the same.
bool Exchange::may_compare() const {
  return !comparison_->pulls() || !options_.may_pull ||
         std::all_of(partitions_.begin(), partitions_.end(), options_.may_pull);
}

void Exchange::compare_on() {
  auto request = comparison_->take_request();
  comparing_ = false;
  if (request.has_value() && may_compare()) {
    comparing_ = comparison_->pulls();
    return ask(*std::move(request));
  }
  const ComparisonOutcome outcome = comparison_->outcome();
  comparison_.reset();
  report_.keys_pulled += outcome.keys_pulled;
  report_.bytes_pulled += outcome.bytes_pulled;
  report_.in_flight += outcome.in_flight;
  report_.comparisons += outcome.keys_pulled > 0 ? 1 : 0;
  if (!outcome.status.ok()) {
    fail(outcome.status);
  } else if (outcome.proven_equal) {
    on_equal();
  } else if (outcome.peer_pulls) {
    done_ = true;
  } else if (!outcome.fingerprints.empty()) {
    on_fingerprints(outcome.fingerprints);
  } else {
    ask(summarize(*replica_, partitions_));
  }
}

Exchange Exchange::from_states(Replica& replica, std::vector<PartitionState> theirs,
                               std::uint64_t slots, const ExchangeOptions& options) {
  Exchange exchange(replica, options);
  exchange.in_turn_ = true;
  std::vector<PartitionState> lacking;
  std::size_t uncertain = 0;
  for (const PartitionState& state : theirs) {
    PartitionState mine = state_of(replica, state.partition);
    if (mine.clock.covers(state.clock)) continue;
    uncertain += state.log_reaches && !mine.has_root_of(state) ? 1 : 0;
    lacking.push_back(std::move(mine));
  }
  if (uncertain > kFewPartitions) {
    for (const PartitionState& mine : lacking) exchange.partitions_.push_back(mine.partition);
    std::sort(exchange.partitions_.begin(), exchange.partitions_.end());
    exchange.ask_states(std::move(lacking));
  } else {
    exchange.slots_expected_ = slots;
    exchange.begin_pulls(std::move(theirs));
  }
  return exchange;
}

// Of its own requests there is one at a time.
void Exchange::ask(ExchangeRequest request) {
  asked_kind_ = request.index();
  output_.requests.push_back({{std::nullopt, ++last_number_}, std::move(request)});
}

void Exchange::on_equal() {
  report_.proven_equal = true;
  std::vector<PartitionState> mine;
  for (const PartitionId partition : partitions_) {
    if (must_hear_all(partition)) mine.push_back(state_of(*replica_, partition));
  }
  if (mine.empty()) {
    done_ = true;
  } else {
    ask_states(std::move(mine));
  }
}

void Exchange::on_fingerprints(const std::vector<Fingerprint>& fingerprints) {
  std::vector<PartitionState> mine;
  std::vector<PartitionState> alike;
  for (const Fingerprint& theirs : fingerprints) {
    if (!std::binary_search(partitions_.begin(), partitions_.end(), theirs.partition)) continue;
    PartitionState state = state_of(*replica_, theirs.partition);
    const bool equal = fingerprint_of(state).print == theirs.print;
    (equal && !must_hear_all(theirs.partition) ? alike : mine).push_back(std::move(state));
  }
  // What differs has the same print by chance.
  if (mine.empty()) mine = std::move(alike);
  if (mine.empty()) {
    done_ = true;
  } else {
    ask_states(std::move(mine));
  }
}

void Exchange::ask_states(std::vector<PartitionState> mine) {
  std::sort(mine.begin(), mine.end(),
            [](const auto& a, const auto& b) { return a.partition < b.partition; });
  std::vector<PartitionId> partitions;
  for (PartitionState& state : mine) {
    state.log_reaches = !replica_->names_none(state.partition);
    partitions.push_back(state.partition);
  }
  ask(StatesRequest{std::move(mine), model::probes_of(sketches_of(*replica_, partitions)),
                    in_turn_});
}

// States that the peer sent by itself may be older than this exchange.
bool Exchange::must_hear_all(PartitionId partition) const {
  return !in_turn_ && options_.hear_all && options_.hear_all(partition);
}

void Exchange::begin_pulls(std::vector<PartitionState> theirs) {
  const auto before = [](const auto& a, const auto& b) { return a.partition < b.partition; };
  const auto same = [](const auto& a, const auto& b) { return a.partition == b.partition; };
  std::stable_sort(theirs.begin(), theirs.end(), before);
  theirs.erase(std::unique(theirs.begin(), theirs.end(), same), theirs.end());
  for (PartitionState& state : theirs) {
    dots_expected_ += dots_apart(replica_->live(state.partition).clock(), state.clock);
    to_pull_.push_back({std::move(state), false});
  }
  go_on();
}

bool Exchange::pulls(PartitionId partition) const {
  const auto is_it = [&](const PartitionState& state) { return state.partition == partition; };
  const bool compares =
      comparing_ && std::binary_search(partitions_.begin(), partitions_.end(), partition);
  return compares || pulls_.contains(partition) ||
         std::any_of(to_sketch_.begin(), to_sketch_.end(), is_it) ||
         std::any_of(groups_.begin(), groups_.end(),
                     [&](const Group& group) {
                       return std::any_of(group.theirs.begin(), group.theirs.end(), is_it);
                     }) ||
         std::any_of(sketches_.begin(), sketches_.end(),
                     [&](const auto& pull) { return pull.second.covers(partition); });
}

// Collects what the pulls want, ends those that are done and begins new ones in their places.
void Exchange::go_on() {
  end_pulls();
  begin_next_pulls();
  // When the logs have had their say, so that the groups are as large as can be.
  if (to_pull_.empty() && pulls_.empty() && !to_sketch_.empty()) group_sketches();
  while (!groups_.empty() && sketches_.size() < options_.sketches_at_once) {
    Group group = std::move(groups_.front());
    groups_.pop_front();
    SketchPull pull(*replica_, group.theirs, group.slots);
    const PartitionId first = group.theirs.front().partition;
    for (auto& request : pull.take_requests()) {
      output_.requests.push_back({{first, request.number}, std::move(request.body)});
    }
    sketches_.emplace(first, std::move(pull));
  }
  done_ = pulls_.empty() && to_pull_.empty() && sketches_.empty();
}

void Exchange::end_pulls() {
  const auto end_those_done = [this](auto& pulls) {
    for (auto pull = pulls.begin(); pull != pulls.end();) {
      for (auto& request : pull->second.take_requests()) {
        output_.requests.push_back({{pull->first, request.number}, std::move(request.body)});
      }
      if (pull->second.done()) {
        account(pull->second);
        output_.close_views.push_back(pull->first);
        pull = pulls.erase(pull);
      } else {
        ++pull;
      }
    }
  };
  end_those_done(pulls_);
  end_those_done(sketches_);
}

void Exchange::begin_next_pulls() {
  while (!to_pull_.empty() && pulls_.size() < options_.partitions_at_once) {
    ToPull next = std::move(to_pull_.front());
    to_pull_.pop_front();
    const PartitionId partition = next.theirs.partition;
    if (options_.may_pull && !options_.may_pull(partition)) {
      ++report_.put_off;
      continue;
    }
    PullOptions options = options_.pull;
    options.hear_all = must_hear_all(partition);
    options.settle = options_.settle && options_.settle(partition);
    if (next.descend) {
      options.sketches = false;
      next.theirs.log_reaches = false;
    }
    PartitionPull pull(*replica_, std::move(next.theirs), options);
    if (pull.done()) {
      account(pull);
      continue;
    }
    for (auto& request : pull.take_requests()) {
      output_.requests.push_back({{partition, request.number}, std::move(request.body)});
    }
    pulls_.emplace(partition, std::move(pull));
  }
}

// Partitions together for as long as one sketch is likely to show all that differs in them. How much
// that is the missing dots tell: no more keys than these; and the peer's estimate, of which each
// partition gets its share by dots, doubled, because it is rough.
void Exchange::group_sketches() {
  const std::uint64_t capacity =
      model::slots_for(replica_->live(to_sketch_.front().partition).sketch()->cells().size());
  const auto expected = [&](std::uint64_t dots) {
    if (slots_expected_ == kEstimateFailed) return std::min(dots, capacity);
    if (slots_expected_ == 0 || dots_expected_ == 0) return dots;
    const double share = static_cast<double>(dots) / static_cast<double>(dots_expected_);
    const double slots = 2 * share * static_cast<double>(slots_expected_) + 2;
    return slots < static_cast<double>(dots) ? static_cast<std::uint64_t>(slots) : dots;
  };
  Group group;
  const auto close_group = [&] {
    if (!group.theirs.empty()) groups_.push_back(std::move(group));
    group = {};
  };
  for (PartitionState& theirs : std::exchange(to_sketch_, {})) {
    const std::uint64_t dots = dots_apart(replica_->live(theirs.partition).clock(), theirs.clock);
    const std::uint64_t slots = std::max<std::uint64_t>(1, expected(dots));
    if (slots > 2 * capacity) {
      to_pull_.push_back({std::move(theirs), true});
      continue;
    }
    if (group.slots + slots > capacity) close_group();
    group.slots += slots;
    group.theirs.push_back(std::move(theirs));
  }
  close_group();
  begin_next_pulls();
}

void Exchange::account(const PartitionPull& pull) {
  const PullOutcome& outcome = pull.outcome();
  if (outcome.path == PullPath::kSketch) to_sketch_.push_back(pull.theirs());
  if (outcome.heard_all) report_.heard_all.push_back(pull.partition());
  if (report_.status.ok()) report_.status = outcome.status;
  report_.delta_pulls += outcome.path == PullPath::kDelta ? 1 : 0;
  report_.digest_pulls += outcome.path == PullPath::kDigest ? 1 : 0;
  report_.equal_roots += outcome.path == PullPath::kEqualRoots ? 1 : 0;
  report_.keys_pulled += outcome.keys_pulled;
  report_.bytes_pulled += outcome.bytes_pulled;
  report_.in_flight += outcome.in_flight;
  report_.clocks_adopted += outcome.adopted ? 1 : 0;
  if (!outcome.clocks_equal) report_.other_clocks.push_back(pull.partition());
  if (outcome.settled) {
    ++report_.settled;
  } else if (outcome.damage_suspected) {
    report_.differences.emplace(pull.partition(), outcome.difference);
  }
}

void Exchange::account(const SketchPull& pull) {
  const SketchOutcome& outcome = pull.outcome();
  report_.keys_pulled += outcome.keys_pulled;
  report_.bytes_pulled += outcome.bytes_pulled;
  report_.clocks_adopted += outcome.adopted.size();
  for (const PartitionId partition : outcome.adopted) {
    if (must_hear_all(partition)) report_.heard_all.push_back(partition);
  }
  // Whatever is wrong with a sketch, a descent does without.
  const bool gone = absl::IsUnavailable(outcome.status) || absl::IsCancelled(outcome.status);
  if (gone && report_.status.ok()) report_.status = outcome.status;
  std::vector<PartitionState> theirs = pull.theirs();
  if (outcome.status.ok() && !outcome.undecoded) {
    report_.sketch_pulls += theirs.size();
    report_.digest_pulls += theirs.size();
    for (const PartitionState& state : outcome.crowded) to_pull_.push_back({state, true});
    return;
  }
  if (gone) return;
  report_.undecoded += 1;
  if (outcome.undecoded && theirs.size() > 1 && slots_expected_ > 0 &&
      slots_expected_ != kEstimateFailed) {
    // Most likely there are more differences than were guessed, in the other groups, too.
    slots_expected_ = kEstimateFailed;
    groups_.push_front({std::move(theirs), 0});
    for (Group& group : groups_) {
      std::move(group.theirs.begin(), group.theirs.end(), std::back_inserter(to_sketch_));
    }
    groups_.clear();
    return;
  }
  if (outcome.undecoded && theirs.size() > 1) {
    // Half of them may well be shown by as many cells.
    const auto middle = theirs.begin() + static_cast<std::ptrdiff_t>(theirs.size() / 2);
    groups_.push_back({{theirs.begin(), middle}, pull.slots()});
    groups_.push_back({{middle, theirs.end()}, pull.slots()});
    return;
  }
  for (PartitionState& state : theirs) to_pull_.push_back({std::move(state), true});
}

Exchange::Output Exchange::take_output() {
  return std::exchange(output_, {});
}

void Exchange::on_reply(const RequestNumber& number, ExchangeReply reply) {
  if (done_) return;
  if (number.partition.has_value()) {
    if (const auto pull = pulls_.find(*number.partition); pull != pulls_.end()) {
      pull->second.on_reply(number.number, std::move(reply));
    } else if (const auto sketch = sketches_.find(*number.partition); sketch != sketches_.end()) {
      sketch->second.on_reply(number.number, std::move(reply));
    }
    go_on();
    return;
  }
  if (number.number != last_number_ || !asked_kind_.has_value()) return;
  const std::size_t asked = *std::exchange(asked_kind_, std::nullopt);
  if (reply.index() != asked) {
    fail(absl::InternalError("an answer of another kind than the request"));
  } else if (auto* compared = std::get_if<CompareReply>(&reply)) {
    comparison_->on_reply(std::move(*compared));
    compare_on();
  } else if (const auto* summary = std::get_if<SummaryReply>(&reply)) {
    if (summary->equal) {
      on_equal();
    } else {
      on_fingerprints(summary->fingerprints);
    }
  } else if (auto* states = std::get_if<StatesReply>(&reply)) {
    std::erase_if(states->states, [&](const PartitionState& state) {
      return !std::binary_search(partitions_.begin(), partitions_.end(), state.partition);
    });
    slots_expected_ = states->slots;
    begin_pulls(std::move(states->states));
  }
}

void Exchange::on_failure(const RequestNumber& number, const absl::Status& status) {
  if (done_) return;
  if (!number.partition.has_value()) {
    if (number.number != last_number_ || !asked_kind_.has_value()) return;
    asked_kind_.reset();
    if (!comparison_.has_value()) return fail(status);
    comparison_->on_failure(status);
    return compare_on();
  }
  if (const auto pull = pulls_.find(*number.partition); pull != pulls_.end()) {
    pull->second.on_failure(number.number, status);
  } else if (const auto sketch = sketches_.find(*number.partition); sketch != sketches_.end()) {
    sketch->second.on_failure(number.number, status);
  }
  go_on();
}

void Exchange::fail(const absl::Status& status) {
  report_.status = status;
  done_ = true;
}

}  // namespace grapevine::gossip
