// The version of Grapevine, as CMakeLists.txt has it.
#pragma once

namespace grapevine {

inline constexpr const char* kVersion = GRAPEVINE_VERSION;

}  // namespace grapevine
