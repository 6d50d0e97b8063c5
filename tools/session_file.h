// A session that lives in a file: `--session FILE` of the commands that read and write keys.
//
// Resource. Of two commands that use one file at once the word of the one that ends later stands.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "grapevine/session.h"
#include "storage/base/status.h"
#include "tools/replaced_file.h"

namespace grapevine::tools {

// Without a path: does nothing, with no session.
class SessionFile {
 public:
  static void add_flag(CLI::App& command, std::string& path);
  // What is in the file, or a new session if there is none. InvalidArgument when it cannot be read,
  // holds something else, or could not be replaced afterwards: before anything was done.
  static absl::StatusOr<SessionFile> open(const std::string& path);

  const std::shared_ptr<Session>& session() const { return session_; }
  // Replaces the file by what the session has seen by now; to be called once. InvalidArgument: it
  // is as it was.
  absl::Status save();

 private:
  std::shared_ptr<Session> session_;  // null: none is kept
  std::optional<ReplacedFile> file_;
};

}  // namespace grapevine::tools
