// Goal: a port is had or its absence explained; accepting goes on through bursts, refusals and a
// lack of descriptors. Method: loopback sockets on ports that the kernel chooses; the process's own
// descriptor limit, lowered for one test.
#include "rpc/tcp_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class ListenerTest : public LoopTest {
 protected:
  // Keeps what is accepted in `accepted_`.
  void keep(Listener& listener) {
    listener.start([this](kj::Own<kj::AsyncIoStream> stream, const PeerInfo& peer) {
      accepted_.push_back(kj::mv(stream));
      peers_.push_back(peer);
    });
  }

  std::vector<kj::Own<kj::AsyncIoStream>> accepted_;
  std::vector<PeerInfo> peers_;
};

TEST_F(ListenerTest, ReportsThePortThatTheKernelChose) {
  const auto listener = listen();
  EXPECT_EQ(listener->address().host, "127.0.0.1");
  EXPECT_NE(listener->address().port, 0);
}

TEST_F(ListenerTest, PortInUseNamesTheAddressAndTheFlag) {
  const auto listener = listen();
  ListenOptions options;
  options.flag = "--client-listen";
  const auto second = loop_.network().listen(listener->address(), options);
  EXPECT_EQ(second.status(),
            absl::FailedPreconditionError(
                "cannot listen on " + to_string(listener->address()) +
                ": address already in use; stop the other process or choose another port "
                "with --client-listen"));
}

TEST_F(ListenerTest, AddressOfAnotherMachineAndUnknownNameAreExplained) {
  const auto foreign = loop_.network().listen(Address{"192.0.2.1", 0}, ListenOptions{});
  EXPECT_TRUE(absl::IsFailedPrecondition(foreign.status()));
  EXPECT_NE(text_of(foreign.status()).find("give an address of this machine with --listen"),
            std::string::npos);
  const auto unknown = loop_.network().listen(Address{"nobody.invalid", 0}, ListenOptions{});
  EXPECT_TRUE(absl::IsFailedPrecondition(unknown.status()));
  EXPECT_NE(text_of(unknown.status()).find("cannot find the host 'nobody.invalid'"),
            std::string::npos);
}

TEST_F(ListenerTest, PortIsFreeAgainAtOnce) {
  Address address;
  {
    auto listener = listen();
    keep(*listener);
    address = listener->address();
    const auto near = dial(address);
    run_while_not([&] { return !accepted_.empty(); });
    accepted_.clear();  // this side closes first, and so keeps the connection in TIME_WAIT
  }
  EXPECT_TRUE(loop_.network().listen(address, ListenOptions{}).ok());
}

TEST_F(ListenerTest, HandsOutWhoIsAtTheOtherEnd) {
  auto listener = listen();
  keep(*listener);
  auto near = dial(listener->address());
  run_while_not([&] { return !peers_.empty(); });
  EXPECT_EQ(peers_[0].address.host, "127.0.0.1");
  sockaddr_in local = {};
  kj::uint length = sizeof(local);
  near->getsockname(reinterpret_cast<sockaddr*>(&local), &length);
  EXPECT_EQ(peers_[0].address.port, ntohs(local.sin_port));
}

TEST_F(ListenerTest, RefusesBeyondTheLimitAndAcceptsAgainBelowIt) {
  ListenOptions options;
  options.connections_max = 2;
  auto listener = listen(options);
  keep(*listener);
  const auto first = dial(listener->address());
  const auto second = dial(listener->address());
  run_while_not([&] { return accepted_.size() == 2; });
  auto third = dial(listener->address());
  EXPECT_EQ(read_text(*third, 1), "");  // an orderly end, not a reset
  EXPECT_EQ(listener->refused(), 1u);
  EXPECT_EQ(listener->connections(), 2u);

  accepted_.pop_back();
  EXPECT_EQ(listener->connections(), 1u);
  const auto fourth = dial(listener->address());
  run_while_not([&] { return accepted_.size() == 2; });
  EXPECT_EQ(listener->refused(), 1u);
}

TEST_F(ListenerTest, WhatTheHandlerThrowsEndsThatConnectionOnly) {
  auto listener = listen();
  int calls = 0;
  listener->start([&](kj::Own<kj::AsyncIoStream> stream, const PeerInfo&) {
    if (++calls == 1) kj::throwFatalException(to_exception(absl::InternalError("no")));
    accepted_.push_back(kj::mv(stream));
  });
  auto first = dial(listener->address());
  EXPECT_EQ(read_text(*first, 1), "");
  const auto second = dial(listener->address());
  run_while_not([&] { return accepted_.size() == 1; });
  EXPECT_EQ(failures_, std::vector<absl::Status>{absl::InternalError("no")});
  EXPECT_EQ(listener->connections(), 1u);
}

TEST_F(ListenerTest, StopsAcceptingButKeepsItsStreams) {
  auto listener = listen();
  keep(*listener);
  auto near = dial(listener->address());
  run_while_not([&] { return !accepted_.empty(); });
  listener->stop();
  EXPECT_TRUE(is_connection_lost(
      failure_of(loop_.network().connect(listener->address(), ConnectOptions{}))));
  listener.reset();
  write_text(*near, "x");
  EXPECT_EQ(read_text(*accepted_[0], 1), "x");
}

TEST_F(ListenerTest, OutlastsALackOfDescriptors) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the undefined-behaviour sanitizer, built with this one, needs descriptors for "
                  "its own checks";
#endif
  auto listener = listen();
  keep(*listener);
  auto waiting = dial(listener->address());
  run_while_not([&] { return accepted_.size() == 1; });

  // The next connection waits in the kernel's queue while this process can open nothing more.
  asio::io_context other;
  asio::ip::tcp::socket peer(other, asio::ip::tcp::v4());
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = ::open("/dev/null", O_RDONLY);
  ::close(lowest_free);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest_free);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  peer.connect({asio::ip::make_address("127.0.0.1"), listener->address().port});
  run_while_not([&] { return !failures_.empty(); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  run_while_not([&] { return accepted_.size() == 2; });
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_TRUE(absl::IsResourceExhausted(failures_[0])) << failures_[0];
}

}  // namespace
}  // namespace grapevine::rpc::test
