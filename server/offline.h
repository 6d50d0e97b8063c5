// What grapevined does with a data directory that no node has open: check it, and make it from a
// backup. What was done goes to standard output, errors to standard error, one line each.
#pragma once

#include <string>

#include "server/config.h"

namespace grapevine::server {

inline constexpr std::uint64_t kFindingsShownMax = 100;

// Prints each finding, up to kFindingsShownMax, and a line that sums up. Returns the exit code: 0 no
// damage, 1 damage, 2 nothing to check.
int verify(const std::string& data_directory);

// Restores, then verifies. Returns the exit code, as `grapevine` has them: 0 done; 1 no such backup, or
// it is damaged; 3 disk full or unreadable; 4 refused. Nothing is left in the directory but after 0,
// or where the damage was in the backed-up data itself.
int restore(const CommandLine& line);

}  // namespace grapevine::server
