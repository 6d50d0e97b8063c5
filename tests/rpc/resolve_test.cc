// Goal: numbers need no lookup, names do not block the loop, and a name nobody has is a clear
// failure. Method: names of this machine, and the name that RFC 6761 promises not to exist.
#include "rpc/resolve.h"

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class Resolve : public LoopTest {};

TEST_F(Resolve, NumbersAreAnsweredAsTheyAre) {
  for (const Address& address : {Address{"127.0.0.1", 7}, Address{"::1", 8}}) {
    const auto endpoints = loop_.run_until(resolve(loop_, address));
    ASSERT_EQ(endpoints.size(), 1u);
    EXPECT_EQ(address_of(endpoints[0]), address);
    EXPECT_EQ(*resolve_now(address), endpoints);
  }
}

TEST_F(Resolve, LocalhostIsLoopback) {
  const Address localhost{"localhost", 9};
  const auto endpoints = loop_.run_until(resolve(loop_, localhost));
  ASSERT_FALSE(endpoints.empty());
  for (const Endpoint& endpoint : endpoints) EXPECT_TRUE(is_loopback(address_of(endpoint)));
  EXPECT_TRUE(resolve_now(localhost).ok());
}

TEST_F(Resolve, UnknownNameIsNamed) {
  const kj::Exception failure = failure_of(resolve(loop_, Address{"nobody.invalid", 1}));
  EXPECT_TRUE(is_connection_lost(failure));
  EXPECT_NE(text_of(to_status(failure)).find("cannot find the host 'nobody.invalid'"),
            std::string::npos);
}

TEST_F(Resolve, DroppedLookupHarmsNothing) {
  { const auto dropped = resolve(loop_, Address{"localhost", 1}); }
  loop_.run_until(loop_.after(Duration(0)));
}

}  // namespace
}  // namespace grapevine::rpc::test
