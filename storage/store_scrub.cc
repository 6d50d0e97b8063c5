// The slow check of what is stored against what the trees say.
#include <utility>

#include <fmt/format.h>

#include "storage/engine_rocksdb.h"
#include "storage/store.h"

namespace grapevine::storage {

void Store::scrub(std::size_t keys) {
  if (!scrubbing_) scrub(keys, partitions_.size());
}

// Goes on until so many keys are checked, or as many stretches as there are partitions.
void Store::scrub(std::size_t keys, std::size_t stretches) {
  if (failed_) return;
  model::TokenRange range;
  model::DigestShare expected;
  PartitionId id;
  for (; expected.keys == 0; --stretches) {
    if (stretches == 0) return;
    const Partition& partition = partition_of(scrub_cursor_);
    id = partition.id;
    range = {scrub_cursor_, partition.tree.leaf_range(scrub_cursor_).last};
    expected = partition.tree.range(range);
    while (expected.keys < keys && range.last != partition.tree.token_range().last) {
      const model::TokenRange leaf = partition.tree.leaf_range({range.last.value + 1});
      expected += partition.tree.range(leaf);
      range.last = leaf.last;
    }
    scrub_cursor_ = {range.last.value + 1};  // after the last partition comes the first
  }

  struct Job {
    Moment moment;
    absl::StatusOr<Total> found = Total{};
  };
  const auto job = std::make_shared<Job>(Job{engine_->moment()});
  scrubbing_ = true;
  executor_.run_read(
      [this, range, job] { job->found = engine_->add_up(range, job->moment, digester_); },
      [this, id, range, expected, job, keys, stretches] {
        scrubbing_ = false;
        keys_scrubbed_ += expected.keys;
        Total wanted;
        wanted += expected;
        if (job->found.ok() && *job->found == wanted) {
          if (keys > expected.keys) scrub(keys - expected.keys, stretches);
          return;
        }
        if (!job->found.ok() && !absl::IsDataLoss(job->found.status())) return;
        fail(absl::DataLossError(
            fmt::format("partition {}, tokens {:016x} to {:016x}: {}", id.value, range.first.value,
                        range.last.value,
                        job->found.ok() ? "the stored entries do not add up to what was written"
                                        : text_of(job->found.status()))));
      });
}

}  // namespace grapevine::storage
