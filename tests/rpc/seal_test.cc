// Goal: what is sealed is opened by who has the key and belongs to the cluster, and by nobody else;
// not a bit may change; keys can be changed one after the other; the bytes are fixed.
#include "rpc/seal.h"

#include <gtest/gtest.h>

#include <set>

#include "storage/base/random.h"

namespace grapevine::rpc::test {
namespace {

ClusterKey key(std::uint8_t id) {
  ClusterKey made{id, {}};
  for (std::size_t i = 0; i < made.secret.size(); ++i) {
    made.secret[i] = static_cast<std::uint8_t>(16 * id + i);
  }
  return made;
}

Seal seal_of(const std::vector<ClusterKey>& keys, std::uint8_t salt = 1,
             const std::string& cluster = "grapevine") {
  Seal::Salt bytes{};
  bytes.fill(salt);
  return Seal::create(cluster, keys, bytes).value();
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text.push_back(kDigits[static_cast<std::uint8_t>(c) >> 4]);
    text.push_back(kDigits[static_cast<std::uint8_t>(c) & 15]);
  }
  return text;
}

TEST(Seal, OpensWhatAnotherNodeOfTheClusterSealed) {
  Seal near = seal_of({key(1)}, 1);
  Seal far = seal_of({key(1)}, 2);
  for (const std::string& packet :
       {std::string("packet"), std::string(), std::string(1'400, 'x')}) {
    const std::string sealed = near.seal(packet);
    EXPECT_EQ(sealed.size(), packet.size() + Seal::kOverheadBytes);
    const auto opened = far.open(sealed);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(*opened, packet);
  }
}

TEST(Seal, HidesWhatItSealsAndNeverSealsTwiceAlike) {
  Seal seal = seal_of({key(1)});
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) {
    const std::string sealed = seal.seal("the same packet");
    EXPECT_EQ(sealed.find("packet"), std::string::npos);
    EXPECT_TRUE(made.insert(sealed.substr(26)).second);
  }
}

TEST(Seal, RefusesWhateverWasChanged) {
  Seal near = seal_of({key(1)}, 1);
  Seal far = seal_of({key(1)}, 2);
  const std::string sealed = near.seal("packet");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_TRUE(absl::IsInvalidArgument(far.open(changed).status())) << i;
    }
    EXPECT_FALSE(far.open(sealed.substr(0, i)).ok());
  }
  EXPECT_FALSE(far.open(sealed + "x").ok());
  EXPECT_TRUE(far.open(sealed).ok());
}

TEST(Seal, RefusesNoise) {
  Seal seal = seal_of({key(1)});
  Random random(1);
  for (int i = 0; i < 1'000; ++i) {
    std::string noise(random.below(200), '\0');
    for (char& c : noise) c = static_cast<char>(random.next());
    if (noise.size() > 2) noise.replace(0, 2, "\x01\x01");
    EXPECT_FALSE(seal.open(noise).ok());
  }
}

TEST(Seal, RefusesAnotherKeyAndAnotherCluster) {
  Seal seal = seal_of({key(1)});
  ClusterKey other = key(1);
  other.secret[31] ^= 1;
  EXPECT_FALSE(seal_of({other}).open(seal.seal("packet")).ok());
  EXPECT_FALSE(seal_of({key(2)}).open(seal.seal("packet")).ok());
  EXPECT_FALSE(seal_of({key(1)}, 1, "another").open(seal.seal("packet")).ok());
}

TEST(Seal, KeysAreChangedWithoutAStop) {
  Seal before = seal_of({key(1)}, 1);
  Seal both = seal_of({key(1), key(2)}, 2);
  Seal turned = seal_of({key(2), key(1)}, 3);
  Seal after = seal_of({key(2)}, 4);
  EXPECT_TRUE(before.open(both.seal("packet")).ok());
  EXPECT_TRUE(both.open(turned.seal("packet")).ok());
  EXPECT_TRUE(turned.open(both.seal("packet")).ok());
  EXPECT_TRUE(after.open(turned.seal("packet")).ok());
  EXPECT_FALSE(before.open(after.seal("packet")).ok());
}

TEST(Seal, MoreSendersThanItRemembersAreStillOpened) {
  Seal receiver = seal_of({key(1)});
  Seal::Salt salt{};
  for (std::size_t i = 0; i < Seal::kSendersMax + 10; ++i) {
    salt[0] = static_cast<std::uint8_t>(i);
    salt[1] = static_cast<std::uint8_t>(i >> 8);
    Seal sender = Seal::create("grapevine", {key(1)}, salt).value();
    EXPECT_TRUE(receiver.open(sender.seal("packet")).ok());
  }
}

// A change here is a change of the format.
TEST(Seal, ItsBytesAreFixed) {
  EXPECT_EQ(hex(seal_of({key(1)}).seal("packet")),
            "010101010101010101010101010101010101010000000000000021a2abd5dbca5d0f979fe5cc47db4f1b62"
            "ac4e210a17");
}

TEST(ClusterKeys, AreReadFromHexadecimalDigits) {
  const std::string digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFf";
  const auto key = parse_cluster_key(7, digits);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->id, 7);
  EXPECT_EQ(key->secret[1], 1);
  EXPECT_EQ(key->secret[31], 255);
  for (const std::string& wrong : {std::string(), digits.substr(1), digits + "0",
                                   "g" + digits.substr(1), "-1" + digits.substr(2)}) {
    const auto refused = parse_cluster_key(7, wrong);
    EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
    EXPECT_EQ(refused.status().message().find("0a0b"), std::string::npos) << "no secret in a log";
  }
}

TEST(ClusterKeys, AreOneOrMoreAndNumberedApart) {
  EXPECT_FALSE(Seal::create("grapevine", {}, {}).ok());
  EXPECT_FALSE(Seal::create("grapevine", {key(1), key(1)}, {}).ok());
  EXPECT_NE(random_salt(), random_salt());
}

TEST(ClusterKeys, OfAFileStandOneALineAndKeepTheirIdsWhereverTheyStand) {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  const auto keys = parse_cluster_keys("# the new one\n" + a + "\r\n\n" + b + " \n");
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].secret[0], 0xaa);
  EXPECT_NE((*keys)[0].id, (*keys)[1].id);
  const auto swapped = parse_cluster_keys(b + "\n" + a);
  ASSERT_TRUE(swapped.ok());
  EXPECT_EQ((*swapped)[1].id, (*keys)[0].id);
  Seal old_first = Seal::create("grapevine", *swapped, random_salt()).value();
  Seal new_first = Seal::create("grapevine", *keys, random_salt()).value();
  EXPECT_TRUE(old_first.open(new_first.seal("packet")).ok());
  EXPECT_TRUE(new_first.open(old_first.seal("packet")).ok());
}

TEST(ClusterKeys, OfAFileAreRefusedByLineWithoutShowingThem) {
  const std::string a(64, 'a');
  for (const auto& [text, what] :
       std::vector<std::pair<std::string, std::string>>{{"", "openssl rand"},
                                                        {a + "\n" + a.substr(1), "line 2"},
                                                        {a + "\n" + a, "there already"}}) {
    const auto refused = parse_cluster_keys(text);
    EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
    EXPECT_NE(refused.status().message().find(what), std::string::npos) << refused.status();
    EXPECT_EQ(refused.status().message().find("aaaa"), std::string::npos) << "no secret in a log";
  }
}

TEST(ClusterKeys, AreToldApartByTheirPrintsAndOneWithoutSecretIsTheClusters) {
  EXPECT_EQ(print_of(key(1)), print_of(key(1)));
  EXPECT_NE(print_of(key(1)), print_of(key_without_secret("grapevine")));
  EXPECT_NE(key_without_secret("grapevine").secret, key_without_secret("orchard").secret);
  EXPECT_EQ(key_without_secret("grapevine").id, 0);
}

}  // namespace
}  // namespace grapevine::rpc::test
