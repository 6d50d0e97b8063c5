#include "rpc/errors.h"

#include <asio/error.hpp>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>

#include "storage/base/check.h"

namespace grapevine::rpc {
namespace {

using Type = kj::Exception::Type;

constexpr std::string_view kMark = "grapevine status ";
constexpr std::string_view kRemote = "remote exception: ";
constexpr std::string_view kRefused = ": connection refused";
constexpr std::string_view kReset = ": connection reset by peer";
constexpr std::string_view kOverSizeLimit = "single-message size limit";
constexpr int kCodeMax = static_cast<int>(absl::StatusCode::kUnauthenticated);

std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kErrorTextBytesMax));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line;
}

std::string_view description_of(const kj::Exception& exception) {
  const kj::StringPtr description = exception.getDescription();
  std::string_view text(description.begin(), description.size());
  while (text.starts_with(kRemote)) text.remove_prefix(kRemote.size());
  return text;
}

// The Status inside a marked text; nullopt when there is none.
std::optional<absl::Status> marked_status(std::string_view text) {
  if (!text.starts_with(kMark)) return std::nullopt;
  text.remove_prefix(kMark.size());
  int code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error != std::errc() || code < 1 || code > kCodeMax) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.starts_with(": ")) return std::nullopt;
  text.remove_prefix(2);
  // Cap'n Proto may have appended lines of context.
  return absl::Status(static_cast<absl::StatusCode>(code),
                      one_line(text.substr(0, text.find('\n'))));
}

Type type_of(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable: return Type::DISCONNECTED;
    case absl::StatusCode::kResourceExhausted: return Type::OVERLOADED;
    case absl::StatusCode::kUnimplemented: return Type::UNIMPLEMENTED;
    default: return Type::FAILED;
  }
}

kj::Exception unmarked(Type type, std::string_view text) {
  return kj::Exception(type, __FILE__, __LINE__, kj::heapString(text.data(), text.size()));
}

}  // namespace

kj::Exception to_exception(const absl::Status& status) {
  GRAPEVINE_CHECK(!status.ok(), "only an error can become an exception");
  const std::string text = std::string(kMark) + std::to_string(static_cast<int>(status.code())) +
                           ": " + one_line(text_of(status));
  return unmarked(type_of(status.code()), text);
}

absl::Status to_status(const kj::Exception& exception) {
  const std::string_view text = description_of(exception);
  if (auto status = marked_status(text)) return *std::move(status);
  switch (exception.getType()) {
    case Type::DISCONNECTED: return absl::UnavailableError(one_line(text));
    case Type::OVERLOADED: return absl::ResourceExhaustedError(one_line(text));
    case Type::UNIMPLEMENTED: return absl::UnimplementedError(one_line(text));
    case Type::FAILED: break;
  }
  if (text.find(kOverSizeLimit) != std::string_view::npos) {
    return absl::InvalidArgumentError(
        "the message is over the size limit of one call; split the batch");
  }
  return absl::InternalError(one_line(text));
}

absl::Status to_status(std::string_view action, const std::error_code& error) {
  std::string reason = error.message();
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z') {
    reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  }
  // By number: Asio's category of system errors does not compare equal to the portable conditions.
  const int number = error.category() == asio::error::get_system_category() ? error.value() : 0;
  std::string text(action);
  if (number == ECONNREFUSED) {
    text += kRefused;
  } else if (number == ECONNRESET) {
    text += kReset;
  } else {
    text += ": " + reason;
  }
  if (number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::UnavailableError(text);
}

kj::Exception connection_lost(std::string_view text) {
  return unmarked(Type::DISCONNECTED, text);
}

kj::Exception connection_lost(std::string_view action, const std::error_code& error) {
  const absl::Status status = to_status(action, error);
  return unmarked(type_of(status.code()), text_of(status));
}

bool is_connection_lost(const kj::Exception& exception) {
  return exception.getType() == Type::DISCONNECTED && !marked_status(description_of(exception));
}

bool is_answer(const kj::Exception& exception) {
  return exception.getType() == Type::UNIMPLEMENTED ||
         marked_status(description_of(exception)).has_value();
}

bool is_refusal(const kj::Exception& exception) {
  const kj::StringPtr description = exception.getDescription();
  const std::string_view text(description.begin(), description.size());
  return text.starts_with(kRemote) || text.ends_with(kRefused) || text.ends_with(kReset);
}

void throw_if_error(const absl::Status& status) {
  if (!status.ok()) kj::throwFatalException(to_exception(status));
}

}  // namespace grapevine::rpc
