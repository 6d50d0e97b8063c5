// Goal: the record that says what a directory is survives its encoding, and refuses what it cannot
// understand.
#include "storage/identity.h"

#include <gtest/gtest.h>

#include "storage/layout.h"
#include "tests/storage/scene.h"

namespace grapevine::storage {
namespace {

const Identity kIdentity{"vineyard", 64, ActorId::of(NodeId{77}, 3)};

TEST(Identity, SurvivesItsEncoding) {
  const auto decoded = Identity::decode(kIdentity.encode());
  ASSERT_TRUE(ok(decoded));
  EXPECT_EQ(decoded->cluster_name, "vineyard");
  EXPECT_EQ(decoded->partitions, 64U);
  EXPECT_EQ(decoded->actor, kIdentity.actor);
}

TEST(Identity, OfANewerFormatIsRefusedByItsVersionAlone) {
  std::string bytes;
  model::put_varint(bytes, kFormatVersion + 1);
  bytes += "whatever a later program writes";
  const auto decoded = Identity::decode(bytes);
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(text_of(decoded.status()).find("run the newer program"), std::string_view::npos);
}

TEST(Identity, RefusesEveryPrefixAndAnythingAppended) {
  const std::string bytes = kIdentity.encode();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(Identity::decode(bytes.substr(0, length)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(Identity::decode(bytes + "x").ok());
}

TEST(Identity, RefusesWhatCannotBe) {
  EXPECT_FALSE(Identity::decode(Identity{"c", 0, kIdentity.actor}.encode()).ok());
  EXPECT_FALSE(Identity::decode(Identity{"c", 63, kIdentity.actor}.encode()).ok());
  EXPECT_FALSE(Identity::decode(Identity{"c", 1 << 20, kIdentity.actor}.encode()).ok());
  EXPECT_FALSE(Identity::decode(Identity{"c", 64, ActorId{5}}.encode()).ok());
}

}  // namespace
}  // namespace grapevine::storage
