// A status inside a message (rpc/common.capnp), and back: the one place where codes meet their wire
// form. (A status that fails a whole call travels as an exception: errors.h.)
#pragma once

#include "rpc/common.capnp.h"
#include "storage/base/status.h"

namespace grapevine::rpc {

void write_status(const absl::Status& status, wire::Status::Builder out);
// A code of a later version is read as Internal.
absl::Status read_status(wire::Status::Reader in);

}  // namespace grapevine::rpc
