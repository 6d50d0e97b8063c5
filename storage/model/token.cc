#include "storage/model/token.h"

#include <bit>

#include <xxhash.h>

#include "storage/base/check.h"
#include "storage/base/limits.h"

namespace grapevine::model {

std::string_view hashed_part(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Token token_of(std::string_view key) {
  const std::string_view part = hashed_part(key);
  return {XXH3_64bits(part.data(), part.size())};
}

bool prefix_fixes_token(std::string_view prefix) {
  return hashed_part(prefix).size() != prefix.size();
}

TokenRange TokenRange::part(std::uint32_t index, int bits) const {
  if (bits == 0) return *this;
  const int size_after = size_bits() - bits;
  const std::uint64_t begin = first.value + (std::uint64_t{index} << size_after);
  return {{begin}, {begin + ((std::uint64_t{1} << size_after) - 1)}};
}

int TokenRange::size_bits() const {
  return static_cast<int>(std::bit_width(last.value - first.value));
}

Partitioning::Partitioning(std::uint32_t count)
    : bits_(static_cast<int>(std::bit_width(count)) - 1) {
  GRAPEVINE_CHECK(std::has_single_bit(count) && count <= kPartitionsMax,
                  "partitions must be a power of two within the limit");
}

}  // namespace grapevine::model
