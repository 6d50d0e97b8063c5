// The journal that keeps clocks durable without rewriting them.
//
// A batch touches many partitions, so their clocks are not written each time: the batch carries one
// record that names the dots it adds. Records go round in kSlots keys; every kCheckpointEvery
// records the clocks that changed are written whole, so that a record is folded into its clock long
// before its slot comes round again. A clock is its last checkpoint and all records together:
// adding a dot twice does nothing, so recovery needs no order.
//
// Every record also says what all stored entries add up to after its batch. What a scan finds must
// add up to what the latest record says: else entries are missing, or old ones have come back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/status.h"
#include "storage/model/bytes.h"
#include "storage/model/digest.h"
#include "storage/model/dot.h"

namespace grapevine::storage {

struct PlacedDot {
  PartitionId partition;
  model::Dot dot;
  friend auto operator<=>(const PlacedDot&, const PlacedDot&) = default;
};

// What the entries of a store add up to. Value.
struct Total {
  model::DigestSum sum;
  std::uint64_t vectors = 0;

  Total& operator+=(const model::DigestShare& share) {
    sum += share.sum;
    vectors += share.vectors;
    return *this;
  }
  Total& operator-=(const model::DigestShare& share) {
    sum -= share.sum;
    vectors -= share.vectors;
    return *this;
  }
  friend bool operator==(const Total&, const Total&) = default;

  // 24 bytes: the sum, low half first, and `vectors`.
  void encode(std::string& out) const;
  static Total decode(model::ByteReader& in);
};

struct JournalRecord {
  static constexpr std::uint64_t kSlots = 1024;
  static constexpr std::uint64_t kCheckpointEvery = kSlots / 2;

  std::uint64_t sequence = 0;
  Total total;
  std::vector<PlacedDot> dots;

  // Varint sequence; total (24 bytes); then, actor by actor, its id (8 bytes), varint number of
  // dots, and for each varint partition and varint counter.
  std::string encode() const;
  static absl::StatusOr<JournalRecord> decode(std::string_view bytes);
};

}  // namespace grapevine::storage
