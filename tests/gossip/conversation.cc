#include "tests/gossip/conversation.h"

#include <numeric>
#include <utility>

#include "gossip/partition_states.h"

namespace grapevine::gossip {
namespace {

template <typename Reply>
absl::StatusOr<ExchangeReply> widened(absl::StatusOr<Reply> reply) {
  if (!reply.ok()) return reply.status();
  return ExchangeReply(*std::move(reply));
}

}  // namespace

Conversation::Conversation(GhostlyReplica& initiator, GhostlyReplica& responder,
                           const ConversationOptions& options)
    : initiator_(initiator),
      responder_(responder),
      options_(options),
      exchange_(initiator, initiator.partitions(), options.exchange) {
  collect();
}

Conversation::Conversation(GhostlyReplica& initiator, GhostlyReplica& responder, Hint hint,
                           const ConversationOptions& options)
    : initiator_(initiator),
      responder_(responder),
      options_(options),
      exchange_(initiator, initiator.partitions(), options.exchange, std::move(hint)) {
  collect();
}

Conversation::Conversation(GhostlyReplica& initiator, GhostlyReplica& responder, SentStates theirs,
                           const ConversationOptions& options)
    : initiator_(initiator),
      responder_(responder),
      options_(options),
      exchange_((initiator.arriving(theirs.reached),
                 Exchange::from_states(initiator, std::move(theirs.states), 0, options.exchange))),
      told_(theirs.reached) {
  initiator.arriving(nullptr);
  collect();
}

std::shared_ptr<const ReachedByKey> Conversation::ghost_of(const GhostlyReplica& replica) {
  auto ghost = std::make_shared<ReachedByKey>();
  for (const PartitionId partition : replica.partitions()) ghost->merge(replica.reached(partition));
  return ghost;
}

void Conversation::collect() {
  Exchange::Output output = exchange_.take_output();
  for (auto& request : output.requests) {
    ++asked_[request.body.index()];
    const bool tells = std::holds_alternative<StatesRequest>(request.body);
    messages_.push_back({request.number, std::move(request.body), std::nullopt, nullptr,
                         tells ? ghost_of(initiator_) : nullptr});
  }
  for (const PartitionId partition : output.close_views) views_.erase(partition);
  if (exchange_.done()) views_.clear();
}

absl::StatusOr<ExchangeReply> Conversation::answered(Message& message) {
  const auto& request = message.request;
  const auto ghost_of_now = [&](PartitionId partition) {
    return std::make_shared<const ReachedByKey>(responder_.reached(partition));
  };
  if (const auto* summary = std::get_if<SummaryRequest>(&request)) {
    return ExchangeReply(answer(responder_, responder_.partitions(), *summary));
  }
  if (const auto* compare = std::get_if<CompareRequest>(&request)) {
    message.reached = ghost_of(responder_);
    const auto judged = judge(responder_, responder_.partitions(), *compare, options_.limits);
    if (!judged.ok()) return judged.status();
    if (judged->verdict == CompareVerdict::kPulling) hint_ = {judged->slots, judged->dots_apart};
    return widened(answer(responder_, responder_.partitions(), *judged, options_.limits));
  }
  if (const auto* states = std::get_if<StatesRequest>(&request)) {
    if (!states->in_turn) states_ = SentStates{states->states, message.asked_with};
    message.reached = ghost_of(responder_);
    return ExchangeReply(answer(responder_, responder_.partitions(), *states));
  }
  if (const auto* delta = std::get_if<DeltaRequest>(&request)) {
    message.reached = ghost_of_now(delta->partition);
    return widened(answer(responder_, *delta, options_.limits));
  }
  if (const auto* open = std::get_if<OpenViewRequest>(&request)) {
    auto& view = views_[open->partition];
    view = responder_.freeze(open->partition);
    message.reached = ghost_of_now(open->partition);
    return ExchangeReply(OpenViewReply{state_of(*view, open->partition)});
  }
  if (const auto* add_up = std::get_if<AddUpRequest>(&request)) {
    GRAPEVINE_RETURN_IF_ERROR(responder_.add_up(add_up->partition));
    return ExchangeReply(AddUpReply{});
  }
  if (const auto* sketch = std::get_if<SketchRequest>(&request)) {
    message.reached = ghost_of(responder_);
    return widened(answer(responder_, *sketch, options_.limits));
  }
  const auto held = views_.find(*message.number.partition);
  if (held == views_.end()) return absl::InternalError("a view was asked before it was opened");
  const PartitionView& view = *held->second;
  message.reached =
      std::make_shared<const ReachedByKey>(static_cast<const GhostlyView&>(view).reached());
  if (const auto* split = std::get_if<SplitRequest>(&request)) {
    return widened(answer(view, *split, options_.limits));
  }
  if (const auto* pull = std::get_if<PullRequest>(&request)) {
    return widened(answer(view, *pull, options_.limits));
  }
  return widened(answer(view, std::get<FetchRequest>(request), options_.limits));
}

void Conversation::deliver(Message message) {
  if (message.answer->ok()) {
    if (std::holds_alternative<StatesReply>(**message.answer)) told_ = message.reached;
    auto ghost = std::make_shared<ReachedByKey>();
    if (message.reached != nullptr) *ghost = *message.reached;
    if (told_ != nullptr) ghost->insert(told_->begin(), told_->end());  // of other partitions
    initiator_.arriving(ghost);
    exchange_.on_reply(message.number, **std::move(message.answer));
    initiator_.arriving(nullptr);
  } else {
    exchange_.on_failure(message.number, message.answer->status());
  }
  collect();
}

void Conversation::move(std::size_t message) {
  Message& moving = messages_.at(message);
  if (!moving.answer.has_value()) {
    moving.answer = answered(moving);
    return;
  }
  Message arrived = std::move(moving);
  messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(message));
  deliver(std::move(arrived));
}

void Conversation::lose(std::size_t message) {
  Message lost = std::move(messages_.at(message));
  messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(message));
  lost.answer = absl::UnavailableError("lost");
  deliver(std::move(lost));
}

void Conversation::break_off() {
  views_.clear();
  while (!messages_.empty()) lose(0);
}

void Conversation::run() {
  while (!messages_.empty()) move(0);
}

std::size_t Conversation::asked_in_all() const {
  return std::accumulate(asked_.begin(), asked_.end(), std::size_t{0});
}

ExchangeReport push_pull(GhostlyReplica& a, GhostlyReplica& b, const ConversationOptions& options) {
  Conversation there(a, b, options);
  there.run();
  if (auto states = there.take_states()) {
    Conversation back(b, a, *std::move(states), options);
    back.run();
  } else if (auto hint = there.take_hint()) {
    Conversation back(b, a, *std::move(hint), options);
    back.run();
  }
  return there.report();
}

}  // namespace grapevine::gossip
