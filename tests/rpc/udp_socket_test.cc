// Goal: packets arrive with their sender, by address and by name, over IPv4 and IPv6; a port that
// cannot be had is explained; what cannot be sent is counted and hurts nobody. Method: loopback
// sockets on ports that the kernel chooses.
#include "rpc/udp_socket.h"

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class UdpSocketTest : public LoopTest {
 protected:
  struct Packet {
    Address from;
    std::string bytes;
  };

  std::unique_ptr<UdpSocket> bind(const Address& address = kAnyPort) {
    auto socket = UdpSocket::bind(loop_, address, "--peer-listen");
    EXPECT_TRUE(socket.ok()) << socket.status();
    return *std::move(socket);
  }
  void keep(UdpSocket& socket) {
    socket.start([this](const Address& from, std::string_view bytes) {
      packets_.push_back({from, std::string(bytes)});
    });
  }
  void await_packets(std::size_t count) {
    run_while_not([&] { return packets_.size() >= count; });
  }

  std::vector<Packet> packets_;
};

TEST_F(UdpSocketTest, APacketArrivesWithItsSender) {
  const auto near = bind();
  const auto far = bind();
  keep(*far);
  near->send(to_string(far->address()), "packet");
  near->send(to_string(far->address()), std::string(1'442, 'x'));
  near->send(to_string(far->address()), "");
  await_packets(3);
  EXPECT_EQ(packets_[0].bytes, "packet");
  EXPECT_EQ(packets_[0].from, near->address());
  EXPECT_EQ(packets_[1].bytes.size(), 1'442U);
  EXPECT_EQ(packets_[2].bytes, "");
}

TEST_F(UdpSocketTest, AnAnswerGoesBackWhereThePacketCameFrom) {
  const auto near = bind();
  const auto far = bind();
  keep(*near);
  far->start([&](const Address& from, std::string_view bytes) {
    far->send(to_string(from), std::string(bytes) + " heard");
  });
  near->send(to_string(far->address()), "word");
  await_packets(1);
  EXPECT_EQ(packets_[0].bytes, "word heard");
}

TEST_F(UdpSocketTest, NamesAreLookedUpOnceAndTheFirstPacketWaits) {
  const auto near = bind();
  const auto far = bind();
  keep(*far);
  const std::string name = "localhost:" + std::to_string(far->address().port);
  near->send(name, "first");
  await_packets(1);
  near->send(name, "second");
  await_packets(2);
  EXPECT_EQ(packets_[0].bytes, "first");
  EXPECT_EQ(packets_[1].bytes, "second");
}

TEST_F(UdpSocketTest, ASocketOnAnyAddressSpeaksBothProtocols) {
  auto any = UdpSocket::bind(loop_, Address{"::", 0}, "--peer-listen");
  if (!any.ok()) GTEST_SKIP() << "no IPv6 here: " << any.status();
  keep(**any);
  const auto v4 = bind();
  const std::uint16_t port = (*any)->address().port;
  v4->send("127.0.0.1:" + std::to_string(port), "over 4");
  await_packets(1);
  EXPECT_EQ(packets_[0].from, v4->address()) << "as IPv4, not mapped";
  packets_.clear();
  keep(*v4);
  (*any)->send(to_string(v4->address()), "back over 4");
  await_packets(1);
  EXPECT_EQ(packets_[0].bytes, "back over 4");
  packets_.clear();
  const auto v6 = UdpSocket::bind(loop_, Address{"::1", 0}, "--peer-listen");
  if (!v6.ok()) GTEST_SKIP() << "no IPv6 loopback here: " << v6.status();
  (*v6)->send("[::1]:" + std::to_string(port), "over 6");
  await_packets(1);
  EXPECT_EQ(packets_[0].from.host, "::1");
}

TEST_F(UdpSocketTest, WhatCannotBeSentIsCounted) {
  const auto near = bind();
  near->send("nonsense", "x");
  EXPECT_EQ(near->dropped(), 1U);
  near->send("[::1]:4741", "x");
  EXPECT_EQ(near->dropped(), 2U) << "an IPv4 socket reaches no IPv6 address";
  near->send("127.0.0.1:4741", std::string(70'000, 'x'));
  EXPECT_EQ(near->dropped(), 3U);
  near->send("nobody.invalid:4741", "x");
  run_while_not([&] { return near->dropped() == 4; });
  near->send("nobody.invalid:4741", "x");
  EXPECT_EQ(near->dropped(), 5U) << "not looked up again at once";
}

TEST_F(UdpSocketTest, NobodyListeningStopsNeitherSendingNorReceiving) {
  const auto near = bind();
  keep(*near);
  Address nobody;
  nobody = bind()->address();
  for (int i = 0; i < 10; ++i) near->send(to_string(nobody), "x");
  const auto far = bind();
  far->send(to_string(near->address()), "still there");
  await_packets(1);
  EXPECT_EQ(packets_[0].bytes, "still there");
}

TEST_F(UdpSocketTest, PortInUseNamesTheAddressAndTheFlag) {
  const auto socket = bind();
  const auto second = UdpSocket::bind(loop_, socket->address(), "--peer-listen");
  EXPECT_EQ(second.status(),
            absl::FailedPreconditionError(
                "cannot receive UDP on " + to_string(socket->address()) +
                ": address already in use; stop the other process or choose another port with "
                "--peer-listen"));
}

TEST_F(UdpSocketTest, AHandlerMayStopOrDestroyIt) {
  auto near = bind();
  auto stopped = bind();
  auto destroyed = bind();
  int calls = 0;
  stopped->start([&](const Address&, std::string_view) {
    ++calls;
    stopped->stop();
  });
  destroyed->start([&](const Address&, std::string_view) {
    ++calls;
    destroyed.reset();
  });
  const std::string addresses[] = {to_string(stopped->address()), to_string(destroyed->address())};
  for (const std::string& address : addresses) {
    near->send(address, "x");
    near->send(address, "y");
  }
  run_while_not([&] { return calls == 2; });
  loop_.run_until(loop_.after(std::chrono::milliseconds(5)));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace grapevine::rpc::test
