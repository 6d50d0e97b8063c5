#include "storage/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace grapevine {

void check_failed(const char* file, int line, const char* condition, const char* text) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s (%s)\n", file, line, condition, text);
  std::abort();
}

}  // namespace grapevine
