#include "client/batcher.h"

#include <algorithm>

#include <fmt/format.h>

#include "absl/container/flat_hash_set.h"
#include "rpc/errors.h"
#include "rpc/lateness.h"
#include "storage/base/check.h"

namespace grapevine::client {
namespace {

using std::chrono::milliseconds;

constexpr Duration kTimerGrain = milliseconds(5);
constexpr std::uint64_t kWordsAnOperation =
    16;  // of structure around key and value, for the size hint

std::uint32_t whole_ms(Duration duration) {
  const auto ms = std::chrono::duration_cast<milliseconds>(duration).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(ms, 1));
}

// What the node is given of the time that is left: it should answer "not in time" by itself before
// we stop waiting.
Duration server_share(Duration left) {
  return left - std::min<Duration>(milliseconds(100), left / 4);
}

// With less time left than this, a node's own answer tells the user more than another attempt
// would.
Duration worth_an_attempt(const Pending& pending) {
  return std::min<Duration>(milliseconds(250), pending.timeout / 3);
}

// An error of one attempt, as the answer to the whole operation.
absl::Status overall(const Pending& pending, const absl::Status& latest) {
  if (!is_write(pending.operation) || is_outcome_unknown(latest)) return latest;
  const bool unclear = absl::IsInternal(latest);
  if (!pending.maybe_written && !unclear) return latest;
  return outcome_unknown_error(fmt::format(
      "outcome unknown: {} {} may or may not have happened, and may still spread; the latest "
      "answer, from {}: {}",
      verb_of(pending.operation), shown(key_of(pending.operation)), pending.node, text_of(latest)));
}

}  // namespace

Batcher::Batcher(rpc::Loop& loop, Pool& pool, const BatchLimits& limits)
    : loop_(loop), pool_(pool), limits_(limits) {}

Batcher::~Batcher() = default;

void Batcher::add(std::unique_ptr<Pending> pending) {
  pending->order = next_order_++;
  deadlines_.add(*pending);
  queue_.push_back(std::move(pending));
}

void Batcher::pump() {
  while (!resting_.empty() && resting_.begin()->first <= loop_.now()) {
    const BatchId id = resting_.begin()->second;
    const auto found = batches_.find(id);
    NodeLink* link = pool_.choose(found->second->link);
    if (link == nullptr || !have_room(*link)) break;
    std::unique_ptr<Batch> batch = std::move(found->second);
    batches_.erase(found);
    resting_.erase(resting_.begin());
    drop_ended(*batch);
    send(std::move(batch), *link);
  }
  while (!queue_.empty()) {
    NodeLink* link = pool_.choose(nullptr);
    if (link == nullptr || !have_room(*link)) break;
    send(cut(), *link);
  }
  arm_timer();
}

// May come out empty, when everything in the queue has ended or waits for a key.
std::unique_ptr<Batcher::Batch> Batcher::cut() {
  auto batch = std::make_unique<Batch>();
  batch->id = next_batch_++;
  std::size_t bytes = 0;
  while (!queue_.empty() && batch->pendings.size() < limits_.operations_max &&
         bytes < kBatchBytes) {
    const std::size_t next_bytes = bytes_of(queue_.front()->operation);
    if (!batch->pendings.empty() && bytes + next_bytes > kBatchBytes) break;
    std::unique_ptr<Pending> pending = std::move(queue_.front());
    queue_.pop_front();
    if (pending->ended()) continue;
    const auto [line, fresh] = lines_.try_emplace(key_of(pending->operation));
    if (fresh) {
      line->second.batch = batch->id;
    } else if (line->second.batch != batch->id) {
      line->second.waiting.push_back(std::move(pending));
      continue;
    }
    bytes += next_bytes;
    batch->pendings.push_back(std::move(pending));
  }
  return batch;
}

void Batcher::send(std::unique_ptr<Batch> owned, NodeLink& link) {
  if (link.writer() == nullptr) refuse_writes(*owned, link);
  if (owned->pendings.empty()) return;
  Batch& batch = *owned;
  batches_.emplace(batch.id, std::move(owned));
  batch.in_flight = true;
  batch.link = &link;
  batch.last_deadline = {};
  batch.attempts += 1;
  link.requests += 1;
  link.requests_sent += 1;
  std::uint64_t words = 0;
  for (const auto& pending : batch.pendings) {
    pending->in_flight = true;
    pending->node = link.name();
    batch.last_deadline = std::max(batch.last_deadline, pending->deadline);
    words += bytes_of(pending->operation) / sizeof(capnp::word) + kWordsAnOperation;
  }
  const capnp::MessageSize hint{words, 0};
  if (wire::Writer::Client* writer = link.writer(); writer != nullptr) {
    auto request = writer->executeRequest(hint);
    request.setSentMs(rpc::sent_ms(loop_.now()));
    send_request(batch, kj::mv(request));
  } else {
    send_request(batch, link.reader().readRequest(hint));
  }
}

template <typename Request>
void Batcher::send_request(Batch& batch, Request request) {
  auto operations = request.initOperations(static_cast<unsigned>(batch.pendings.size()));
  for (unsigned i = 0; i < operations.size(); ++i) {
    to_wire(batch.pendings[i]->operation, batch.pendings[i]->write_id, operations[i]);
  }
  request.setTimeoutMs(whole_ms(server_share(batch.last_deadline - loop_.now())));
  tasks_.add(request.send().then(
      [this, id = batch.id](auto&& response) { answered(id, response.getResults()); },
      [this, id = batch.id](kj::Exception&& exception) { failed(id, exception); }));
}

void Batcher::refuse_writes(Batch& batch, const NodeLink& link) {
  for (auto& pending : batch.pendings) {
    if (pending->ended() || !is_write(pending->operation)) continue;
    pending->node = link.name();
    end(*pending, overall(*pending, absl::FailedPreconditionError(fmt::format(
                                        "{} does not allow this client to write", link.name()))));
  }
  drop_ended(batch);
}

void Batcher::answered(BatchId id, capnp::List<wire::Result>::Reader results) {
  std::unique_ptr<Batch> batch = landed(id);
  std::vector<OperationResult> outcomes;
  outcomes.reserve(batch->pendings.size());
  for (unsigned i = 0; i < batch->pendings.size(); ++i) {
    if (results.size() == batch->pendings.size()) {
      outcomes.push_back(to_result(results[i], batch->pendings[i]->operation));
    } else {
      outcomes.emplace_back(absl::InternalError(fmt::format(
          "the node gave {} answers to {} operations", results.size(), batch->pendings.size())));
    }
  }
  settle(std::move(batch), std::move(outcomes));
}

void Batcher::failed(BatchId id, const kj::Exception& exception) {
  std::unique_ptr<Batch> batch = landed(id);
  const absl::Status status = rpc::to_status(exception);
  if (!rpc::is_answer(exception)) {
    for (auto& pending : batch->pendings) pending->maybe_written = is_write(pending->operation);
  }
  std::vector<OperationResult> outcomes(batch->pendings.size(), status);
  settle(std::move(batch), std::move(outcomes));
}

std::unique_ptr<Batcher::Batch> Batcher::landed(BatchId id) {
  const auto found = batches_.find(id);
  std::unique_ptr<Batch> batch = std::move(found->second);
  batches_.erase(found);
  batch->in_flight = false;
  batch->link->requests -= 1;
  if (batch->overdue) batch->link->requests_overdue -= 1;
  batch->overdue = false;
  for (auto& pending : batch->pendings) pending->in_flight = false;
  return batch;
}

void Batcher::settle(std::unique_ptr<Batch> batch, std::vector<OperationResult> results) {
  auto& pendings = batch->pendings;
  const bool all_ok =
      std::all_of(results.begin(), results.end(), [](const auto& result) { return result.ok(); });
  std::vector<bool> again(pendings.size(), false);
  if (!all_ok) {
    absl::flat_hash_set<std::string_view>
        carried_out;  // keys of which a later operation was, or may have been
    for (std::size_t i = pendings.size(); i-- > 0;) {
      Pending& pending = *pendings[i];
      const std::string_view key = key_of(pending.operation);
      if (results[i].ok()) {
        carried_out.insert(key);
        continue;
      }
      const absl::Status& status = results[i].status();
      const bool retry = may_retry(pending, status);
      again[i] = retry && !carried_out.contains(key);
      if (!again[i] && is_outcome_unknown(overall(pending, status))) carried_out.insert(key);
    }
  }
  for (std::size_t i = 0; i < pendings.size(); ++i) {
    Pending& pending = *pendings[i];
    if (again[i]) {
      pending.last_error = results[i].status();
    } else if (!pending.ended()) {
      end(pending, results[i].ok() ? std::move(results[i])
                                   : OperationResult(overall(pending, results[i].status())));
    }
  }
  drop_ended(*batch);
  if (!pendings.empty()) rest(std::move(batch));
  pump();
}

// Also notes when the attempt may have written.
bool Batcher::may_retry(Pending& pending, const absl::Status& status) {
  if (is_outcome_unknown(status)) pending.maybe_written = is_write(pending.operation);
  if (pending.ended()) return false;
  if (!absl::IsUnavailable(status) && !is_outcome_unknown(status)) return false;
  return pending.deadline - loop_.now() >= worth_an_attempt(pending);
}

void Batcher::rest(std::unique_ptr<Batch> batch) {
  Duration pause{0};
  if (batch->attempts >= pool_.size()) {
    const std::uint32_t doublings =
        std::min<std::uint32_t>(batch->attempts - static_cast<std::uint32_t>(pool_.size()), 10);
    pause = std::min<Duration>(kRestMin * (1U << doublings), kRestMax);
  }
  batch->not_before = loop_.now() + pause;
  resting_.emplace(batch->not_before, batch->id);
  batches_.emplace(batch->id, std::move(batch));
  if (pause > Duration(0)) tasks_.add(loop_.after(pause).then([this] { pump(); }));
}

// Takes those that have ended out of the batch, and lets go of their keys.
void Batcher::drop_ended(Batch& batch) {
  std::vector<std::unique_ptr<Pending>> over;
  std::vector<std::unique_ptr<Pending>> left;
  for (auto& pending : batch.pendings)
    (pending->ended() ? over : left).push_back(std::move(pending));
  batch.pendings = std::move(left);
  release_keys(batch, over);
}

void Batcher::release_keys(const Batch& batch, const std::vector<std::unique_ptr<Pending>>& over) {
  absl::flat_hash_set<std::string_view> kept;
  for (const auto& pending : batch.pendings) kept.insert(key_of(pending->operation));
  std::vector<std::unique_ptr<Pending>> freed;
  for (const auto& pending : over) {
    const std::string& key = key_of(pending->operation);
    if (kept.contains(key)) continue;
    const auto line = lines_.find(key);
    if (line == lines_.end()) continue;  // the key's second operation in this batch
    std::move(line->second.waiting.begin(), line->second.waiting.end(), std::back_inserter(freed));
    lines_.erase(line);
  }
  if (freed.empty()) return;
  std::sort(freed.begin(), freed.end(),
            [](const auto& a, const auto& b) { return a->order < b->order; });
  queue_.insert(queue_.begin(), std::make_move_iterator(freed.begin()),
                std::make_move_iterator(freed.end()));
}

void Batcher::end(Pending& pending, OperationResult result) {
  deadlines_.remove(pending);
  pending.end(std::move(result));
}

void Batcher::expire() {
  const Instant now = loop_.now();
  const std::string unreachable = pool_.why_unreachable();
  bool any = false;
  while (Pending* pending = deadlines_.take_expired(now)) {
    pending->end(final_error(*pending, false, unreachable));
    any = true;
  }
  if (any) std::erase_if(queue_, [](const auto& pending) { return pending->ended(); });

  std::vector<BatchId> over;
  for (auto& [id, batch] : batches_) {
    const bool all_ended = batch->last_deadline <= now;
    if (all_ended && batch->in_flight && !batch->overdue) look_after_overdue(*batch);
    if (all_ended && !batch->in_flight) over.push_back(id);
  }
  for (const BatchId id : over) {
    const auto found = batches_.find(id);
    resting_.erase({found->second->not_before, id});
    const std::unique_ptr<Batch> batch = std::move(found->second);
    batches_.erase(found);
    drop_ended(*batch);
  }
  pump();
}

// Nobody waits for the batch any more, and its keys are free; but a node that does not answer at
// all must not keep its place.
void Batcher::look_after_overdue(Batch& batch) {
  drop_ended(batch);
  batch.overdue = true;
  batch.link->requests_overdue += 1;
  tasks_.add(loop_.after(kAnswerGrace).then([this, id = batch.id] {
    const auto found = batches_.find(id);
    if (found == batches_.end() || !found->second->overdue) return;
    NodeLink& link = *found->second->link;
    link.give_up(fmt::format("{} does not answer", link.name()));
  }));
}

void Batcher::arm_timer() {
  const std::optional<Instant> next = deadlines_.next();
  if (!next.has_value() || (timer_at_.has_value() && *timer_at_ <= *next)) return;
  const Instant now = loop_.now();
  const Instant at = std::max(*next, now + kTimerGrain);
  if (timer_at_.has_value() && *timer_at_ <= at) return;
  timer_at_ = at;
  tasks_.add(loop_.after(at - now).then([this, at] {
    if (timer_at_ == at) timer_at_.reset();
    expire();
  }));
}

void Batcher::close() {
  while (Pending* pending = deadlines_.take_expired({Duration::max()})) {
    pending->end(final_error(*pending, true, ""));
  }
}

void Batcher::taskFailed(kj::Exception&& exception) {
  // Answers, failures and timers are all handled above; what arrives here is a bug of ours.
  check_failed(__FILE__, __LINE__, "no task fails", exception.getDescription().cStr());
}

}  // namespace grapevine::client
