// The context that a read returns and the next write hands back.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/status.h"
#include "storage/model/version_vector.h"

namespace grapevine::model {

// Opaque to users: a format byte, 8 bytes that bind it to the key, and the version vector. The
// empty string is the empty context: it has seen nothing.
std::string encode_context(std::string_view key, const VersionVector& seen);
// InvalidArgument for bytes that are no context, or another key's.
absl::StatusOr<VersionVector> decode_context(std::string_view key, std::string_view context);

}  // namespace grapevine::model
