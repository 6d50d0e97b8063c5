// The files of a LossyDisk, as RocksDB sees them: what each holds, what of it was synced, and what
// befalls it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <rocksdb/file_system.h>

#include "tests/storage/lossy_disk.h"

namespace grapevine::storage {

// Resource. Any thread; the calls of RocksDB's interface take the mutex themselves.
class LossyDisk::Files final : public rocksdb::FileSystem {
 public:
  using IODebugContext = rocksdb::IODebugContext;
  using IOOptions = rocksdb::IOOptions;
  using IOStatus = rocksdb::IOStatus;

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

  static std::string folder_of(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }

  static Place place_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return {folder_of(path.substr(0, slash)), path.substr(slash + 1)};
  }

  static bool is_within(std::string_view directory, std::string_view path) {
    return directory.starts_with(path) &&
           (directory.size() == path.size() || directory[path.size()] == '/');
  }
  static IOStatus not_found(const std::string& path) { return IOStatus::PathNotFound(path); }

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

}  // namespace grapevine::storage
