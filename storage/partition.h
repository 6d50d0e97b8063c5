// What a store keeps in memory of one partition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/ids.h"
#include "storage/dot_log.h"
#include "storage/model/clock.h"
#include "storage/model/digest_tree.h"
#include "storage/model/sketch.h"

namespace grapevine::storage {

// Plain state, changed by Batch and Store alone. Tree and sketch describe exactly what is stored; the
// clock is what is stored plus, while a batch is open, what that batch adds.
struct Partition {
  Partition(PartitionId partition, model::TokenRange range, std::size_t sketch_cells,
            std::size_t dot_log_bytes)
      : id(partition), tree(range), sketch(sketch_cells), log(dot_log_bytes) {}

  // A key at `token` had the share `before` and has `after`.
  void change(model::Token token, const model::DigestShare& before,
              const model::DigestShare& after) {
    tree.change(token, before, after);
    sketch.change(token, before.sum, after.sum);
  }

  PartitionId id;
  model::Clock clock;
  model::DigestTree tree;
  model::Sketch sketch;
  DotLog log;
  bool clock_changed = false;  // since its last checkpoint
  bool suspect = false;        // has lost entries and not yet got them back from another replica

  // Upkeep: stripping what the clock has come to imply.
  std::uint64_t clock_version = 1;         // counts changes of the clock, the opening included
  std::uint64_t stripped_version = 0;      // the clock's version when the last full pass began
  std::uint64_t passing_version = 0;       // the same, of the pass under way
  model::Token strip_cursor{0};            // the pass under way has done every leaf before it,
  std::optional<std::string> strip_after;  // and of the next one every key up to this
};

}  // namespace grapevine::storage
