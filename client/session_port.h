// What the library does with a caller's session: what goes out with an operation, what comes back.
//
// Functions over a Session, which is thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "client/include/grapevine/session.h"

namespace grapevine::client {

class SessionPort {
 public:
  // What the session has seen of the key; empty: nothing.
  static std::string seen_of(const Session& session, std::string_view key);
  // Adds what a node's answer to an operation on the key said. InvalidArgument for bytes that are no
  // session, of another cluster, or not there.
  static absl::Status note(Session& session, std::string_view key, std::string_view said);
};

}  // namespace grapevine::client
