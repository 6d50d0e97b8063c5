// Which machine this is, which boot of it, and which directory: what rule R7 compares.
#pragma once

#include <string>

#include "storage/base/status.h"
#include "storage/life.h"

namespace grapevine::server {

// Makes `directory` if it does not exist. FailedPrecondition when it cannot be made or is no
// directory.
absl::StatusOr<storage::Life> machine_life(const std::string& directory);

}  // namespace grapevine::server
