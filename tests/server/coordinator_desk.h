// A coordinator whose calls to peers lie on a desk: a test answers or fails each by hand, syncs the
// disk and moves time. The node itself and the peers B and C own every key.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {

inline constexpr NodeId kB{2};
inline constexpr NodeId kC{3};

class CoordinatorDesk : public ::testing::Test {
 protected:
  static constexpr Duration kTimeout = std::chrono::seconds(1);
  using Answers = std::vector<OperationAnswer>;

  explicit CoordinatorDesk(const MemoryStore::Earlier& earlier = MemoryStore::Earlier())
      : store_(1, 1, earlier) {
    ring_.owners_of_all = {store_.node(), kB, kC};
  }
  ~CoordinatorDesk() override {
    store_.sync();
  }  // nothing is reported to a coordinator that is gone

  // Begins a request that ends a second from now; the test fails when it is refused.
  RequestId begin(std::vector<Operation> operations, bool may_forward = true) {
    const auto id =
        coordinator_.execute(std::move(operations), may_forward, now_ + kTimeout, WallTime{7});
    EXPECT_TRUE(ok(id.status()));
    collect();
    return id.value_or(RequestId{});
  }
  RequestId begin(Operation operation) {
    std::vector<Operation> operations;
    operations.push_back(std::move(operation));
    return begin(std::move(operations));
  }

  bool answered(RequestId id) const { return answers_.contains(id); }
  // Of a request that has ended.
  const Answers& answers(RequestId id) const { return answers_.at(id); }
  const OperationAnswer& answer(RequestId id) const { return answers(id).at(0); }

  // The only call to `peer` that is still on the desk, taken from it.
  PeerCall take(NodeId peer) {
    const auto is_to = [&](const PeerCall& call) { return call.to == peer; };
    EXPECT_EQ(std::count_if(desk_.begin(), desk_.end(), is_to), 1)
        << "calls to " << to_string(peer);
    const auto found = std::find_if(desk_.begin(), desk_.end(), is_to);
    if (found == desk_.end()) return {};
    PeerCall call = std::move(*found);
    desk_.erase(found);
    return call;
  }
  template <typename Call>
  Call body(const PeerCall& call) {
    const auto* body = std::get_if<Call>(&call.body);
    EXPECT_NE(body, nullptr) << "a call of another kind";
    return body == nullptr ? Call{} : *body;
  }

  void reply(CallId call, PeerReply reply) {
    coordinator_.on_reply(call, std::move(reply));
    collect();
  }
  void fail(CallId call, const absl::Status& status = absl::UnavailableError("gone")) {
    coordinator_.on_failure(call, status);
    collect();
  }
  // `peer` has stored what the only call to it carries.
  void confirm(NodeId peer) {
    const PeerCall call = take(peer);
    body<ReplicateCall>(call);
    reply(call.id, ReplicateReply{});
  }
  void fail(NodeId peer) { fail(take(peer).id); }
  // `peer` answers a read of one key so.
  void show(NodeId peer, absl::StatusOr<model::Entry> entry) {
    const PeerCall call = take(peer);
    body<ReadCall>(call);
    show(call.id, std::move(entry));
  }
  void show(CallId call, absl::StatusOr<model::Entry> entry) {
    ReadReply read;
    read.entries.push_back(std::move(entry));
    reply(call, std::move(read));
  }

  void sync() {
    store_.sync();
    collect();
  }
  // Reads what is cold.
  void warm() { sync(); }
  void pass(Duration time) {
    now_ = now_ + time;
    coordinator_.tick(now_);
    collect();
  }

  void collect() {
    for (;;) {
      CoordinatorOutput output = coordinator_.take_output();
      for (PeerCall& call : output.calls) desk_.push_back(std::move(call));
      for (CoordinatorOutput::Answer& answer : output.answers) {
        EXPECT_TRUE(answers_.emplace(answer.request, std::move(answer.answers)).second)
            << "answered twice";
      }
      for (CoordinatorOutput::Warm& warm : output.warms) {
        store_->warm(std::move(warm.keys), [this, id = warm.id] {
          coordinator_.on_warm(id);
          collect();
        });
      }
      lagging_.insert(lagging_.end(), output.lagging.begin(), output.lagging.end());
      must_renew_actor_ = must_renew_actor_ || output.must_renew_actor;
      if (output.wait_durable == 0 && output.warms.empty()) return;
      if (output.wait_durable == 0) continue;
      store_->when_durable(output.wait_durable, [this, number = output.wait_durable] {
        coordinator_.on_durable(number);
        collect();
      });
    }
  }

  MemoryStore store_;  // sync() also reads what is cold
  HandRing ring_{store_.node()};
  Coordinator coordinator_{*store_, ring_};
  Instant now_{std::chrono::seconds(100)};
  std::vector<PeerCall> desk_;  // not answered yet
  std::map<RequestId, Answers> answers_;
  std::vector<NodeId> lagging_;
  bool must_renew_actor_ = false;
};

}  // namespace grapevine::server::test
