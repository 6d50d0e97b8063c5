#include "storage/identity.h"

#include <bit>

#include <fmt/format.h>

#include "storage/base/limits.h"
#include "storage/layout.h"
#include "storage/model/bytes.h"

namespace grapevine::storage {

std::string Identity::encode() const {
  std::string out;
  model::put_varint(out, kFormatVersion);
  model::put_bytes(out, cluster_name);
  model::put_varint(out, partitions);
  model::put_fixed64(out, actor.value);
  return out;
}

absl::StatusOr<Identity> Identity::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  const std::uint64_t format = in.varint();
  if (in.ok() && format == 0) return absl::DataLossError("the identity record has no format");
  if (in.ok() && format > kFormatVersion) {
    return absl::FailedPreconditionError(
        fmt::format("has format {}, this program knows formats up to {}; run the newer program",
                    format, kFormatVersion));
  }
  Identity identity;
  identity.cluster_name = in.bytes();
  const std::uint64_t partitions = in.varint();
  identity.partitions = static_cast<std::uint32_t>(partitions);
  identity.actor.value = in.fixed64();
  if (!in.done() || !std::has_single_bit(partitions) || partitions > kPartitionsMax ||
      !identity.actor.node().valid()) {
    return absl::DataLossError("the identity record is malformed");
  }
  return identity;
}

}  // namespace grapevine::storage
