// Goal: calls work both ways over one stream, errors keep their codes, and the end of the other
// side is always noticed. Method: two connections in one loop, or one whose peer is a bare stream
// under the test's control.
#include "rpc/connection.h"

#include <capnp/serialize-async.h>

#include "tests/rpc/echo_server.h"
#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

const PeerInfo kPeer{Address{"peer", 1}};

class ConnectionTest : public LoopTest {
 protected:
  kj::Own<Connection> client(kj::Own<kj::AsyncIoStream> stream, ConnectionOptions options = {}) {
    return kj::heap<Connection>(loop_, kj::mv(stream), kPeer, Connection::Side::kClient, nullptr,
                                options);
  }
  kj::Own<Connection> server(kj::Own<kj::AsyncIoStream> stream, ConnectionOptions options = {}) {
    return kj::heap<Connection>(loop_, kj::mv(stream), kPeer, Connection::Side::kServer,
                                capnp::Capability::Client(kj::heap<EchoServer>(state_)), options);
  }

  static kj::Promise<std::size_t> echo(Echo::Client& echo, std::size_t size) {
    auto request = echo.echoRequest();
    request.initData(static_cast<kj::uint>(size));
    return request.send().then([](auto&& response) { return response.getData().size(); });
  }

  EchoState state_;
};

TEST_F(ConnectionTest, CallsAreAnsweredWhateverTheirSize) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  for (const std::size_t size : {0u, 1u, 100u, 100'000u, 10'000'000u}) {
    EXPECT_EQ(loop_.run_until(echo(remote, size)), size);
  }
}

TEST_F(ConnectionTest, AThousandCallsAtOnceAreAllAnswered) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  std::size_t answered = 0;
  auto calls = kj::heapArrayBuilder<kj::Promise<void>>(1'000);
  for (std::size_t i = 0; i < 1'000; ++i) {
    calls.add(echo(remote, i).then([i, &answered](std::size_t size) {
      EXPECT_EQ(size, i);
      ++answered;
    }));
  }
  loop_.run_until(kj::joinPromises(calls.finish()));
  EXPECT_EQ(answered, 1'000u);
}

TEST_F(ConnectionTest, BothSidesMayOfferACapability) {
  auto pair = connected();
  EchoState near_state;
  auto served = server(kj::mv(pair.far));
  auto connection = kj::heap<Connection>(
      loop_, kj::mv(pair.near), kPeer, Connection::Side::kClient,
      capnp::Capability::Client(kj::heap<EchoServer>(near_state)), ConnectionOptions{});
  auto there = connection->bootstrap<Echo>();
  auto back = served->bootstrap<Echo>();
  EXPECT_EQ(loop_.run_until(echo(there, 3)), 3u);
  EXPECT_EQ(loop_.run_until(echo(back, 4)), 4u);
  EXPECT_EQ(state_.calls_begun, 1);
  EXPECT_EQ(near_state.calls_begun, 1);
}

TEST_F(ConnectionTest, EveryStatusArrivesWithItsCodeAndText) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  for (std::uint16_t code = 1; code <= 16; ++code) {
    auto request = remote.failRequest();
    request.setCode(code);
    request.setText("key 'x' is over the limit: shorten it");
    const kj::Exception failure = failure_of(request.send().then([](auto&&) { return 0; }));
    EXPECT_EQ(to_status(failure), absl::Status(static_cast<absl::StatusCode>(code),
                                               "key 'x' is over the limit: shorten it"));
    EXPECT_FALSE(is_connection_lost(failure));
  }
  EXPECT_EQ(loop_.run_until(echo(remote, 1)), 1u);
}

TEST_F(ConnectionTest, MessageOverTheLimitFailsItsCallOnly) {
  ConnectionOptions options;
  options.message_bytes_max = 100'000;
  auto pair = connected();
  auto served = server(kj::mv(pair.far), options);
  auto connection = client(kj::mv(pair.near), options);
  auto remote = connection->bootstrap<Echo>();
  EXPECT_TRUE(absl::IsInvalidArgument(to_status(failure_of(echo(remote, 200'000)))));

  auto request = remote.produceRequest();  // here it is the answer that is too large
  request.setSize(200'000);
  const kj::Exception failure = failure_of(request.send().then([](auto&&) { return 0; }));
  EXPECT_TRUE(absl::IsInvalidArgument(to_status(failure))) << to_status(failure);
  EXPECT_EQ(loop_.run_until(echo(remote, 90'000)), 90'000u);
}

TEST_F(ConnectionTest, CancelledCallIsCancelledOnTheOtherSide) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  {
    const auto call = remote.waitRequest().send();
    run_while_not([&] { return state_.waiting.size() == 1; });
  }
  run_while_not([&] { return state_.calls_dropped == 1; });
  EXPECT_EQ(loop_.run_until(echo(remote, 1)), 1u);
}

TEST_F(ConnectionTest, ResetInTheMiddleOfACallFailsItAsLost) {
  auto pair = connected();
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  auto call = remote.waitRequest().send().then([](auto&&) { return 0; });
  auto ended = connection->on_disconnect();
  loop_.run_until(capnp::readMessage(*pair.far).ignoreResult());  // the call has arrived
  reset(kj::mv(pair.far));
  EXPECT_TRUE(is_connection_lost(failure_of(kj::mv(call))));
  loop_.run_until(kj::mv(ended));
  EXPECT_TRUE(absl::IsUnavailable(connection->end_reason())) << connection->end_reason();
  EXPECT_FALSE(connection->ended_in_order());
  EXPECT_TRUE(is_connection_lost(failure_of(echo(remote, 1))));
}

TEST_F(ConnectionTest, OrderlyEndIsNoticedAndFailsWhatIsUnderWay) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  auto call = remote.waitRequest().send().then([](auto&&) { return 0; });
  run_while_not([&] { return state_.waiting.size() == 1; });
  loop_.run_until(served->close());
  served = nullptr;
  run_while_not([&] { return state_.calls_dropped == 1; });
  EXPECT_TRUE(is_connection_lost(failure_of(kj::mv(call))));
  loop_.run_until(connection->on_disconnect());
  EXPECT_TRUE(connection->ended_in_order());
  EXPECT_EQ(connection->end_reason(), absl::UnavailableError("peer:1 closed the connection"));
}

TEST_F(ConnectionTest, CloseSendsWhatWasAnswered) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  auto call = echo(remote, 5'000'000);
  auto answer = call.fork();
  auto first = answer.addBranch().then([](std::size_t) {}).eagerlyEvaluate(nullptr);
  run_while_not([&] { return state_.calls_begun == 1; });
  auto closed = served->close().then([&] { served = nullptr; }).eagerlyEvaluate(nullptr);
  EXPECT_EQ(loop_.run_until(answer.addBranch()), 5'000'000u);
  loop_.run_until(kj::mv(closed));
}

TEST_F(ConnectionTest, PeerThatNeitherReadsNorClosesIsLetGoAfterGarbage) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  write_text(*pair.near, "garbage garbage garbage");
  loop_.run_until(served->on_disconnect());
  EXPECT_TRUE(absl::IsInvalidArgument(served->end_reason())) << served->end_reason();
}

TEST_F(ConnectionTest, ReaderThatIsTooSlowHoldsUpItsOwnCallsAndLittleMemory) {
  constexpr int kCalls = 200;
  ConnectionOptions options;
  options.queued_bytes_max = 1'000'000;
  auto pair = connected();
  auto served = server(kj::mv(pair.far), options);
  auto pipe = kj::
      newTwoWayPipe();  // the client's bytes go through it, the answers only once the test wants
  auto calls_out = pipe.ends[1]->pumpTo(*pair.near).ignoreResult().eagerlyEvaluate(nullptr);
  auto connection = client(kj::mv(pipe.ends[0]));
  auto remote = connection->bootstrap<Echo>();
  auto calls = kj::heapArrayBuilder<kj::Promise<void>>(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    auto request = remote.produceRequest();
    request.setSize(500'000);
    calls.add(request.send().ignoreResult());
  }
  auto all = kj::joinPromises(calls.finish()).eagerlyEvaluate(nullptr);
  run_while_not([&] { return served->queued_bytes() > options.queued_bytes_max; });
  loop_.run_until(loop_.after(std::chrono::milliseconds(5)));
  EXPECT_LT(served->queued_bytes(), 2 * options.queued_bytes_max);
  EXPECT_LT(state_.calls_begun, kCalls / 2);

  auto answers_in = pair.near->pumpTo(*pipe.ends[1]).ignoreResult().eagerlyEvaluate(nullptr);
  loop_.run_until(kj::mv(all));
  EXPECT_EQ(state_.calls_begun, kCalls);
}

TEST_F(ConnectionTest, CapabilitiesThatOutliveTheirConnectionFail) {
  auto pair = connected();
  auto served = server(kj::mv(pair.far));
  auto connection = client(kj::mv(pair.near));
  auto remote = connection->bootstrap<Echo>();
  EXPECT_EQ(loop_.run_until(echo(remote, 1)), 1u);
  connection = nullptr;
  EXPECT_TRUE(is_connection_lost(failure_of(echo(remote, 1))));
}

}  // namespace
}  // namespace grapevine::rpc::test
