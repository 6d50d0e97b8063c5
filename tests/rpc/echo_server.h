// The service of echo.capnp, with a gate that the test opens.
#pragma once

#include <kj/async.h>

#include <string>
#include <vector>

#include "rpc/errors.h"
#include "tests/rpc/echo.capnp.h"

namespace grapevine::rpc::test {

// What the test and the server objects share; outlives them.
struct EchoState {
  int calls_begun = 0;
  int calls_dropped = 0;  // waiting calls that were cancelled
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
};

class EchoServer final : public Echo::Server {
 public:
  explicit EchoServer(EchoState& state) : state_(state) {}

 protected:
  kj::Promise<void> echo(EchoContext context) override {
    ++state_.calls_begun;
    context.getResults().setData(context.getParams().getData());
    return kj::READY_NOW;
  }

  kj::Promise<void> batch(BatchContext context) override {
    ++state_.calls_begun;
    const auto operations = context.getParams().getOperations();
    auto values = context.getResults().initValues(operations.size());
    for (kj::uint i = 0; i < operations.size(); ++i) values.set(i, operations[i].getValue());
    return kj::READY_NOW;
  }

  kj::Promise<void> fail(FailContext context) override {
    const auto params = context.getParams();
    const std::string text(params.getText().begin(), params.getText().size());
    return to_exception(absl::Status(static_cast<absl::StatusCode>(params.getCode()), text));
  }

  kj::Promise<void> wait(WaitContext context) override {
    ++state_.calls_begun;
    context.allowCancellation();
    auto gate = kj::newPromiseAndFulfiller<void>();
    state_.waiting.push_back(kj::mv(gate.fulfiller));
    auto watch = kj::heap<Watch>(state_);
    auto& done = watch->done;
    return gate.promise.then([&done] { done = true; }).attach(kj::mv(watch));
  }

  kj::Promise<void> produce(ProduceContext context) override {
    ++state_.calls_begun;
    context.getResults().initData(context.getParams().getSize());
    return kj::READY_NOW;
  }

 private:
  // Lives as long as a waiting call.
  struct Watch {
    explicit Watch(EchoState& the_state) : state(the_state) {}
    ~Watch() {
      if (!done) ++state.calls_dropped;
    }
    EchoState& state;
    bool done = false;
  };

  EchoState& state_;
};

}  // namespace grapevine::rpc::test
