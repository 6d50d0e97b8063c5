// Goal: a context reads back for its own key and for no other, and no bytes do more than give a
// Status. Method: round trips and hostile bytes as properties.
#include "storage/model/context.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::model {
namespace {

using namespace std::string_literals;

TEST(Context, ThatHasSeenNothingIsTheEmptyStringForEveryKey) {
  EXPECT_EQ(encode_context("k", {}), "");
  const auto seen = decode_context("any key", "");
  ASSERT_TRUE(seen.ok());
  EXPECT_TRUE(seen->empty());
}

RC_GTEST_PROP(ContextLaw, ReadsBackForItsKey, (const std::string& key)) {
  const VersionVector seen = *any_wide_vector();
  const auto back = decode_context(key, encode_context(key, seen));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == seen);
}

RC_GTEST_PROP(ContextLaw, IsRefusedForAnotherKey,
              (const std::string& key, const std::string& other)) {
  RC_PRE(key != other);
  VersionVector seen = *any_wide_vector();
  seen.raise(small_actor(0), 1);
  const auto back = decode_context(other, encode_context(key, seen));
  RC_ASSERT(absl::IsInvalidArgument(back.status()));
  RC_ASSERT(text_of(back.status()).find("another key") != std::string_view::npos);
}

RC_GTEST_PROP(ContextLaw, AlteredBytesAreRefused, (const std::string& key)) {
  const std::string context = encode_context(key, *any_wide_vector());
  const std::string altered = *mutated(context);
  RC_PRE(altered != context && !altered.empty());
  RC_ASSERT(absl::IsInvalidArgument(decode_context(key, altered).status()));
}

RC_GTEST_PROP(ContextLaw, AnyOtherBytesAreRefused,
              (const std::string& key, const std::string& bytes)) {
  RC_PRE(!bytes.empty());
  RC_ASSERT(absl::IsInvalidArgument(decode_context(key, bytes).status()));
  RC_ASSERT(absl::IsInvalidArgument(decode_context(key, "\x01" + bytes).status()));
}

// Clients keep contexts across upgrades of the cluster.
TEST(Context, BytesAreFixedForGood) {
  VersionVector seen;
  seen.raise(ActorId{0x0000000000100000}, 7);
  EXPECT_EQ(encode_context("k", seen),
            "\x01"                              // format
            "\xab\xfb\xcd\x5a\x3c\x30\x79\x64"  // bound to the key
            "\x01\x00\x00\x10\x00\x00\x00\x00\x00\x07"s);
}

}  // namespace
}  // namespace grapevine::model
