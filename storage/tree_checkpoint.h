// Digest tree and sketch of a partition as a clean stop leaves them in the column family `meta`, so
// that the next opening need not scan.
//
// The scan stays the truth. A checkpoint holds only for the state that it was written with: right
// after it the directory is marked as cleanly stopped, a mark that the next opening takes away, and
// the journal's sequence stands in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/status.h"
#include "storage/model/digest_tree.h"
#include "storage/model/sketch.h"

namespace grapevine::storage {

struct TreeCheckpoint {
  model::DigestTree tree;
  model::Sketch sketch;
};

// Varint format version (2); varint sequence of the last journal record; tree and sketch as they
// encode themselves; xxh3-64 of all that.
std::string encode_tree_checkpoint(const TreeCheckpoint& checkpoint,
                                   std::uint64_t journal_sequence);
// DataLoss for what encode_tree_checkpoint cannot have written for this range and so many cells;
// FailedPrecondition for another format or another journal sequence.
absl::StatusOr<TreeCheckpoint> decode_tree_checkpoint(std::string_view bytes,
                                                      model::TokenRange range, std::size_t cells,
                                                      std::uint64_t journal_sequence);

}  // namespace grapevine::storage
