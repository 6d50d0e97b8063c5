// A key as a scan meets it.
#pragma once

#include <string>
#include <vector>

#include "storage/model/entry.h"

namespace grapevine::server {

// Value.
struct ScannedKey {
  std::string key;
  std::vector<model::Version> versions;  // live, sorted by dot; heads unless values were asked for
};

}  // namespace grapevine::server
