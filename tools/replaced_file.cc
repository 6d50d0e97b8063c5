#include "tools/replaced_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace grapevine::tools {

absl::StatusOr<ReplacedFile> ReplacedFile::create(const std::string& path) {
  ReplacedFile made(nullptr, path);
  made.file_ = std::fopen(made.partial_path().c_str(), "wb");
  if (made.file_ != nullptr) return made;
  return absl::InvalidArgumentError(
      fmt::format("{} cannot be created: {}", made.partial_path(), std::strerror(errno)));
}

ReplacedFile::~ReplacedFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(partial_path().c_str());
}

ReplacedFile::ReplacedFile(ReplacedFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)), path_(std::move(other.path_)) {}

absl::Status ReplacedFile::commit() {
  errno = 0;
  bool good = std::fflush(file_) == 0 && std::ferror(file_) == 0 && fsync(fileno(file_)) == 0;
  int why = errno;
  if (std::fclose(std::exchange(file_, nullptr)) != 0 && good) {
    good = false;
    why = errno;
  }
  if (good && std::rename(partial_path().c_str(), path_.c_str()) == 0) return absl::OkStatus();
  if (good) why = errno;
  std::remove(partial_path().c_str());
  return absl::InvalidArgumentError(fmt::format("{} cannot be written: {}", path_,
                                                why == 0 ? "unknown cause" : std::strerror(why)));
}

}  // namespace grapevine::tools
