// Where two replicas of a partition differ: a descent through the sums of their digest trees.
//
//   range: differs? --no--> equal, done with
//                   --few keys, or not resolved--> a leaf: to be compared key by key
//                   --else--> split into 16 parts
//
// A machine over values: the caller fetches the parts' digests from both sides, wherever they are.
// Cost: 16 digests a side for every range on the way to a difference; with leaves of up to 64 keys
// and n keys that is log16(n / 64) steps.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "storage/model/digest.h"
#include "storage/model/token.h"

namespace grapevine::gossip {

class RangeDescent {
 public:
  static constexpr int kSplitBits = 4;  // 16 parts
  static constexpr std::uint32_t kLeafKeys = 64;
  // The left side lists its keys of a leaf: no more than these where the right side holds none.
  static constexpr std::uint32_t kListedKeysMax = 16'384;

  // Whether ranges with unquiet entries on the right side count as different (a pull must have
  // those entries).
  enum class Unquiet { kIgnored, kOnTheRight };

  struct Leaf {
    model::TokenRange range;
    std::uint32_t left_keys = 0;
    std::uint32_t right_keys = 0;
  };
  // The digests of the parts of one range; empty when that side's tree does not resolve them.
  using Parts = std::vector<model::DigestShare>;

  RangeDescent(model::TokenRange range, const model::DigestShare& left,
               const model::DigestShare& right, Unquiet unquiet);

  // Ranges whose parts are wanted next, at most `limit`. They stay wanted until they are answered.
  std::vector<model::TokenRange> wanted(std::size_t limit) const;
  // The parts of the first range of wanted(). REQUIRES: each side has 16 parts or none.
  void answer(const Parts& left, const Parts& right);
  // Leaves found since the last call.
  std::vector<Leaf> take_leaves() { return std::exchange(leaves_, {}); }
  bool done() const { return next_ == open_.size(); }

 private:
  void look_at(const model::TokenRange& range, const model::DigestShare& left,
               const model::DigestShare& right);

  Unquiet unquiet_;
  std::vector<Leaf> open_;  // to be split, from next_ on
  std::size_t next_ = 0;
  std::vector<Leaf> leaves_;
};

// How the items of one leaf differ. Both lists sorted by key hash.
struct ItemDifference {
  std::vector<model::Item> only_left;
  std::vector<model::Item> only_right;
  struct Both {
    model::Item left;
    model::Item right;
  };
  std::vector<Both> differing;
  std::uint64_t size() const { return only_left.size() + only_right.size() + differing.size(); }
};
void sort_by_hash(std::vector<model::Item>& items);
ItemDifference compare_items(const std::vector<model::Item>& left,
                             const std::vector<model::Item>& right);

}  // namespace grapevine::gossip
