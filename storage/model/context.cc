#include "storage/model/context.h"

#include <xxhash.h>

#include "storage/model/bytes.h"

namespace grapevine::model {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr XXH64_hash_t kBindingSeed = 0x636f6e74657874;  // "context"

std::uint64_t binding(std::string_view key, std::string_view vector) {
  return XXH3_64bits_withSeed(key.data(), key.size(),
                              XXH3_64bits_withSeed(vector.data(), vector.size(), kBindingSeed));
}

}  // namespace

std::string encode_context(std::string_view key, const VersionVector& seen) {
  if (seen.empty()) return {};
  std::string vector;
  seen.encode(vector);
  std::string out(1, static_cast<char>(kFormat));
  put_fixed64(out, binding(key, vector));
  return out + vector;
}

absl::StatusOr<VersionVector> decode_context(std::string_view key, std::string_view context) {
  if (context.empty()) return VersionVector{};
  ByteReader in(context);
  const std::uint8_t format = in.byte();
  const std::uint64_t bound = in.fixed64();
  if (!in.ok() || format != kFormat) {
    return absl::InvalidArgumentError(
        "context: not one that a read returned; hand back the context of the key's last get");
  }
  const std::string_view rest = context.substr(context.size() - in.left());
  if (bound != binding(key, rest)) {
    return absl::InvalidArgumentError(
        "context: altered, or of another key; hand back the context of this key's last get");
  }
  auto seen = VersionVector::decode(in);
  if (!seen.ok() || !in.done()) {
    return absl::InvalidArgumentError(
        "context: malformed; hand back the context of the key's last get");
  }
  return seen;
}

}  // namespace grapevine::model
