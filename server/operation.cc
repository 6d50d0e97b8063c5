#include "server/operation.h"

#include <fmt/format.h>

#include "storage/base/limits.h"

namespace grapevine::server {

absl::Status check_limits(const Operation& operation) {
  if (operation.key.empty()) {
    return absl::InvalidArgumentError("key: empty; a key has at least 1 byte");
  }
  if (operation.key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(fmt::format("key: {} bytes, the limit is {}; shorten it",
                                                  operation.key.size(), kKeyBytesMax));
  }
  if (operation.value.size() > kValueBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("value: {} bytes, the limit is {}; store it in parts", operation.value.size(),
                    kValueBytesMax));
  }
  if (operation.ttl_ms > kTtlMsMax) {
    return absl::InvalidArgumentError(
        "ttl: not between 1 ms and 100 years; leave it out for a value that lives for ever");
  }
  return absl::OkStatus();
}

}  // namespace grapevine::server
