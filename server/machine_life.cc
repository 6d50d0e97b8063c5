#include "server/machine_life.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace grapevine::server {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

absl::StatusOr<storage::Life> machine_life(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  struct stat entry {};
  if (error || stat(directory.c_str(), &entry) != 0 || !S_ISDIR(entry.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("data directory {}: {}; choose another --data-dir", directory,
                    error ? error.message() : std::string("is not a directory")));
  }
  storage::Life life;
  // A machine without an id is told apart by its boot alone: after a reboot it takes a new actor,
  // which is safe.
  life.boot = first_line("/proc/sys/kernel/random/boot_id");
  life.machine = first_line("/etc/machine-id");
  if (life.machine.empty()) life.machine = life.boot;
  life.directory = fmt::format("{}:{}", static_cast<unsigned long>(entry.st_dev), entry.st_ino);
  return life;
}

}  // namespace grapevine::server
