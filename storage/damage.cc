#include "storage/damage.h"

#include <rocksdb/env.h>
#include <xxhash.h>

#include "storage/engine_rocksdb.h"
#include "storage/model/bytes.h"

namespace grapevine::storage {
namespace {

std::string path_in(const std::string& directory) {
  return directory + "/DAMAGE";
}

}  // namespace

std::string DamageNote::encode() const {
  std::string out;
  model::put_varint(out, sequence);
  model::put_varint(out, partitions.size());
  for (const Total& total : partitions) total.encode(out);
  model::put_fixed64(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

absl::StatusOr<DamageNote> DamageNote::decode(std::string_view bytes) {
  model::ByteReader in(bytes);
  DamageNote note;
  note.sequence = in.varint();
  const std::uint64_t count = in.varint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) note.partitions.push_back(Total::decode(in));
  const std::size_t covered = bytes.size() - in.left();
  const std::uint64_t checksum = in.fixed64();
  if (!in.done() || checksum != XXH3_64bits(bytes.data(), covered)) {
    return absl::DataLossError("the note about damage is damaged");
  }
  return note;
}

absl::Status write_damage_note(rocksdb::Env& env, const std::string& directory,
                               const DamageNote& note) {
  return from_rocksdb(rocksdb::WriteStringToFile(&env, note.encode(), path_in(directory),
                                                 /*should_sync=*/true),
                      directory + ": noting the damage");
}

std::optional<DamageNote> read_damage_note(rocksdb::Env& env, const std::string& directory) {
  std::string bytes;
  if (!rocksdb::ReadFileToString(&env, path_in(directory), &bytes).ok()) return std::nullopt;
  auto note = DamageNote::decode(bytes);
  if (!note.ok()) return std::nullopt;
  return *std::move(note);
}

void remove_damage_note(rocksdb::Env& env, const std::string& directory) {
  env.DeleteFile(path_in(directory)).PermitUncheckedError();
}

}  // namespace grapevine::storage
