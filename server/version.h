// The version of this program.
#pragma once

namespace grapevine::server {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace grapevine::server
