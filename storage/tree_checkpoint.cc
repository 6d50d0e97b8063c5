#include "storage/tree_checkpoint.h"

#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "storage/model/bytes.h"

namespace grapevine::storage {
namespace {

constexpr std::uint64_t kFormat = 2;
constexpr std::size_t kChecksumBytes = 8;

}  // namespace

std::string encode_tree_checkpoint(const TreeCheckpoint& checkpoint,
                                   std::uint64_t journal_sequence) {
  std::string out;
  model::put_varint(out, kFormat);
  model::put_varint(out, journal_sequence);
  checkpoint.tree.encode(out);
  checkpoint.sketch.encode(out);
  model::put_fixed64(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

absl::StatusOr<TreeCheckpoint> decode_tree_checkpoint(std::string_view bytes,
                                                      model::TokenRange range, std::size_t cells,
                                                      std::uint64_t journal_sequence) {
  if (bytes.size() < kChecksumBytes) return absl::DataLossError("tree checkpoint: cut short");
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  model::ByteReader checksum(bytes.substr(body.size()));
  if (checksum.fixed64() != XXH3_64bits(body.data(), body.size())) {
    return absl::DataLossError("tree checkpoint: does not match its checksum");
  }
  model::ByteReader in(body);
  if (const std::uint64_t format = in.varint(); format != kFormat) {
    return absl::FailedPreconditionError(fmt::format("tree checkpoint: unknown format {}", format));
  }
  if (const std::uint64_t sequence = in.varint(); sequence != journal_sequence) {
    return absl::FailedPreconditionError(fmt::format(
        "tree checkpoint: of journal record {}, the last one is {}", sequence, journal_sequence));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(model::DigestTree tree, model::DigestTree::decode(range, in));
  GRAPEVINE_ASSIGN_OR_RETURN(model::Sketch sketch, model::Sketch::decode(cells, in));
  if (!in.done()) return absl::DataLossError("tree checkpoint: bytes left over");
  return TreeCheckpoint{std::move(tree), std::move(sketch)};
}

}  // namespace grapevine::storage
