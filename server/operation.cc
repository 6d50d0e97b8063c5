#include "server/operation.h"

#include <fmt/format.h>

namespace grapevine::server {
namespace {

std::size_t bytes_of(const ReadAnswer& answer) {
  constexpr std::size_t kBytesBeside = 100;  // a version's dot and times, rounded up
  std::size_t bytes = answer.context.size() + answer.session.size();
  for (const model::Version& sibling : answer.siblings)
    bytes += sibling.value.size() + kBytesBeside;
  return bytes;
}

}  // namespace

void fit_answers(std::vector<OperationAnswer>& answers, std::size_t bytes_max) {
  std::size_t all = 0;
  for (OperationAnswer& answer : answers) {
    const auto* const read = std::get_if<ReadAnswer>(&answer);
    if (read == nullptr) continue;
    const std::size_t bytes = bytes_of(*read);
    if (bytes > bytes_max) {
      answer = absl::ResourceExhaustedError(fmt::format(
          "the {} siblings of the key have {} bytes together, and an answer has at most {}: delete "
          "the key, or put the value that it is to have, both without a context",
          read->siblings.size(), bytes, bytes_max));
    } else if (bytes > bytes_max - all) {
      answer = absl::UnavailableError(fmt::format(
          "the answers to this call have more than {} bytes together, so this one was left out; "
          "read again",
          bytes_max));
    } else {
      all += bytes;
    }
  }
}

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
