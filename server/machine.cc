#include "server/machine.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

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

// Ticks that were idle, and all, of a line "cpu user nice system idle iowait …".
std::pair<std::uint64_t, std::uint64_t> ticks_of(const std::string& line) {
  constexpr int kIdle = 3;
  constexpr int kWaiting = 4;  // for the disk
  std::istringstream in(line);
  std::string name;
  in >> name;
  std::uint64_t idle = 0;
  std::uint64_t all = 0;
  std::uint64_t ticks = 0;
  for (int i = 0; in >> ticks; ++i) {
    all += ticks;
    if (i == kIdle || i == kWaiting) idle += ticks;
  }
  return {idle, all};
}

std::uint64_t free_mib(const std::string& directory) {
  struct statvfs disk {};
  if (statvfs(directory.c_str(), &disk) != 0) return 0;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize >> 20;
}

}  // namespace

std::uint32_t cpu_percent(const std::string& before, const std::string& now) {
  const auto [idle_before, all_before] = ticks_of(before);
  const auto [idle, all] = ticks_of(now);
  if (all <= all_before || idle < idle_before || idle - idle_before > all - all_before) return 0;
  const std::uint64_t busy = (all - all_before) - (idle - idle_before);
  return static_cast<std::uint32_t>(100 * busy / (all - all_before));
}

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
  machine.measure = [before = first_line("/proc/stat")](const std::string& directory) mutable {
    std::string now = first_line("/proc/stat");
    const std::uint32_t busy = cpu_percent(before, now);
    before = std::move(now);
    return Machine::Load{busy, free_mib(directory)};
  };
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
