// The descent of `grapevine divergence` over two replicas of a simulated cluster, held against what they
// hold key by key.
#pragma once

#include <cstddef>

#include "storage/base/status.h"
#include "storage/view.h"

namespace grapevine::simulation {

// How many keys differ. Internal when the descent finds others than there are.
absl::StatusOr<std::size_t> compare_as_the_tool_does(const storage::View& one,
                                                     const storage::View& other);

}  // namespace grapevine::simulation
