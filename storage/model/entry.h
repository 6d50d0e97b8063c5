// What a replica stores for a key, and how two replicas' entries become one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "storage/base/time.h"
#include "storage/model/clock.h"
#include "storage/model/dot.h"
#include "storage/model/version_vector.h"

namespace grapevine::model {

// One live version of a key: a write that no known write has superseded. Value.
struct Version {
  Dot dot;
  WallTime written;               // by the coordinator's clock; for people, never for causality
  WallTime expires;               // from then on it reads as deleted; 0: never
  std::uint32_t write_id = 0;     // of the client's attempt, see short_write_id; 0: none
  std::uint64_t checksum = 0;     // value_checksum(value)
  std::uint64_t value_bytes = 0;  // the value's size, also where the value itself is left out
  bool has_value = true;          // false in heads: the version without its bytes
  std::string value;

  bool expired(WallTime now) const { return expires.unix_ms != 0 && expires <= now; }

  friend bool operator==(const Version&, const Version&) = default;
};

// What is kept of the 64 random bits that a client draws for a write and its retries. Half of them
// do: two live versions of one key are taken for one write only when their values are equal too, so
// that a chance match does no harm.
inline std::uint32_t short_write_id(std::uint64_t drawn) {
  const auto folded = static_cast<std::uint32_t>(drawn ^ (drawn >> 32));
  return folded == 0 && drawn != 0 ? 1 : folded;
}
// Whether both are attempts of one write.
inline bool same_write(const Version& a, const Version& b) {
  return a.write_id != 0 && a.write_id == b.write_id && a.checksum == b.checksum;
}
// xxh3-64.
std::uint64_t value_checksum(std::string_view value);
// Removes the bytes and keeps size and checksum: what is enough to compare.
void drop_value(Version& version);

// Live versions of one key and the version vector that says what has been superseded.
//
// An entry is *filled* when its vector holds everything that is known for the key, *stripped* when
// it holds only what neither the replica's clock nor the live dots imply. Stored entries are
// stripped; entries that travel are filled. A stripped entry with an empty vector is *quiet*: the
// normal state.
//
// Value. Invariant: versions are sorted by dot, no dot twice.
struct Entry {
  absl::InlinedVector<Version, 1> versions;
  VersionVector vector;

  // No live version and nothing to remember: such an entry is not stored.
  bool void_of_all() const { return versions.empty() && vector.empty(); }
  bool quiet() const { return vector.empty(); }
  const Version* find(Dot dot) const;
  // Keeps the order. REQUIRES: no version has this dot yet.
  void insert(Version version);
  // Whether both hold exactly the same dots; vectors aside.
  bool same_dots(const Entry& other) const;

  friend bool operator==(const Entry&, const Entry&) = default;
};

// An entry that travels from one replica to another, filled, with those of its events that the
// receiver is to count as seen beside the live dots. Value.
struct KeyedEntry {
  std::string key;
  Entry entry;
  std::vector<Dot> events;
};

// Adds to the vector what `clock`'s bases and the live dots imply. (A live dot (a, n) implies n:
// whoever brought it knew all of a's earlier writes to the key.)
void fill(Entry& entry, const Clock& clock);
// Takes out again what they imply.
void strip(Entry& entry, const Clock& clock);
// Takes out the versions that have expired; the vector goes on covering their dots. True when there
// were any. REQUIRES: filled.
bool drop_expired(Entry& entry, WallTime now);

// The least upper bound of two filled entries: live stay the versions that both have, and those of
// either that the other's vector does not cover. Commutative, associative, idempotent. Of a version
// that both have, the one with its value is kept.
Entry join(Entry left, Entry right);

}  // namespace grapevine::model
