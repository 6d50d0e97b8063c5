// What a store that noticed damage leaves for its next opening.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "storage/clock_journal.h"

namespace rocksdb {
class Env;
}

namespace grapevine::storage {

// What the trees of a running store said at the moment when it stopped because of damage: the next
// opening then knows of each partition whether what it finds is all. Without the note (a crash in
// between) it only knows the total. Value.
struct DamageNote {
  std::uint64_t sequence = 0;     // of the last journal record: the note is about no other state
  std::vector<Total> partitions;  // in order

  // Varint sequence, varint partitions, for each its total (24 bytes), then xxh3-64 of all that.
  std::string encode() const;
  static absl::StatusOr<DamageNote> decode(std::string_view bytes);
};

// The note is a file of the data directory, not a record of the database, which may take none any
// more.
absl::Status write_damage_note(rocksdb::Env& env, const std::string& directory,
                               const DamageNote& note);
// nullopt when there is none, or none that can be read.
std::optional<DamageNote> read_damage_note(rocksdb::Env& env, const std::string& directory);
void remove_damage_note(rocksdb::Env& env, const std::string& directory);

}  // namespace grapevine::storage
