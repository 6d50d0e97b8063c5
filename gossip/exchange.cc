#include "gossip/exchange.h"

#include <algorithm>
#include <utility>

#include "gossip/responder.h"

namespace grapevine::gossip {

Exchange::Exchange(Replica& replica, std::vector<PartitionId> partitions,
                   const ExchangeOptions& options)
    : Exchange(replica, options) {
  partitions_ = std::move(partitions);
  ask(summarize(replica, partitions_));
}

Exchange Exchange::from_states(Replica& replica, std::vector<PartitionState> theirs,
                               const ExchangeOptions& options) {
  Exchange exchange(replica, options);
  exchange.begin_pulls(std::move(theirs));
  return exchange;
}

// Of its own requests there is one at a time.
void Exchange::ask(ExchangeRequest request) {
  asked_kind_ = request.index();
  output_.requests.push_back({{std::nullopt, ++last_number_}, std::move(request)});
}

void Exchange::on_summary(const SummaryReply& reply) {
  StatesRequest request;
  if (reply.equal) {
    report_.proven_equal = true;
    for (const PartitionId partition : partitions_) {
      if (must_hear_all(partition)) request.states.push_back(state_of(*replica_, partition));
    }
  }
  for (const Fingerprint& theirs : reply.fingerprints) {
    if (!std::binary_search(partitions_.begin(), partitions_.end(), theirs.partition)) continue;
    PartitionState mine = state_of(*replica_, theirs.partition);
    const bool equal = mine.root.sum.low == theirs.root && mine.clock.hash() == theirs.clock;
    if (equal && !must_hear_all(theirs.partition)) continue;
    request.states.push_back(std::move(mine));
  }
  if (request.states.empty()) {
    done_ = true;
    return;
  }
  ask(std::move(request));
}

// States that the peer sent by itself may be older than this exchange.
bool Exchange::must_hear_all(PartitionId partition) const {
  return !partitions_.empty() && options_.hear_all && options_.hear_all(partition);
}

void Exchange::begin_pulls(std::vector<PartitionState> theirs) {
  const auto before = [](const auto& a, const auto& b) { return a.partition < b.partition; };
  const auto same = [](const auto& a, const auto& b) { return a.partition == b.partition; };
  std::stable_sort(theirs.begin(), theirs.end(), before);
  theirs.erase(std::unique(theirs.begin(), theirs.end(), same), theirs.end());
  to_pull_.assign(std::make_move_iterator(theirs.begin()), std::make_move_iterator(theirs.end()));
  go_on();
}

// Collects what the pulls want, ends those that are done and begins new ones in their places.
void Exchange::go_on() {
  for (auto pull = pulls_.begin(); pull != pulls_.end();) {
    const PartitionId partition = pull->first;
    for (auto& request : pull->second.take_requests()) {
      output_.requests.push_back({{partition, request.number}, std::move(request.body)});
    }
    if (pull->second.done()) {
      account(pull->second);
      output_.close_views.push_back(partition);
      pull = pulls_.erase(pull);
    } else {
      ++pull;
    }
  }
  while (!to_pull_.empty() && pulls_.size() < options_.partitions_at_once) {
    PartitionState theirs = std::move(to_pull_.front());
    to_pull_.pop_front();
    const PartitionId partition = theirs.partition;
    if (options_.may_pull && !options_.may_pull(partition)) {
      ++report_.put_off;
      continue;
    }
    PullOptions options = options_.pull;
    options.hear_all = must_hear_all(partition);
    options.settle = options_.settle && options_.settle(partition);
    PartitionPull pull(*replica_, std::move(theirs), options);
    if (pull.done()) {
      account(pull);
      continue;
    }
    for (auto& request : pull.take_requests()) {
      output_.requests.push_back({{partition, request.number}, std::move(request.body)});
    }
    pulls_.emplace(partition, std::move(pull));
  }
  done_ = pulls_.empty() && to_pull_.empty();
}

void Exchange::account(const PartitionPull& pull) {
  const PullOutcome& outcome = pull.outcome();
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

Exchange::Output Exchange::take_output() {
  return std::exchange(output_, {});
}

void Exchange::on_reply(const RequestNumber& number, ExchangeReply reply) {
  if (done_) return;
  if (number.partition.has_value()) {
    const auto pull = pulls_.find(*number.partition);
    if (pull == pulls_.end()) return;
    pull->second.on_reply(number.number, std::move(reply));
    go_on();
    return;
  }
  if (number.number != last_number_ || !asked_kind_.has_value()) return;
  const std::size_t asked = *std::exchange(asked_kind_, std::nullopt);
  if (reply.index() != asked) {
    fail(absl::InternalError("an answer of another kind than the request"));
  } else if (const auto* summary = std::get_if<SummaryReply>(&reply)) {
    on_summary(*summary);
  } else if (auto* states = std::get_if<StatesReply>(&reply)) {
    std::erase_if(states->states, [&](const PartitionState& state) {
      return !std::binary_search(partitions_.begin(), partitions_.end(), state.partition);
    });
    begin_pulls(std::move(states->states));
  }
}

void Exchange::on_failure(const RequestNumber& number, const absl::Status& status) {
  if (done_) return;
  if (!number.partition.has_value()) {
    if (number.number == last_number_ && asked_kind_.has_value()) fail(status);
    return;
  }
  const auto pull = pulls_.find(*number.partition);
  if (pull == pulls_.end()) return;
  pull->second.on_failure(number.number, status);
  go_on();
}

void Exchange::fail(const absl::Status& status) {
  report_.status = status;
  done_ = true;
}

}  // namespace grapevine::gossip
