// The digest tree of one partition: which ranges of tokens hold the same live versions as another
// replica's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/status.h"
#include "storage/model/bytes.h"
#include "storage/model/digest.h"
#include "storage/model/token.h"

namespace grapevine::model {

// Leaves are equal ranges of the partition's tokens. The sum of any range is the sum of its leaves,
// so inner nodes are not stored: a tree of every depth can be read off the leaves, and replicas
// whose trees have different depths can still be compared.
//
// As the partition grows the leaves get finer, by a factor of 4 at a time, so that one holds 8 to
// 32 keys on average (keys that share a hash tag share a leaf, whatever their number). Growing
// needs the stored entries once more: begin_growth makes the finer leaves empty, and the owner
// scans the partition in token order and feeds them (grow) while changes go on being applied; both
// are right at every moment.
//
// Value (copied into views). Costs: a change updates one leaf and the root; 32 bytes a leaf;
// range() is linear in the leaves of the range.
class DigestTree {
 public:
  static constexpr std::uint32_t kKeysPerLeafMax = 32;  // the average that makes the tree grow
  static constexpr int kGrowthBits = 2;
  static constexpr int kLeafBitsMax = 24;
  // An encoded tree has at most so many leaves for each one that is written out: what makes a few
  // hostile bytes cost little memory.
  static constexpr std::size_t kSparsenessMax = 1024;

  explicit DigestTree(TokenRange range);
  // The tree over `shares`, as deep as they need.
  static DigestTree build(TokenRange range,
                          const std::vector<std::pair<Token, DigestShare>>& shares);

  // Appends: varint leaf bits, varint number of leaves that are not empty; for each, in order of
  // their tokens, varint gap to the leaf before it minus 1, then its share. Growing is left out:
  // the tree that is read grows again.
  void encode(std::string& out) const;
  // DataLoss for what encode cannot have written of a tree over `range`, and for one beyond
  // kSparsenessMax, which is better built anew.
  static absl::StatusOr<DigestTree> decode(TokenRange range, ByteReader& in);

  // A key at `token` had the share `before` and has `after`.
  void change(Token token, const DigestShare& before, const DigestShare& after);

  const TokenRange& token_range() const { return range_; }
  const DigestShare& root() const { return root_; }
  // Whether no leaf holds anything.
  bool blank() const;
  // The range of the leaf that holds `token`.
  TokenRange leaf_range(Token token) const;
  // Whether `range` is made of whole leaves, so that range() can answer.
  bool resolves(const TokenRange& range) const;
  // The sum over `range`. REQUIRES: resolves(range).
  DigestShare range(const TokenRange& range) const;
  // The first leaf at or after `from` that holds an entry which is not quiet; nullopt when there is
  // none.
  std::optional<TokenRange> next_unquiet(Token from) const;

  bool wants_to_grow() const;
  bool growing() const { return !finer_.empty(); }
  void begin_growth();  // REQUIRES: wants_to_grow() and not growing()
  // Where the scan for growing stands: everything before it is in the finer leaves.
  Token growth_cursor() const { return growth_cursor_; }
  // An entry that the scan met. REQUIRES: growing(), tokens never go back.
  void grow(Token token, const DigestShare& share);
  // The scan has met every entry before `cursor`.
  void advance_growth(Token cursor) { growth_cursor_ = cursor; }
  // The scan is through: the finer leaves take over.
  void finish_growth();

 private:
  std::size_t leaf_of(Token token, int leaf_bits) const;

  TokenRange range_;
  int range_bits_;
  int leaf_bits_ = 0;  // there are 2^leaf_bits_ leaves
  DigestShare root_;
  std::vector<DigestShare> leaves_;
  std::vector<DigestShare> finer_;  // while growing: 4 times as many
  Token growth_cursor_{0};          // valid while growing
};

}  // namespace grapevine::model
