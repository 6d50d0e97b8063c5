#include "client/pending.h"

#include <fmt/format.h>

#include "storage/base/limits.h"

namespace grapevine::client {
namespace {

constexpr std::size_t kShownKeyBytesMax = 48;
constexpr std::chrono::hours kTimeoutMax{24};

absl::Status check_key(std::string_view key) {
  if (key.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("key '' has 0 bytes: a key has 1 to {} bytes", kKeyBytesMax));
  }
  if (key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("key {} has {} bytes: at most {} are allowed; shorten it", shown(key),
                    key.size(), kKeyBytesMax));
  }
  return absl::OkStatus();
}

}  // namespace

const std::string& key_of(const Operation& operation) {
  return std::visit([](const auto& one) -> const std::string& { return one.key; }, operation);
}

const std::shared_ptr<Session>& session_of(const Operation& operation) {
  return std::visit(
      [](const auto& one) -> const auto& { return one.session; }, operation);
}

bool is_write(const Operation& operation) {
  return !std::holds_alternative<Get>(operation);
}

std::string_view verb_of(const Operation& operation) {
  if (std::holds_alternative<Get>(operation)) return "get";
  return std::holds_alternative<Put>(operation) ? "put" : "remove";
}

std::size_t bytes_of(const Operation& operation) {
  std::size_t bytes = key_of(operation).size();
  if (const auto* put = std::get_if<Put>(&operation)) {
    bytes += put->value.size() + put->context.value_or("").size();
  } else if (const auto* remove = std::get_if<Remove>(&operation)) {
    bytes += remove->context.value_or("").size();
  }
  return bytes;
}

absl::Status check(const Operation& operation) {
  GRAPEVINE_RETURN_IF_ERROR(check_key(key_of(operation)));
  const auto* put = std::get_if<Put>(&operation);
  if (put != nullptr && put->value.size() > kValueBytesMax) {
    return absl::InvalidArgumentError(fmt::format(
        "the value of key {} has {} bytes: at most {} are allowed; split it over several keys",
        shown(put->key), put->value.size(), kValueBytesMax));
  }
  return absl::OkStatus();
}

absl::Status check(const ScanOptions& options) {
  if (options.prefix.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("the scan's prefix has {} bytes: no key is longer than {}",
                    options.prefix.size(), kKeyBytesMax));
  }
  if (options.limit == 0 || options.limit > kScanKeysMax) {
    return absl::InvalidArgumentError(
        fmt::format("the scan's limit is {}: a page has 1 to {} keys; ask for more with the cursor",
                    options.limit, kScanKeysMax));
  }
  return absl::OkStatus();
}

absl::Status check_timeout(std::chrono::milliseconds timeout) {
  if (timeout.count() > 0 && timeout <= kTimeoutMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("the timeout is {} ms: give 1 ms to 24 h", timeout.count()));
}

std::string shown(std::string_view key) {
  std::string text = "'";
  for (const char c : key.substr(0, kShownKeyBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '\'' || c == '\\') {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  if (key.size() > kShownKeyBytesMax) text += "…";
  return text + "'";
}

std::string shown(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return ms >= 1000 && ms % 100 == 0 ? fmt::format("{:g} s", static_cast<double>(ms) / 1000)
                                     : fmt::format("{} ms", ms);
}

absl::Status final_error(const Pending& pending, bool cancelled, std::string_view unreachable) {
  const std::string what =
      fmt::format("{} {}", verb_of(pending.operation), shown(key_of(pending.operation)));
  const std::string when = cancelled ? std::string("before the client was destroyed")
                                     : fmt::format("within {}", shown(pending.timeout));
  if (is_write(pending.operation) && (pending.in_flight || pending.maybe_written)) {
    return outcome_unknown_error(
        fmt::format("outcome unknown: {} was sent to {} and not confirmed {}: it may or may not "
                    "have happened, and may "
                    "still spread; read the key before writing again",
                    what, pending.node, when));
  }
  if (cancelled)
    return absl::CancelledError(fmt::format("{}: the client was destroyed first", what));
  if (pending.in_flight) {
    return absl::UnavailableError(fmt::format(
        "{}: no answer from {} {}; try again, or allow more time", what, pending.node, when));
  }
  if (!pending.last_error.ok()) {
    return absl::UnavailableError(
        fmt::format("{}: not done {}: {}", what, when, text_of(pending.last_error)));
  }
  if (!unreachable.empty()) {
    return absl::UnavailableError(
        fmt::format("{}: no node could be reached {}: {}", what, when, unreachable));
  }
  return absl::UnavailableError(fmt::format(
      "{}: still waiting behind others {}, nothing was sent; try again, or allow more time", what,
      when));
}

}  // namespace grapevine::client
