#include "storage/life.h"

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

bool keeps_actor(const LifeRecord& last, const Life& now) {
  if (last.life.machine != now.machine || last.life.directory != now.directory) return false;
  return last.stopped_cleanly || last.life.boot == now.boot;
}

}  // namespace grapevine::storage
