#include "storage/life.h"

#include <fmt/format.h>

#include "storage/base/planted_flaws.h"
#include "storage/layout.h"
#include "storage/model/bytes.h"

namespace grapevine::storage {

std::string LifeRecord::encode() const {
  std::string out;
  model::put_bytes(out, life.machine);
  model::put_bytes(out, life.boot);
  model::put_bytes(out, life.directory);
  out.push_back(stopped_cleanly ? 1 : 0);
  return out;
}

absl::StatusOr<LifeRecord> LifeRecord::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  LifeRecord record;
  record.life.machine = in.bytes();
  record.life.boot = in.bytes();
  record.life.directory = in.bytes();
  record.stopped_cleanly = in.byte() == 1;
  if (!in.done()) return absl::DataLossError("metadata: the record of the last life is malformed");
  return record;
}

Memory memory_of(const std::optional<LifeRecord>& last, const Life& now) {
  if (GRAPEVINE_FLAW(keeps_the_actor)) return Memory::kWhole;
  if (!last.has_value() || last->life.machine != now.machine ||
      last->life.directory != now.directory) {
    return Memory::kElsewhere;
  }
  const bool whole = last->stopped_cleanly || last->life.boot == now.boot;
  return whole ? Memory::kWhole : Memory::kSuffixLost;
}

absl::StatusOr<ActorId> next_actor(ActorId last, Memory memory, Random& random) {
  switch (memory) {
    case Memory::kWhole: return last;
    case Memory::kSuffixLost: return later_actor(last, 1);
    case Memory::kElsewhere: break;
  }
  return later_actor(last, kEpochJump + random.below(kEpochJump));
}

absl::StatusOr<ActorId> later_actor(ActorId last, std::uint64_t epochs) {
  if (epochs > ActorId::kEpochMax - last.epoch()) {
    return absl::FailedPreconditionError(fmt::format("node {} has used up its {} epochs; {}",
                                                     to_string(last.node()), ActorId::kEpochMax,
                                                     kRefill));
  }
  return ActorId::of(last.node(), last.epoch() + epochs);
}

}  // namespace grapevine::storage
