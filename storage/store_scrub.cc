// The slow check of what is stored against what the trees say.
#include <utility>

#include <fmt/format.h>

#include "storage/engine_rocksdb.h"
#include "storage/store.h"

namespace grapevine::storage {

// Part of a partition, from the beginning of a leaf to the end of one.
struct Store::Stretch {
  PartitionId partition;
  model::TokenRange range;
  model::DigestShare expected;
};

// With at least so many keys, if the partition has them.
Store::Stretch Store::stretch_from(model::Token from, std::size_t keys) {
  const Partition& partition = partition_of(from);
  Stretch stretch{partition.id, {from, partition.tree.leaf_range(from).last}, {}};
  stretch.expected = partition.tree.range(stretch.range);
  while (stretch.expected.keys < keys && stretch.range.last != partition.tree.token_range().last) {
    const model::TokenRange leaf = partition.tree.leaf_range({stretch.range.last.value + 1});
    stretch.expected += partition.tree.range(leaf);
    stretch.range.last = leaf.last;
  }
  return stretch;
}

// What the trees say now is compared with what is stored now, whenever that is read.
void Store::check(const Stretch& stretch, std::function<void(absl::Status)> done) {
  struct Job {
    Moment moment;
    absl::StatusOr<Total> found = Total{};
  };
  const auto job = std::make_shared<Job>(Job{engine_->moment()});
  ++checks_;
  executor_.run_read(
      [this, range = stretch.range, job] {
        job->found = engine_->add_up(range, job->moment, digester_);
      },
      [this, stretch, job, done = std::move(done)] {
        --checks_;
        Total wanted;
        wanted += stretch.expected;
        absl::Status status = job->found.status();
        if (status.ok() && *job->found != wanted) {
          status = absl::DataLossError("the stored entries do not add up to what was written");
        }
        if (status.ok()) keys_scrubbed_ += stretch.expected.keys;
        if (absl::IsDataLoss(status)) {
          status = absl::DataLossError(
              fmt::format("partition {}, tokens {:016x} to {:016x}: {}", stretch.partition.value,
                          stretch.range.first.value, stretch.range.last.value, text_of(status)));
          fail(status);
        }
        done(std::move(status));
      });
}

void Store::add_up(PartitionId partition, model::Token from, std::size_t keys,
                   std::function<void(absl::StatusOr<std::optional<model::Token>>)> done) {
  if (failed_) return done(absl::UnavailableError("the store has failed"));
  const Stretch stretch = stretch_from(from, keys);
  std::optional<model::Token> next;
  if (stretch.range.last != partitioning_.range(partition).last) {
    next = model::Token{stretch.range.last.value + 1};
  }
  if (stretch.expected.keys == 0 && !next.has_value()) return done(next);
  check(stretch, [next, done = std::move(done)](absl::Status status) {
    if (!status.ok()) return done(std::move(status));
    done(next);
  });
}

void Store::scrub(std::size_t keys) {
  if (!scrubbing_) scrub(keys, partitions_.size());
}

// Goes on until so many keys are checked, or as many stretches as there are partitions.
void Store::scrub(std::size_t keys, std::size_t stretches) {
  if (failed_) return;
  Stretch stretch;
  for (; stretch.expected.keys == 0; --stretches) {
    if (stretches == 0) return;
    stretch = stretch_from(scrub_cursor_, keys);
    scrub_cursor_ = {stretch.range.last.value + 1};  // after the last partition comes the first
  }
  scrubbing_ = true;
  check(stretch,
        [this, checked = stretch.expected.keys, keys, stretches](const absl::Status& status) {
          scrubbing_ = false;
          if (status.ok() && keys > checked) scrub(keys - checked, stretches);
        });
}

}  // namespace grapevine::storage
