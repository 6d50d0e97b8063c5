// Where a key lies: tokens, ranges of them, partitions.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "storage/base/ids.h"

namespace grapevine::model {

// The place of a key on the ring: xxh3-64 of the key, or, if the key has a `{…}` with something
// between the first '{' and the first '}' after it, of that part alone (the hash-tag rule of Redis
// Cluster). Keys with one tag share a token, so they are stored together, in key order. Value.
struct Token {
  std::uint64_t value = 0;

  friend auto operator<=>(const Token&, const Token&) = default;
};

// The part of `key` that decides its token: its hash tag, or the whole key.
std::string_view hashed_part(std::string_view key);
Token token_of(std::string_view key);

// If every key that begins with `prefix` has the same token (a whole hash tag stands in the
// prefix), true.
bool prefix_fixes_token(std::string_view prefix);

// A range of tokens, both ends included. Value; first <= last.
struct TokenRange {
  Token first{0};
  Token last{~std::uint64_t{0}};

  bool contains(Token token) const { return first <= token && token <= last; }
  // The i-th of 2^bits equal parts. REQUIRES: the range holds a power of two of at least 2^bits
  // tokens.
  TokenRange part(std::uint32_t index, int bits) const;
  // log2 of how many tokens the range holds; 64 for all. Meaningful for ranges made by
  // partition_range and part.
  int size_bits() const;
  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

// How the token space is cut: 2^bits partitions; a partition is the top bits of the token. Fixed
// when a cluster is made. Value.
class Partitioning {
 public:
  // REQUIRES: count is a power of two, 1 <= count <= kPartitionsMax.
  explicit Partitioning(std::uint32_t count);

  std::uint32_t count() const { return std::uint32_t{1} << bits_; }
  PartitionId of(Token token) const {
    return {bits_ == 0 ? 0 : static_cast<std::uint32_t>(token.value >> (64 - bits_))};
  }
  PartitionId of(std::string_view key) const { return of(token_of(key)); }
  TokenRange range(PartitionId partition) const {
    return TokenRange{}.part(partition.value, bits_);
  }

 private:
  int bits_;
};

}  // namespace grapevine::model
