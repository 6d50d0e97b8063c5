#include "tests/storage/lossy_disk.h"

#include <algorithm>
#include <charconv>
#include <mutex>
#include <utility>

#include "storage/base/check.h"
#include "tests/storage/lossy_background.h"
#include "tests/storage/lossy_files.h"

namespace grapevine::storage {
namespace {

// The number of a write-ahead log; 0 for any other file.
std::uint64_t log_number(std::string_view name) {
  if (!name.ends_with(".log")) return 0;
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size() - 4, number);
  return parsed.ptr == name.data() + name.size() - 4 ? number : 0;
}

}  // namespace

LossyDisk::LossyDisk()
    : files_(std::make_shared<Files>()),
      files_env_(rocksdb::NewCompositeEnv(files_)),
      background_(std::make_unique<Background>(files_env_.get(), *files_)),
      environment_{background_.get(), [](rocksdb::DBOptions& options) {
                     options.max_file_opening_threads = 1;
                     options.stats_dump_period_sec = 0;
                     options.stats_persist_period_sec = 0;
                   }} {}

LossyDisk::~LossyDisk() = default;

void LossyDisk::hold_background() {
  background_->hold();
}

void LossyDisk::await_idle() const {
  background_->await_idle();
}

LossyDisk::LogEnd LossyDisk::log_end(const std::string& directory) const {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  LogEnd end;
  for (const auto& [name, file] : files_->directories[directory].files) {
    if (log_number(name) > end.log) end = {log_number(name), file->bytes.size()};
  }
  return end;
}

bool LossyDisk::holds(const std::string& directory, const LogEnd& end) const {
  return holds(copy(directory), end);
}

bool LossyDisk::holds(const Image& image, const LogEnd& end) {
  if (end.log == 0) return true;
  std::uint64_t oldest = ~std::uint64_t{0};
  for (const auto& [name, bytes] : image) {
    const std::uint64_t log = log_number(name);
    if (log == end.log) return bytes.size() >= end.bytes;
    if (log != 0) oldest = std::min(oldest, log);
  }
  return end.log < oldest && oldest != ~std::uint64_t{0};
}

void LossyDisk::freeze(const std::string& directory) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->directories[directory].frozen = true;
}

void LossyDisk::thaw(const std::string& directory) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->directories[directory].frozen = false;
}

void LossyDisk::lose_power(const std::string& path, Random& random) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  for (auto& [folder, directory] : files_->directories) {
    if (!Files::is_within(folder, path)) continue;
    const std::size_t kept = random.below(directory.unsynced.size() + 1);
    while (directory.unsynced.size() > kept) {
      Files::take_back(directory, directory.unsynced.back());
      directory.unsynced.pop_back();
    }
    directory.unsynced.clear();
    for (const auto& [name, file] : directory.files) {
      const std::size_t unsynced = file->bytes.size() - file->synced;
      if (unsynced > 0) file->bytes.resize(file->synced + random.below(unsynced + 1));
      file->synced = file->bytes.size();
    }
  }
}

void LossyDisk::stop_after(const std::string& directory, std::uint64_t changes) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->stop_path = directory;
  files_->changes_left = changes;
}

bool LossyDisk::stopped() const {
  const std::lock_guard lock(files_->mutex);
  return !files_->stop_path.empty() && files_->changes_left == 0;
}

void LossyDisk::go_on() {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->stop_path.clear();
}

LossyDisk::Image LossyDisk::copy(const std::string& directory) const {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  Image image;
  for (const auto& [name, file] : files_->directories[directory].files) {
    image.emplace(name, file->bytes);
  }
  return image;
}

LossyDisk::Image LossyDisk::copy_while_running(const std::string& directory, Random& random) const {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  Image image;
  for (const auto& [name, file] : files_->directories[directory].files) {
    const std::size_t unsynced = file->bytes.size() - file->synced;
    const std::size_t missed = unsynced > 0 ? random.below(unsynced + 1) : 0;
    image.emplace(name, file->bytes.substr(0, file->bytes.size() - missed));
  }
  return image;
}

void LossyDisk::place(const std::string& path, const Image& image) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  const std::string below = path + "/";
  std::erase_if(files_->directories, [&](const auto& it) { return it.first.starts_with(below); });
  Files::Directory& directory = files_->directories[path];
  directory = {};
  for (const auto& [name, bytes] : image) {
    directory.files.emplace(name, std::make_shared<Files::File>(Files::File{bytes, bytes.size()}));
  }
}

void LossyDisk::fail_reads(const std::string& directory, std::uint64_t after, BadRead how) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->bad_directory = directory;
  files_->bad_thread = std::this_thread::get_id();
  files_->reads_left = after;
  files_->bad_how = how;
}

void LossyDisk::heal_reads() {
  const std::lock_guard lock(files_->mutex);
  files_->bad_directory.clear();
}

void LossyDisk::fill(const std::string& directory, std::size_t bytes_left) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->directories[directory].room = bytes_left;
}

void LossyDisk::make_room(const std::string& directory) {
  background_->await_idle();
  const std::lock_guard lock(files_->mutex);
  files_->directories[directory].room.reset();
}

std::uint64_t LossyDisk::refused_appends() const {
  const std::lock_guard lock(files_->mutex);
  return files_->refused_appends;
}

std::uint64_t LossyDisk::bad_reads() const {
  const std::lock_guard lock(files_->mutex);
  return files_->bad_reads_done;
}

}  // namespace grapevine::storage
