// Goal: dialling reaches what can be reached, in bounded time, from the address asked for, and says
// why when it fails. Method: loopback listeners; a listener whose queue is full stands for a host
// that does not answer.
#include "rpc/tcp_connect.h"

#include <netinet/in.h>

#include <asio/ip/address_v4.hpp>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class Connect : public LoopTest {
 protected:
  static std::string local_host(kj::AsyncIoStream& stream) {
    sockaddr_in local = {};
    kj::uint length = sizeof(local);
    stream.getsockname(reinterpret_cast<sockaddr*>(&local), &length);
    return asio::ip::address_v4(ntohl(local.sin_addr.s_addr)).to_string();
  }
};

TEST_F(Connect, RefusalNamesTheAddress) {
  Address nobody = listen()->address();
  const kj::Exception failure = failure_of(loop_.network().connect(nobody, ConnectOptions{}));
  EXPECT_TRUE(is_connection_lost(failure));
  EXPECT_EQ(to_status(failure), absl::UnavailableError("cannot connect to " + to_string(nobody) +
                                                       ": connection refused"));
}

TEST_F(Connect, DialsFromTheHostAskedFor) {
  const auto listener = listen();
  ConnectOptions options;
  options.from = Address{"127.0.0.9", 4741};
  auto stream = loop_.run_until(loop_.network().connect(listener->address(), options));
  EXPECT_EQ(local_host(*stream), "127.0.0.9");
  const auto second = loop_.run_until(
      loop_.network().connect(listener->address(), options));  // the port is not taken
}

TEST_F(Connect, UnspecifiedHostLeavesTheChoiceToTheKernel) {
  const auto listener = listen();
  ConnectOptions options;
  options.from = Address{"0.0.0.0", 4741};
  EXPECT_EQ(local_host(*loop_.run_until(loop_.network().connect(listener->address(), options))),
            "127.0.0.1");
}

TEST_F(Connect, ForeignHostToDialFromIsExplained) {
  const auto listener = listen();
  ConnectOptions options;
  options.from = Address{"192.0.2.1", 0};
  const absl::Status status =
      to_status(failure_of(loop_.network().connect(listener->address(), options)));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(text_of(status).find("from 192.0.2.1"), std::string::npos) << status;
}

TEST_F(Connect, TriesEveryAddressOfAName) {
  const auto listener = listen();  // on IPv4 only, while localhost may mean IPv6 first
  auto stream = dial(Address{"localhost", listener->address().port});
  EXPECT_EQ(local_host(*stream), "127.0.0.1");
}

TEST_F(Connect, SilenceEndsAfterTheTimeout) {
  ListenOptions options;
  options.backlog = 0;
  const auto listener = listen(options);  // accepts nobody, and has room for one in its queue
  const auto first = dial(listener->address());
  ConnectOptions impatient;
  impatient.timeout = std::chrono::milliseconds(50);
  const Instant start = loop_.now();
  const kj::Exception failure = failure_of(loop_.network().connect(listener->address(), impatient));
  EXPECT_GE(loop_.now() - start, impatient.timeout);
  EXPECT_EQ(to_status(failure),
            absl::UnavailableError("cannot connect to " + to_string(listener->address()) +
                                   ": no answer within 50 ms"));
}

TEST_F(Connect, DroppedAttemptHarmsNothing) {
  const auto listener = listen();
  {
    const auto dropped =
        loop_.network().connect(listener->address(), ConnectOptions{}).eagerlyEvaluate(nullptr);
  }
  {
    const auto dropped =
        loop_.network().connect(listener->address(), ConnectOptions{}).eagerlyEvaluate(nullptr);
    loop_.run_until(kj::evalLast([] {}));
  }
  loop_.run_until(loop_.after(Duration(0)));
}

}  // namespace
}  // namespace grapevine::rpc::test
