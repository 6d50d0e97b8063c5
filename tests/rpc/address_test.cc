// Goal: addresses are read as people write them, and what is wrong is said.
// Method: tables of texts.
#include "rpc/address.h"

#include <gtest/gtest.h>

namespace grapevine::rpc {
namespace {

TEST(Address, ReadsAndPrintsTheSameText) {
  for (const std::string text :
       {"127.0.0.1:4740", "localhost:0", "[::1]:65535", "[fe80::1]:80", "node-1.example.org:1"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(to_string(*address), text);
  }
}

TEST(Address, RefusesEverythingElseAndSaysWhy) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "has no port"},
      {"localhost", "has no port"},
      {"localhost:", "has no port"},
      {":4740", "has no host"},
      {"a:b", "not a number"},
      {"a:65536", "not a number"},
      {"a:-1", "not a number"},
      {"a:1 ", "not a number"},
      {"::1:4740", "without brackets"},
      {"[::1]", "no port after the bracket"},
      {"[::1]4740", "no port after the bracket"},
      {"[localhost]:1", "no IPv6 address"},
      {"[]:1", "no IPv6 address"},
      {"a b:1", "character"},
      {std::string("a\0b:1", 5), "character"},
      {std::string(254, 'a') + ":1", "more than 253 bytes"},
  };
  for (const auto& [text, reason] : cases) {
    const auto address = parse_address(text);
    ASSERT_TRUE(absl::IsInvalidArgument(address.status())) << text;
    EXPECT_NE(text_of(address.status()).find(reason), std::string::npos) << address.status();
    EXPECT_NE(text_of(address.status()).find("write HOST:PORT"), std::string::npos)
        << address.status();
  }
}

TEST(Address, KnowsWhatOnlyThisMachineCanReach) {
  for (const char* host :
       {"127.0.0.1", "127.8.9.10", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback(Address{host, 1})) << host;
  }
  for (const char* host :
       {"0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "128.0.0.1", "127.example.org"}) {
    EXPECT_FALSE(is_loopback(Address{host, 1})) << host;
  }
}

}  // namespace
}  // namespace grapevine::rpc
