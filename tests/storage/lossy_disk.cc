#include "tests/storage/lossy_disk.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include "storage/base/check.h"

namespace grapevine::storage {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

struct File {
  std::string bytes;
  std::size_t synced = 0;
};
using FilePointer = std::shared_ptr<File>;

// One change of a directory, as it can be taken back.
struct Change {
  std::string name;
  FilePointer before;  // what the name stood for; null: nothing
};

struct Directory {
  std::map<std::string, FilePointer> files;
  // Since it was last synced. A renaming is two changes that only stay together.
  std::vector<std::vector<Change>> unsynced;
  bool frozen = false;
  std::optional<std::size_t> room;  // for appends; not given: without end
};

struct Place {
  std::string directory;
  std::string name;
};

std::string folder_of(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Place place_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {folder_of(path.substr(0, slash)), path.substr(slash + 1)};
}

// The number of a write-ahead log; 0 for any other file.
std::uint64_t log_number(std::string_view name) {
  if (!name.ends_with(".log")) return 0;
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size() - 4, number);
  return parsed.ptr == name.data() + name.size() - 4 ? number : 0;
}

bool is_within(std::string_view directory, std::string_view path) {
  return directory.starts_with(path) &&
         (directory.size() == path.size() || directory[path.size()] == '/');
}

bool is_table(std::string_view name) {
  return name.ends_with(".sst");
}

IOStatus not_found(const std::string& path) {
  return IOStatus::PathNotFound(path);
}

}  // namespace

class LossyDisk::Files final : public rocksdb::FileSystem {
 public:
  static const char* kClassName() { return "LossyDisk"; }
  const char* Name() const override { return kClassName(); }

  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override;
  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override;
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override;
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override;

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(mutex);
    return directories.contains(folder_of(path)) || find(path) != nullptr
               ? IOStatus::OK()
               : IOStatus::NotFound(path);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* names,
                       IODebugContext*) override {
    const std::lock_guard lock(mutex);
    names->clear();
    const auto directory = directories.find(folder_of(path));
    if (directory == directories.end()) return not_found(path);
    for (const auto& [name, file] : directory->second.files) names->push_back(name);
    for (const auto& [folder, contents] : directories) {
      const auto [parent, name] = place_of(folder);
      if (parent == directory->first) names->push_back(name);
    }
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(mutex);
    const auto [folder, name] = place_of(path);
    if (find(path) == nullptr) return not_found(path);
    if (!takes_a_change(folder)) return IOStatus::OK();
    change(folder, {{name, nullptr}});
    return IOStatus::OK();
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(mutex);
    directories[folder_of(path)];
    return IOStatus::OK();
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* context) override {
    return CreateDir(path, options, context);
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(mutex);
    const auto folder = directories.find(folder_of(path));
    if (folder == directories.end()) return not_found(path);
    for (const auto& [other, contents] : directories) {
      const bool holds =
          other == folder->first ? !contents.files.empty() : is_within(other, folder->first);
      if (holds) return IOStatus::IOError(path, "is not empty");
    }
    if (takes_a_change(folder->first)) directories.erase(folder);
    return IOStatus::OK();
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* size,
                       IODebugContext*) override {
    const std::lock_guard lock(mutex);
    const FilePointer file = find(path);
    *size = file == nullptr ? 0 : file->bytes.size();
    return file != nullptr || directories.contains(folder_of(path)) ? IOStatus::OK()
                                                                    : not_found(path);
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, std::uint64_t* time,
                                   IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    const std::lock_guard lock(mutex);
    const FilePointer file = find(from);
    if (file == nullptr) return not_found(from);
    const auto [old_folder, old_name] = place_of(from);
    const auto [folder, name] = place_of(to);
    if (!takes_a_change(old_folder)) return IOStatus::OK();
    if (folder == old_folder) {
      change(folder, {{old_name, nullptr}, {name, file}});
    } else {
      change(folder, {{name, file}});
      change(old_folder, {{old_name, nullptr}});
    }
    return IOStatus::OK();
  }
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    const std::lock_guard guard(mutex);
    if (!locks.insert(path).second) return IOStatus::IOError("lock " + path, "is held");
    *lock = new Lock(path);
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    const std::lock_guard guard(mutex);
    locks.erase(static_cast<Lock*>(lock)->path);
    delete lock;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override {
    *path = "/test";
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override {
    *absolute = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_directory,
                       IODebugContext*) override {
    const std::lock_guard lock(mutex);
    *is_directory = directories.contains(folder_of(path));
    return IOStatus::OK();
  }

  // REQUIRES for all that follows: the mutex is held.
  // Whether the next change in the directory is done; to be asked once for each.
  bool takes_a_change(const std::string& folder) {
    if (directories[folder].frozen) return false;
    if (stop_path.empty() || !is_within(folder, stop_path)) return true;
    if (changes_left == 0) return false;
    --changes_left;
    return true;
  }
  FilePointer find(const std::string& path) {
    const auto [folder, name] = place_of(path);
    const auto directory = directories.find(folder);
    if (directory == directories.end()) return nullptr;
    const auto file = directory->second.files.find(name);
    return file == directory->second.files.end() ? nullptr : file->second;
  }
  // Gives each name its new file, or none, as one change.
  void change(const std::string& folder,
              const std::vector<std::pair<std::string, FilePointer>>& to) {
    Directory& directory = directories[folder];
    std::vector<Change> changes;
    for (const auto& [name, file] : to) {
      FilePointer& now = directory.files[name];
      changes.push_back({name, std::exchange(now, file)});
      if (file == nullptr) directory.files.erase(name);
    }
    directory.unsynced.push_back(std::move(changes));
  }
  static void take_back(Directory& directory, const std::vector<Change>& changes) {
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
      if (change->before != nullptr) {
        directory.files[change->name] = change->before;
      } else {
        directory.files.erase(change->name);
      }
    }
  }

  struct Lock final : public rocksdb::FileLock {
    explicit Lock(std::string its_path) : path(std::move(its_path)) {}
    std::string path;
  };

  std::mutex mutex;
  std::map<std::string, Directory> directories;
  std::set<std::string> locks;

  // Of stop_after().
  std::string stop_path;  // empty: none
  std::uint64_t changes_left = 0;

  // Bad reads.
  std::string bad_directory;  // empty: none
  std::thread::id bad_thread;
  std::uint64_t reads_left = 0;
  BadRead bad_how = BadRead::kError;
  std::uint64_t bad_reads_done = 0;
  std::uint64_t refused_appends = 0;
};

namespace {

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(LossyDisk::Files& files, FilePointer file)
      : files_(files), file_(std::move(file)) {}

  IOStatus Read(std::size_t count, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    const std::size_t got = std::min(count, file_->bytes.size() - at_);
    std::memcpy(scratch, file_->bytes.data() + at_, got);
    *result = {scratch, got};
    at_ += got;
    return IOStatus::OK();
  }
  IOStatus Skip(std::uint64_t count) override {
    const std::lock_guard lock(files_.mutex);
    at_ = std::min<std::size_t>(at_ + count, file_->bytes.size());
    return IOStatus::OK();
  }

 private:
  LossyDisk::Files& files_;
  const FilePointer file_;
  std::size_t at_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccessFile(LossyDisk::Files& files, FilePointer file, Place place)
      : files_(files), file_(std::move(file)), place_(std::move(place)) {}

  IOStatus Read(std::uint64_t offset, std::size_t count, const IOOptions&, rocksdb::Slice* result,
                char* scratch, IODebugContext*) const override {
    const std::lock_guard lock(files_.mutex);
    const std::size_t size = file_->bytes.size();
    const std::size_t from = std::min<std::size_t>(offset, size);
    const std::size_t got = std::min(count, size - from);
    std::memcpy(scratch, file_->bytes.data() + from, got);
    *result = {scratch, got};
    if (!goes_bad()) return IOStatus::OK();
    ++files_.bad_reads_done;
    if (files_.bad_how == LossyDisk::BadRead::kError) return IOStatus::IOError("the disk is bad");
    if (got > 0) scratch[got / 2] ^= 1;
    return IOStatus::OK();
  }

 private:
  bool goes_bad() const {
    if (files_.bad_directory.empty() || files_.bad_directory != place_.directory ||
        !is_table(place_.name) || files_.bad_thread != std::this_thread::get_id()) {
      return false;
    }
    if (files_.reads_left == 0) return true;
    --files_.reads_left;
    return false;
  }

  LossyDisk::Files& files_;
  const FilePointer file_;
  const Place place_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(LossyDisk::Files& files, FilePointer file, std::string directory)
      : files_(files), file_(std::move(file)), directory_(std::move(directory)) {}

  using FSWritableFile::Append;
  IOStatus Append(const rocksdb::Slice& bytes, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (!files_.takes_a_change(directory_)) return IOStatus::OK();
    Directory& directory = files_.directories[directory_];
    const std::size_t taken = std::min(bytes.size(), directory.room.value_or(bytes.size()));
    file_->bytes.append(bytes.data(), taken);
    if (directory.room.has_value()) *directory.room -= taken;
    if (taken == bytes.size()) return IOStatus::OK();
    ++files_.refused_appends;
    return IOStatus::NoSpace("no space left on device");
  }
  IOStatus Append(const rocksdb::Slice& bytes, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* context) override {
    return Append(bytes, options, context);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (!files_.takes_a_change(directory_)) return IOStatus::OK();
    file_->bytes.resize(size);
    file_->synced = std::min<std::size_t>(file_->synced, size);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (files_.takes_a_change(directory_)) file_->synced = file_->bytes.size();
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    return file_->bytes.size();
  }

 private:
  LossyDisk::Files& files_;
  const FilePointer file_;
  const std::string directory_;
};

class OpenDirectory final : public rocksdb::FSDirectory {
 public:
  OpenDirectory(LossyDisk::Files& files, std::string path)
      : files_(files), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard lock(files_.mutex);
    if (files_.takes_a_change(path_)) files_.directories[path_].unsynced.clear();
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  LossyDisk::Files& files_;
  const std::string path_;
};

}  // namespace

IOStatus LossyDisk::Files::NewSequentialFile(const std::string& path, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                             IODebugContext*) {
  const std::lock_guard lock(mutex);
  FilePointer file = find(path);
  if (file == nullptr) return not_found(path);
  *result = std::make_unique<SequentialFile>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions&,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                               IODebugContext*) {
  const std::lock_guard lock(mutex);
  FilePointer file = find(path);
  if (file == nullptr) return not_found(path);
  *result = std::make_unique<RandomAccessFile>(*this, std::move(file), place_of(path));
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                                           IODebugContext*) {
  const std::lock_guard lock(mutex);
  const auto [folder, name] = place_of(path);
  if (name.starts_with("OPTIONS") || name == "LOG") return IOStatus::NotSupported("not kept");
  auto file = std::make_shared<File>();
  if (takes_a_change(folder)) change(folder, {{name, file}});
  *result = std::make_unique<WritableFile>(*this, std::move(file), folder);
  return IOStatus::OK();
}

IOStatus LossyDisk::Files::NewDirectory(const std::string& path, const IOOptions&,
                                        std::unique_ptr<rocksdb::FSDirectory>* result,
                                        IODebugContext*) {
  *result = std::make_unique<OpenDirectory>(*this, folder_of(path));
  return IOStatus::OK();
}

// Time stands still: what RocksDB writes down of it is the same in every run. And it does not sleep,
// as it would after a flush or a compaction that failed: it would try again for ever. Instead a disk
// that was full has room then.
class StandingClock final : public rocksdb::SystemClockWrapper {
 public:
  StandingClock(std::shared_ptr<rocksdb::SystemClock> clock, LossyDisk::Files& files)
      : SystemClockWrapper(std::move(clock)), files_(files) {}
  const char* Name() const override { return "StandingClock"; }
  std::uint64_t NowMicros() override { return kNowMicros; }
  std::uint64_t NowNanos() override { return kNowMicros * 1'000; }
  rocksdb::Status GetCurrentTime(std::int64_t* unix_time) override {
    *unix_time = kNowMicros / 1'000'000;
    return rocksdb::Status::OK();
  }
  void SleepForMicroseconds(int) override {
    const std::lock_guard lock(files_.mutex);
    for (auto& [path, directory] : files_.directories) directory.room.reset();
  }

 private:
  LossyDisk::Files& files_;
  static constexpr std::uint64_t kNowMicros = 1'767'225'600'000'000;
};

// RocksDB's background work on one thread, so that it can be waited for.
class LossyDisk::Background final : public rocksdb::EnvWrapper {
 public:
  Background(rocksdb::Env* env, Files& files) : EnvWrapper(env) {
    file_system_ = env->GetFileSystem();
    system_clock_ = std::make_shared<StandingClock>(env->GetSystemClock(), files);
    thread_ = std::thread([this] { work(); });
  }
  ~Background() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  const char* Name() const override { return "LossyDisk"; }

  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*unscheduled)(void*)) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({function, argument, priority, tag, unscheduled});
    }
    wake_.notify_all();
  }
  // Who asks counts the jobs of each priority.
  int UnSchedule(void* tag, Priority priority) override {
    std::vector<Job> taken;
    {
      const std::lock_guard lock(mutex_);
      const auto rest = std::stable_partition(jobs_.begin(), jobs_.end(), [&](const Job& job) {
        return job.tag != tag || job.priority != priority;
      });
      taken.assign(rest, jobs_.end());
      jobs_.erase(rest, jobs_.end());
    }
    for (const Job& job : taken) {
      if (job.unscheduled != nullptr) job.unscheduled(job.argument);
    }
    return static_cast<int>(taken.size());
  }
  unsigned int GetThreadPoolQueueLen(Priority) const override {
    const std::lock_guard lock(mutex_);
    return static_cast<unsigned int>(jobs_.size());
  }
  void SetBackgroundThreads(int, Priority) override {}
  int GetBackgroundThreads(Priority) override { return 1; }
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}

  void await_idle() {
    std::unique_lock lock(mutex_);
    if (jobs_.empty() && !working_) return;
    awaited_ = true;
    wake_.notify_all();
    wake_.wait(lock, [this] { return jobs_.empty() && !working_; });
    awaited_ = false;
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    holder_ = fmt::format("/proc/self/task/{}/stat", ::gettid());
  }

 private:
  struct Job {
    void (*function)(void*);
    void* argument;
    Priority priority;
    void* tag;
    void (*unscheduled)(void*);
  };

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      if (!holder_.empty() && !awaited_ && !ending_ && !holder_sleeps()) {
        wake_.wait_for(lock, std::chrono::microseconds(100));
        continue;
      }
      const Job job = jobs_.front();
      jobs_.pop_front();
      working_ = true;
      lock.unlock();
      job.function(job.argument);
      lock.lock();
      working_ = false;
      wake_.notify_all();
    }
  }

  // The one thing that it sleeps for is this thread. (Waiting for a processor or for memory is no sleep.)
  bool holder_sleeps() const {
    std::ifstream file(holder_);
    std::string stat;
    std::getline(file, stat);
    const std::size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] == 'S';
  }

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string holder_;    // where its state is told; empty: nobody holds
  bool awaited_ = false;  // by await_idle
  std::deque<Job> jobs_;
  bool working_ = false;
  bool ending_ = false;
  std::thread thread_;
};

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
    if (!is_within(folder, path)) continue;
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
  Directory& directory = files_->directories[path];
  directory = {};
  for (const auto& [name, bytes] : image) {
    directory.files.emplace(name, std::make_shared<File>(File{bytes, bytes.size()}));
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
