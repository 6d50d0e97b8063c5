#include "storage/clock_journal.h"

#include <algorithm>
#include <limits>

#include "storage/model/bytes.h"

namespace grapevine::storage {

void Total::encode(std::string& out) const {
  model::put_fixed64(out, sum.low);
  model::put_fixed64(out, sum.high);
  model::put_fixed64(out, vectors);
}

Total Total::decode(model::ByteReader& in) {
  Total total;
  total.sum.low = in.fixed64();
  total.sum.high = in.fixed64();
  total.vectors = in.fixed64();
  return total;
}

std::string JournalRecord::encode() const {
  std::vector<PlacedDot> by_actor = dots;
  std::sort(by_actor.begin(), by_actor.end(), [](const PlacedDot& a, const PlacedDot& b) {
    return std::pair(a.dot, a.partition) < std::pair(b.dot, b.partition);
  });
  std::string out;
  model::put_varint(out, sequence);
  total.encode(out);
  for (auto group = by_actor.begin(); group != by_actor.end();) {
    const ActorId actor = group->dot.actor;
    const auto end = std::find_if(
        group, by_actor.end(), [&](const PlacedDot& placed) { return placed.dot.actor != actor; });
    model::put_fixed64(out, actor.value);
    model::put_varint(out, static_cast<std::uint64_t>(end - group));
    for (; group != end; ++group) {
      model::put_varint(out, group->partition.value);
      model::put_varint(out, group->dot.counter);
    }
  }
  return out;
}

absl::StatusOr<JournalRecord> JournalRecord::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  JournalRecord record;
  record.sequence = in.varint();
  record.total = Total::decode(in);
  while (in.ok() && in.left() > 0) {
    const ActorId actor{in.fixed64()};
    const std::uint64_t count = in.varint();
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
      const std::uint64_t partition = in.varint();
      const std::uint64_t counter = in.varint();
      if (partition > std::numeric_limits<std::uint32_t>::max() ||
          (in.ok() && (counter == 0 || counter > model::kCounterMax))) {
        return absl::DataLossError("metadata: a journal record holds an impossible dot");
      }
      record.dots.push_back({{static_cast<std::uint32_t>(partition)}, {actor, counter}});
    }
  }
  if (!in.ok()) return absl::DataLossError("metadata: a journal record is cut short");
  return record;
}

}  // namespace grapevine::storage
