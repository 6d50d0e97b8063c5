// Digests that add up: any range of tokens has one, and a write changes it by a difference.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/model/bytes.h"
#include "storage/model/entry.h"

namespace grapevine::model {

// A sum modulo 2^128 of the hashes of live versions. Value.
struct DigestSum {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  DigestSum& operator+=(const DigestSum& other);
  DigestSum& operator-=(const DigestSum& other);
  friend DigestSum operator+(DigestSum a, const DigestSum& b) { return a += b; }
  friend DigestSum operator-(DigestSum a, const DigestSum& b) { return a -= b; }
  friend bool operator==(const DigestSum&, const DigestSum&) = default;
};

// Hashes live versions under a seed that all nodes of a cluster share. Value.
class Digester {
 public:
  explicit Digester(std::uint64_t cluster_seed) : seed_(cluster_seed) {}

  // The sum over the live versions of xxh3-128(key, dot, checksum); zero for an entry without any.
  // The vector is left out: what it adds to a quiet replica is nothing.
  DigestSum digest(std::string_view key, const Entry& entry) const;
  // A hash of the key and the entry's vector; 0 for a quiet one.
  std::uint64_t vector_hash(std::string_view key, const Entry& entry) const;
  // Names a key within a leaf of the digest tree; 64 bits.
  std::uint64_t key_hash(std::string_view key) const;

 private:
  std::uint64_t seed_;
};

// What a range of tokens, or one key, adds to a digest tree. Value.
struct DigestShare {
  DigestSum sum;
  std::uint32_t keys = 0;     // stored entries
  std::uint32_t unquiet = 0;  // of them, those that carry a version vector
  std::uint64_t vectors = 0;  // a sum modulo 2^64 over those: of xxh3-64(key, vector)

  DigestShare& operator+=(const DigestShare& other);
  DigestShare& operator-=(const DigestShare& other);
  friend DigestShare operator+(DigestShare a, const DigestShare& b) { return a += b; }
  friend bool operator==(const DigestShare&, const DigestShare&) = default;

  // Appends: low and high half of the sum (8 bytes each), varint keys, varint unquiet, and unless
  // that is 0, vectors (8 bytes).
  void encode(std::string& out) const;
  // Fails the reader for what encode cannot have written.
  static DigestShare decode(ByteReader& in);
};

// One stored key as two replicas compare it; 17 bytes when it travels without the key. Value.
struct Item {
  std::string key;             // left out where only the hashes travel
  std::uint64_t key_hash = 0;  // Digester::key_hash
  std::uint64_t digest = 0;    // low half of the digest of its live versions; 0 for none
  bool unquiet = false;        // the entry carries a version vector

  friend bool operator==(const Item&, const Item&) = default;
};

// The share of a stored (stripped) entry; nothing for one that is void of all.
DigestShare share_of(const Digester& digester, std::string_view key, const Entry& stored);

}  // namespace grapevine::model
