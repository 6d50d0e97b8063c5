// The bytes of a stored entry. The layout stands in storage/README.md.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/status.h"
#include "storage/model/entry.h"

namespace grapevine::model {

enum class Values {
  kWith,     // versions with their bytes
  kWithout,  // heads: size and checksum only
};

// Appends the encoding. REQUIRES: every version has its value.
void encode_entry(const Entry& entry, std::string& out);
// DataLoss with what is wrong, for bytes that encode_entry cannot have written. With Values::kWith
// each value is checked against its checksum. Costs a copy of every value with kWith, nothing for
// values with kWithout.
absl::StatusOr<Entry> decode_entry(std::string_view bytes, Values values);

}  // namespace grapevine::model
