#include "server/machine.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/disk_thread.h"

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

Machine real_machine(std::function<void()> start_anew) {
  Machine machine;
  machine.begin_life = machine_life;
  std::random_device entropy;
  machine.seed = (std::uint64_t{entropy()} << 32) | entropy();
  machine.packet_salt = rpc::random_salt();
  machine.make_disk = [](rpc::Loop& loop) { return std::make_unique<DiskThread>(loop); };
  machine.on_fatal = [start_anew = std::move(start_anew)](const absl::Status& status) {
    if (absl::IsDataLoss(status) || absl::IsAborted(status)) {
      if (absl::IsAborted(status)) {
        spdlog::critical("{}; the node starts anew", text_of(status));
      } else {
        spdlog::critical("damage: {}; the node starts anew to go on with what is whole",
                         text_of(status));
      }
      spdlog::shutdown();
      if (start_anew) start_anew();
    } else {
      spdlog::critical(
          "{}: what was written may be lost; the node stops, check the disk and start it again",
          text_of(status));
      spdlog::shutdown();
    }
    std::_Exit(1);
  };
  return machine;
}

}  // namespace grapevine::server
