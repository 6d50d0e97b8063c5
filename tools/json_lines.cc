#include "tools/json_lines.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "storage/base/status.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Puts the bytes under `name`, or under NAME_base64.
void put_bytes(OrderedJson& object, const std::string& name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    object[name] = std::string(bytes);
  } else {
    object[name + "_base64"] = to_base64(bytes);
  }
}

// The bytes under `name` or NAME_base64; nullopt when neither is there.
absl::StatusOr<std::optional<std::string>> take_bytes(const Json& object, const std::string& name) {
  const auto plain = object.find(name);
  const auto encoded = object.find(name + "_base64");
  if (plain != object.end() && encoded != object.end()) {
    return absl::InvalidArgumentError(
        fmt::format("both \"{}\" and \"{}_base64\" are given", name, name));
  }
  if (plain != object.end()) {
    if (!plain->is_string())
      return absl::InvalidArgumentError(fmt::format("\"{}\" is not a string", name));
    return plain->get<std::string>();
  }
  if (encoded == object.end()) return std::nullopt;
  if (!encoded->is_string())
    return absl::InvalidArgumentError(fmt::format("\"{}_base64\" is not a string", name));
  auto bytes = from_base64(encoded->get_ref<const std::string&>());
  if (!bytes.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}_base64\": {}", name, text_of(bytes.status())));
  }
  return *std::move(bytes);
}

absl::StatusOr<std::vector<std::string>> take_siblings(const Json& siblings) {
  if (!siblings.is_array() || siblings.empty()) {
    return absl::InvalidArgumentError("\"siblings\" is not a list with at least one element");
  }
  std::vector<std::string> values;
  for (const Json& sibling : siblings) {
    if (!sibling.is_object()) return absl::InvalidArgumentError("a sibling is not an object");
    GRAPEVINE_ASSIGN_OR_RETURN(auto value, take_bytes(sibling, "value"));
    if (!value.has_value()) return absl::InvalidArgumentError("a sibling has no \"value\"");
    values.push_back(*std::move(value));
  }
  return values;
}

OrderedJson version_object(const Sibling& sibling) {
  OrderedJson object;
  put_bytes(object, "value", sibling.value);
  object["dot"] = readable_dot(sibling.dot);
  object["written"] = readable_time(sibling.written_unix_ms);
  if (sibling.expires_unix_ms != 0) object["expires"] = readable_time(sibling.expires_unix_ms);
  return object;
}

}  // namespace

std::string print_line(KeyLine line) {
  OrderedJson object;
  put_bytes(object, "key", line.key);
  if (line.values.size() == 1) {
    put_bytes(object, "value", line.values[0]);
  } else {
    std::sort(line.values.begin(), line.values.end());
    object["siblings"] = OrderedJson::array();
    for (const auto& value : line.values) {
      OrderedJson sibling;
      put_bytes(sibling, "value", value);
      object["siblings"].push_back(std::move(sibling));
    }
  }
  return object.dump();
}

absl::StatusOr<KeyLine> parse_line(std::string_view text) {
  const Json object = Json::parse(text.begin(), text.end(), nullptr, false);
  if (object.is_discarded()) return absl::InvalidArgumentError("not JSON");
  if (!object.is_object()) return absl::InvalidArgumentError("not a JSON object");
  GRAPEVINE_ASSIGN_OR_RETURN(auto key, take_bytes(object, "key"));
  if (!key.has_value()) return absl::InvalidArgumentError("no \"key\"");
  GRAPEVINE_ASSIGN_OR_RETURN(auto value, take_bytes(object, "value"));
  const auto siblings = object.find("siblings");
  if (value.has_value() == (siblings != object.end())) {
    return absl::InvalidArgumentError(value.has_value()
                                          ? "both \"value\" and \"siblings\" are given"
                                          : "no \"value\" and no \"siblings\"");
  }
  KeyLine line{.key = *std::move(key), .values = {}};
  if (value.has_value()) {
    line.values.push_back(*std::move(value));
  } else {
    GRAPEVINE_ASSIGN_OR_RETURN(line.values, take_siblings(*siblings));
  }
  return line;
}

std::string print_found(std::string_view key, const Found& found) {
  OrderedJson object;
  put_bytes(object, "key", key);
  if (found.siblings.size() == 1) {
    object.update(version_object(found.siblings[0]));
  } else {
    object["siblings"] = OrderedJson::array();
    for (const auto& sibling : found.siblings)
      object["siblings"].push_back(version_object(sibling));
  }
  object["context"] = print_context(found.context);
  return object.dump();
}

std::string print_key(std::string_view key) {
  OrderedJson object;
  put_bytes(object, "key", key);
  return object.dump();
}

std::string print_written(std::string_view key, const Written& written) {
  OrderedJson object;
  put_bytes(object, "key", key);
  object["dot"] = readable_dot(written.dot);
  object["context"] = print_context(written.context);
  return object.dump();
}

std::string print_context(std::string_view context) {
  return to_base64(context, true);
}

absl::StatusOr<std::string> parse_context(std::string_view text) {
  auto context = from_base64(text, true);
  if (!context.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("context '{}' is not what get --json printed as \"context\"",
                    printable(text.substr(0, 40))));
  }
  return context;
}

}  // namespace grapevine::tools
