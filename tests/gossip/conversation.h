// One exchange between two replicas with ghosts, message by message: the test says which message moves on
// and which is lost.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "gossip/exchange.h"
#include "gossip/responder.h"
#include "tests/gossip/ghost.h"

namespace grapevine::gossip {

struct ConversationOptions {
  ExchangeOptions exchange;
  ResponderLimits limits;
};

// Resource. Both replicas must outlive it.
class Conversation {
 public:
  // From the beginning, over all partitions.
  Conversation(GhostlyReplica& initiator, GhostlyReplica& responder,
               const ConversationOptions& options = {});
  // From what a comparison by `responder` had shown on.
  Conversation(GhostlyReplica& initiator, GhostlyReplica& responder, Hint hint,
               const ConversationOptions& options = {});
  // From the states that `responder` had sent on.
  struct SentStates {
    std::vector<PartitionState> states;
    std::shared_ptr<const ReachedByKey> reached;  // their ghost
  };
  Conversation(GhostlyReplica& initiator, GhostlyReplica& responder, SentStates theirs,
               const ConversationOptions& options = {});

  bool done() const { return exchange_.done(); }
  const ExchangeReport& report() const { return exchange_.report(); }
  std::size_t under_way() const { return messages_.size(); }
  std::size_t views_open() const { return views_.size(); }
  const GhostlyReplica& initiator() const { return initiator_; }
  const GhostlyReplica& responder() const { return responder_; }

  // The message moves on: a request reaches the responder and is answered, an answer reaches the
  // initiator. REQUIRES: message < under_way().
  void move(std::size_t message);
  void lose(std::size_t message);
  // The responder is gone, and with it all views: everything under way fails.
  void break_off();
  // Moves everything, oldest first, until it is done.
  void run();

  // How many requests of one kind there were.
  template <typename Request>
  std::size_t asked() const {
    return asked_[ExchangeRequest(Request{}).index()];
  }
  std::size_t asked_in_all() const;
  // The states that the initiator sent: what the responder begins an exchange of its own with.
  std::optional<SentStates> take_states() { return std::exchange(states_, {}); }
  // The same of a comparison.
  std::optional<Hint> take_hint() { return std::exchange(hint_, {}); }

 private:
  struct Message {
    Exchange::RequestNumber number;
    ExchangeRequest request;
    std::optional<absl::StatusOr<ExchangeReply>> answer;
    std::shared_ptr<const ReachedByKey> reached;     // the ghost of the answer
    std::shared_ptr<const ReachedByKey> asked_with;  // of the states in the request
  };

  void collect();
  absl::StatusOr<ExchangeReply> answered(Message& message);
  void deliver(Message message);
  static std::shared_ptr<const ReachedByKey> ghost_of(const GhostlyReplica& replica);

  GhostlyReplica& initiator_;
  GhostlyReplica& responder_;
  const ConversationOptions options_;
  Exchange exchange_;
  std::vector<Message> messages_;  // oldest first
  std::map<PartitionId, std::unique_ptr<PartitionView>> views_;
  std::array<std::size_t, std::variant_size_v<ExchangeRequest>> asked_{};
  std::optional<SentStates> states_;
  std::optional<Hint> hint_;
  // Of the states that the responder told: what is adopted with them, whenever that is.
  std::shared_ptr<const ReachedByKey> told_;
};

// An exchange, and the one that the responder begins in turn: push and pull. The report is of the
// first.
ExchangeReport push_pull(GhostlyReplica& a, GhostlyReplica& b,
                         const ConversationOptions& options = {});

}  // namespace grapevine::gossip
