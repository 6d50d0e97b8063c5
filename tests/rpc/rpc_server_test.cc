// Goal: one bad peer costs a server one connection and one line; stopping lets go of everybody.
// Method: a server on a port of its own, good clients, and peers that send what they like.
#include "rpc/rpc_server.h"

#include "tests/rpc/echo_server.h"
#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class RpcServerTest : public LoopTest {
 protected:
  void serve(ListenOptions listen_options = {}, ConnectionOptions options = {}) {
    server_ = std::make_unique<RpcServer>(
        loop_, listen(std::move(listen_options)),
        [this](const PeerInfo&) { return capnp::Capability::Client(kj::heap<EchoServer>(state_)); },
        options,
        [this](const PeerInfo&, const absl::Status& status) { ended_badly_.push_back(status); });
  }

  kj::Own<Connection> client() {
    return kj::heap<Connection>(loop_, dial(server_->address()), PeerInfo{server_->address()},
                                Connection::Side::kClient, nullptr, ConnectionOptions{});
  }

  static kj::Promise<std::size_t> echo(Echo::Client& echo, std::size_t size) {
    auto request = echo.echoRequest();
    request.initData(static_cast<kj::uint>(size));
    return request.send().then([](auto&& response) { return response.getData().size(); });
  }

  // Sends `bytes`, waits until the server has let go, and returns what it reported.
  absl::Status complaint_about(const std::string& bytes, bool half_close) {
    auto peer = dial(server_->address());
    const std::size_t before = ended_badly_.size();
    write_text(*peer, bytes);
    if (half_close) peer->shutdownWrite();
    loop_.run_until(peer->readAllBytes().ignoreResult());
    run_while_not([&] { return ended_badly_.size() == before + 1; });
    return ended_badly_.back();
  }

  EchoState state_;
  std::vector<absl::Status> ended_badly_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(RpcServerTest, ServesManyConnectionsAndCountsThem) {
  serve();
  std::vector<kj::Own<Connection>> clients;
  for (std::size_t i = 0; i < 200; ++i) {
    clients.push_back(client());
    auto remote = clients.back()->bootstrap<Echo>();
    EXPECT_EQ(loop_.run_until(echo(remote, i)), i);
  }
  EXPECT_EQ(server_->connections(), 200u);
  clients.clear();
  run_while_not([&] { return server_->connections() == 0; });
  EXPECT_TRUE(ended_badly_.empty());
}

TEST_F(RpcServerTest, BadPeersCostOneConnectionAndOneLineEach) {
  ConnectionOptions options;
  options.message_bytes_max = 1'000'000;
  serve({}, options);
  auto good = client();
  auto remote = good->bootstrap<Echo>();
  EXPECT_EQ(loop_.run_until(echo(remote, 5)), 5u);

  EXPECT_TRUE(absl::IsInvalidArgument(complaint_about("GET / HTTP/1.1\r\n\r\n", false)));
  EXPECT_TRUE(
      absl::IsInvalidArgument(complaint_about(std::string("\0\0\0\0\xff\xff\xff\x7f", 8), false)));
  EXPECT_TRUE(
      absl::IsUnavailable(complaint_about(std::string("\0\0\0\0\x09\0\0\0half", 12), true)));
  // A whole message, but nonsense: its root pointer leads nowhere.
  EXPECT_FALSE(
      complaint_about(std::string("\0\0\0\0\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16), false)
          .ok());
  for (const absl::Status& status : ended_badly_) {
    EXPECT_EQ(text_of(status).find('\n'), std::string::npos) << status;
  }
  EXPECT_EQ(loop_.run_until(echo(remote, 6)), 6u);
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(RpcServerTest, ResetInTheMiddleOfACallIsReportedAndTheCallDropped) {
  serve();
  {
    auto stream = dial(server_->address());
    const struct linger abort_at_close = {1, 0};
    stream->setsockopt(SOL_SOCKET, SO_LINGER, &abort_at_close, sizeof(abort_at_close));
    kj::AsyncIoStream& held = *stream;
    Connection connection(loop_, kj::mv(stream), PeerInfo{server_->address()},
                          Connection::Side::kClient, nullptr, ConnectionOptions{});
    auto call = connection.bootstrap<Echo>().waitRequest().send();
    run_while_not([&] { return state_.waiting.size() == 1; });
    held.abortRead();
  }
  run_while_not([&] { return server_->connections() == 0; });
  EXPECT_EQ(state_.calls_dropped, 1);
  ASSERT_EQ(ended_badly_.size(), 1u);
  EXPECT_TRUE(absl::IsUnavailable(ended_badly_[0]));
}

TEST_F(RpcServerTest, RefusesBeyondItsLimit) {
  ListenOptions options;
  options.connections_max = 1;
  serve(options);
  auto first = client();
  auto remote = first->bootstrap<Echo>();
  EXPECT_EQ(loop_.run_until(echo(remote, 1)), 1u);
  auto second = client();
  loop_.run_until(second->on_disconnect());
  EXPECT_EQ(server_->refused(), 1u);
}

TEST_F(RpcServerTest, StopEndsCallsUnderWayAndEveryConnection) {
  serve();
  std::vector<kj::Own<Connection>> clients;
  std::vector<kj::Promise<int>> calls;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(client());
    calls.push_back(
        clients.back()->bootstrap<Echo>().waitRequest().send().then([](auto&&) { return 0; }));
  }
  run_while_not([&] { return state_.waiting.size() == 10; });
  loop_.run_until(server_->stop());
  EXPECT_EQ(server_->connections(), 0u);
  run_while_not([&] { return state_.calls_dropped == 10; });
  for (auto& call : calls) EXPECT_TRUE(is_connection_lost(failure_of(kj::mv(call))));
  EXPECT_TRUE(is_connection_lost(
      failure_of(loop_.network().connect(server_->address(), ConnectOptions{}))));
}

TEST_F(RpcServerTest, DestroyedServerLeavesNothingBehind) {
  serve();
  auto connection = client();
  auto call = connection->bootstrap<Echo>().waitRequest().send().then([](auto&&) { return 0; });
  run_while_not([&] { return state_.waiting.size() == 1; });
  server_.reset();
  EXPECT_TRUE(is_connection_lost(failure_of(kj::mv(call))));
}

}  // namespace
}  // namespace grapevine::rpc::test
