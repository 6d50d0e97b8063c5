// The lines of import and export: one JSON object a key.
//
//   {"key":"k","value":"v"}                                  one version
//   {"key":"k","siblings":[{"value":"v1"},{"value":"v2"}]}   written concurrently
//
// Bytes that are not UTF-8 stand in base64 under "key_base64" and "value_base64". Other fields are
// ignored when reading. Functions over values. Printing is a function of the data alone: equal
// lines for equal data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grapevine/client.h"

namespace grapevine::tools {

// Value. At least one value where the key exists.
struct KeyLine {
  std::string key;
  std::vector<std::string> values;

  friend bool operator==(const KeyLine&, const KeyLine&) = default;
};

// Without a line break. Several values are sorted.
std::string print_line(KeyLine line);
// InvalidArgument with what is wrong.
absl::StatusOr<KeyLine> parse_line(std::string_view text);

// What `get --json` prints: the same object with the context, and with dot and time of each
// version.
std::string print_found(std::string_view key, const Found& found);
// {"key":"k"}
std::string print_key(std::string_view key);
// What `put --json` and `del --json` print.
std::string print_written(std::string_view key, const Written& written);

// A context as users see it: base64url.
std::string print_context(std::string_view context);
absl::StatusOr<std::string> parse_context(std::string_view text);

}  // namespace grapevine::tools
