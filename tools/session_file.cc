#include "tools/session_file.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace grapevine::tools {
namespace {

// Empty when there is no such file.
absl::StatusOr<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (file == nullptr && errno == ENOENT) return std::string();
  std::string bytes;
  std::array<char, std::size_t{64} * 1024> piece;
  while (file != nullptr) {
    const std::size_t count = std::fread(piece.data(), 1, piece.size(), file.get());
    if (count == 0 && std::ferror(file.get()) == 0) return bytes;
    if (count == 0) break;
    bytes.append(piece.data(), count);
  }
  return absl::InvalidArgumentError(
      fmt::format("--session {}: it cannot be read: {}", path, std::strerror(errno)));
}

}  // namespace

void SessionFile::add_flag(CLI::App& command, std::string& path) {
  command
      .add_option("--session", path,
                  "see nothing older than what commands with this file saw and wrote before, at "
                  "any node and --consistency; made if it is not there")
      ->type_name("FILE");
}

absl::StatusOr<SessionFile> SessionFile::open(const std::string& path) {
  SessionFile opened;
  if (path.empty()) return opened;
  GRAPEVINE_ASSIGN_OR_RETURN(const std::string token, read_file(path));
  auto session = Session::resume(token);
  if (!session.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("--session {}: {}", path, std::string(session.status().message())));
  }
  GRAPEVINE_ASSIGN_OR_RETURN(auto file, ReplacedFile::create(path));
  opened.session_ = *std::move(session);
  opened.file_.emplace(std::move(file));
  return opened;
}

absl::Status SessionFile::save() {
  if (session_ == nullptr) return absl::OkStatus();
  file_->write(session_->token());
  return file_->commit();
}

}  // namespace grapevine::tools
