// Drawing without replacement.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "storage/base/random.h"

namespace grapevine::gossip {

// `count` of `all`, or all of them if there are fewer, in random order.
template <typename T>
std::vector<T> sample(std::vector<T> all, std::size_t count, Random& random) {
  const std::size_t drawn = std::min(count, all.size());
  for (std::size_t i = 0; i < drawn; ++i) {
    std::swap(all[i], all[i + random.below(all.size() - i)]);
  }
  all.resize(drawn);
  return all;
}

}  // namespace grapevine::gossip
