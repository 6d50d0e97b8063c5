// What the tests of rpc/ share: a loop whose background failures are collected, and streams over
// real loopback sockets.
#pragma once

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "rpc/asio_loop.h"
#include "rpc/errors.h"
#include "rpc/network.h"

namespace grapevine::rpc::test {

inline const Address kAnyPort{"127.0.0.1", 0};

inline std::string text_of(const absl::Status& status) {
  return std::string(grapevine::text_of(status));
}

struct StreamPair {
  kj::Own<kj::AsyncIoStream> near;
  kj::Own<kj::AsyncIoStream> far;
};

class LoopTest : public testing::Test {
 protected:
  std::unique_ptr<Listener> listen(ListenOptions options = {}) {
    auto listener = loop_.network().listen(kAnyPort, std::move(options));
    EXPECT_TRUE(listener.ok()) << listener.status();
    return *std::move(listener);
  }

  kj::Own<kj::AsyncIoStream> dial(const Address& address) {
    return loop_.run_until(loop_.network().connect(address, ConnectOptions{}));
  }

  StreamPair connected() {
    auto accepted = kj::newPromiseAndFulfiller<kj::Own<kj::AsyncIoStream>>();
    auto listener = listen();
    listener->start([&](kj::Own<kj::AsyncIoStream> stream, const PeerInfo&) {
      accepted.fulfiller->fulfill(kj::mv(stream));
    });
    auto near = dial(listener->address());
    return {kj::mv(near), loop_.run_until(kj::mv(accepted.promise))};
  }

  // The failure of `promise`, which is expected to fail.
  template <typename T>
  kj::Exception failure_of(kj::Promise<T> promise) {
    kj::Maybe<kj::Exception> failure;
    loop_.run_until(
        promise.then([](auto&&...) {}, [&](kj::Exception&& e) { failure = kj::mv(e); }));
    KJ_IF_MAYBE (exception, failure) {
      return kj::mv(*exception);
    }
    ADD_FAILURE() << "the promise did not fail";
    return kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str("none"));
  }
  kj::Exception failure_of(kj::Promise<void> promise) {
    return failure_of(promise.then([] { return 0; }));
  }

  // Lets the loop go on until `condition` holds.
  template <typename Condition>
  void run_while_not(Condition condition) {
    while (!condition()) loop_.run_until(loop_.after(std::chrono::microseconds(100)));
  }

  std::string read_text(kj::AsyncInputStream& stream, std::size_t size) {
    std::string text(size, '\0');
    text.resize(loop_.run_until(stream.tryRead(text.data(), size, size)));
    return text;
  }

  void write_text(kj::AsyncOutputStream& stream, const std::string& text) {
    loop_.run_until(stream.write(text.data(), text.size()));
  }

  // Ends the connection with a reset instead of an orderly end.
  static void reset(kj::Own<kj::AsyncIoStream> stream) {
    const struct linger abort_at_close = {1, 0};
    stream->setsockopt(SOL_SOCKET, SO_LINGER, &abort_at_close, sizeof(abort_at_close));
    stream->abortRead();
  }

  std::vector<absl::Status> failures_;  // of tasks and posted functions
  AsioLoop loop_{[this](const absl::Status& status) { failures_.push_back(status); }};
};

}  // namespace grapevine::rpc::test
