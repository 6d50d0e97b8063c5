// What a session has seen and written, so that no node shows it anything older.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/container/inlined_vector.h"
#include "storage/base/ids.h"
#include "storage/base/status.h"
#include "storage/model/dot.h"
#include "storage/model/entry.h"
#include "storage/model/version_vector.h"

namespace grapevine::model {

// What a session knows of one key, as the result that told it did.
//
// *Exact*: `live` are the versions that it saw or wrote and has not seen superseded, and `vector` is
// the filled vector that stood beside them: the session knows the effect of all that this covers.
// Not exact: a floor. Of this key and of others of its partition all is known that `vector` covers,
// but no longer which versions were live.
//
// Value. Invariant: `live` is sorted; a floor has none. A live dot may be above the vector, which
// would else cover a sibling that the session has not seen.
struct Seen {
  bool exact = true;
  absl::InlinedVector<Dot, 1> live;
  VersionVector vector;

  bool nothing() const { return live.empty() && vector.empty(); }
  friend bool operator==(const Seen&, const Seen&) = default;
};

// As model::join of the two entries. REQUIRES: both exact.
Seen join(Seen left, const Seen& right);
// Exact. REQUIRES: filled.
Seen seen_of(const Entry& entry);

// Whether `entry`, filled, is enough for who has seen this: it knows of every version that was live
// (still holds it, or what superseded it), or, for a floor, of all that the floor covers. More than
// that is not asked for: what is older is left out by join_seen, wherever it comes from.
bool reaches(const Entry& entry, const Seen& seen);
// Leaves out what was seen to be superseded, as the join of two entries does, and raises the vector.
// For the reader alone and never to be stored: what it leaves out is the session's word, not a
// replica's. REQUIRES: reaches().
Entry join_seen(Entry entry, const Seen& seen);

// Which cluster a session belongs to. Value.
struct SessionScope {
  std::uint64_t cluster = 0;     // a hash of what its nodes share
  std::uint32_t partitions = 1;  // a power of two

  friend bool operator==(const SessionScope&, const SessionScope&) = default;
};

// The Seen of the keys that were used last, exactly; those before are folded into a floor for each
// partition. So a session is bounded, and its promise holds for every key; beyond keys_max keys a
// read may have to ask more owners, or be refused, for the sake of some other key of its partition
// whose write one of them lacks.
//
// Value. Bounds: keys_max keys, a vector for each partition with keys that were folded. Costs:
// O(log keys) a call, but for join, encode and decode.
class Session {
 public:
  static constexpr std::size_t kKeysMax = 1'000;
  static constexpr std::size_t kBytesMax = std::size_t{4} << 20;  // of an encoded one

  explicit Session(std::size_t keys_max = kKeysMax) : keys_max_(keys_max) {}
  Session(const SessionScope& scope, std::size_t keys_max = kKeysMax)
      : keys_max_(keys_max), bound_(true), scope_(scope) {}

  // Nothing was noted yet that would tell the cluster.
  bool bound() const { return bound_; }
  const SessionScope& scope() const { return scope_; }
  std::size_t keys() const { return keys_.size(); }  // known exactly
  bool folded() const { return !floors_.empty(); }

  // All that is known of the key.
  Seen of(std::string_view key) const;
  // Adds what an operation on the key returned. REQUIRES: bound().
  void note(std::string_view key, const Seen& seen);
  // It is of this cluster. InvalidArgument: it is of another one.
  absl::Status bind(const SessionScope& scope);
  // Adds what another session knows; binds this one if need be. InvalidArgument: as bind().
  absl::Status join(const Session& other);
  // A session that knows of this key what this one does, and nothing else.
  Session part_of(std::string_view key) const;

  // The empty string for one that is not bound. Else: format (1 byte, 1), cluster (8 bytes), log2 of
  // the number of partitions (1 byte); varint number of actors, each 8 bytes, ascending; varint
  // number of floors, each varint gap to the partition before it and a vector; varint number of
  // keys, the one used last at the end, each its hash (8 bytes), varint partition, a vector, varint
  // number of live dots, each dot; and a checksum of it all (4 bytes). A vector: varint number of
  // items, each varint index of its actor, varint counter, 0 for a closed one. A dot: the same two.
  std::string encode() const;
  // InvalidArgument for whatever encode() would not write, and for what is larger than kBytesMax.
  // What is beyond keys_max is folded.
  static absl::StatusOr<Session> decode(std::string_view bytes, std::size_t keys_max = kKeysMax);

  friend bool operator==(const Session& a, const Session& b) { return a.encode() == b.encode(); }

 private:
  using KeyHash = std::uint64_t;
  struct Key {
    PartitionId partition;
    Seen seen;
    std::uint64_t used = 0;  // when: its place in order_
  };

  PartitionId partition_of(std::string_view key) const;
  void put(KeyHash key, PartitionId partition, Seen seen);
  void touch(KeyHash key, Key& known);
  void fold(KeyHash key);
  void fold_oldest();
  VersionVector& floor(PartitionId partition) { return floors_[partition]; }

  std::size_t keys_max_;
  bool bound_ = false;
  SessionScope scope_;
  absl::btree_map<PartitionId, VersionVector> floors_;  // none is empty
  absl::btree_map<KeyHash, Key> keys_;
  absl::btree_map<std::uint64_t, KeyHash> order_;  // by Key::used
  std::uint64_t uses_ = 0;
};

// `bytes` without their checksum, with it.
std::string with_session_checksum(std::string_view bytes);

// The bytes that a node and a client exchange about one key: a session that knows of nothing else.
std::string encode_seen(const SessionScope& scope, std::string_view key, const Seen& seen);

}  // namespace grapevine::model
