// Reads that need not, or must not, be done on the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <kj/async.h>

#include "storage/executor.h"
#include "storage/store.h"

namespace grapevine::server {

// What `read` returns, from the executor's lane for reads. `read` uses what Executor allows; it is
// destroyed over there, before the promise is fulfilled. Dropping the promise does not stop it: what
// it uses must live until the executor is idle.
template <typename Read>
kj::Promise<decltype(std::declval<Read&>()())> off_loop(storage::Executor& executor, Read read) {
  using Result = decltype(read());
  auto promise = kj::newPromiseAndFulfiller<Result>();
  struct State {
    std::optional<Read> read;
    std::optional<Result> result;
    kj::Own<kj::PromiseFulfiller<Result>> fulfiller;
  };
  const auto state = std::make_shared<State>();
  state->read.emplace(std::move(read));
  state->fulfiller = kj::mv(promise.fulfiller);
  executor.run_read(
      [state] {
        state->result.emplace((*state->read)());
        state->read.reset();
      },
      [state] { state->fulfiller->fulfill(*std::move(state->result)); });
  return kj::mv(promise.promise);
}

// Does `then` when what `begin` was given is called; its result. Not done any more when the promise
// was dropped.
template <typename Begin, typename Then>
auto when_called(Begin begin, Then then) {
  using Result = decltype(then());
  auto promise = kj::newPromiseAndFulfiller<Result>();
  struct State {
    Then then;
    kj::Own<kj::PromiseFulfiller<Result>> fulfiller;
  };
  const auto state = std::make_shared<State>(State{std::move(then), kj::mv(promise.fulfiller)});
  begin([state] {
    if (!state->fulfiller->isWaiting()) return;
    state->fulfiller->rejectIfThrows([&] {
      if constexpr (std::is_void_v<Result>) {
        state->then();
        state->fulfiller->fulfill();
      } else {
        state->fulfiller->fulfill(state->then());
      }
    });
  });
  return kj::mv(promise.promise);
}

// Warms `keys` (Store::warm), then does `then`, which finds them in memory.
template <typename Then>
auto when_warm(storage::Store& store, std::vector<std::string> keys, Then then,
               std::size_t bytes_max = ~std::size_t{0}) {
  return when_called(
      [&](std::function<void()> done) { store.warm(std::move(keys), std::move(done), bytes_max); },
      std::move(then));
}
// The same, of ranges of tokens.
template <typename Then>
auto when_warm(storage::Store& store, std::vector<model::TokenRange> ranges, std::size_t keys_max,
               Then then) {
  return when_called(
      [&](std::function<void()> done) {
        if (ranges.empty()) return done();
        store.warm(std::move(ranges), std::nullopt, keys_max, std::move(done));
      },
      std::move(then));
}

}  // namespace grapevine::server
