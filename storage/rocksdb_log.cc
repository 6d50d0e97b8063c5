#include "storage/rocksdb_log.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <rocksdb/env.h>

namespace grapevine::storage {
namespace {

class ForgivingLog final : public rocksdb::Logger {
 public:
  ForgivingLog(rocksdb::Env* env, std::unique_ptr<rocksdb::WritableFile> file)
      : env_(env), file_(std::move(file)) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (file_ == nullptr) return;
    char text[4096];
    std::vsnprintf(text, sizeof text, format, arguments);
    const std::uint64_t now = env_->NowMicros();
    const std::string line = fmt::format("{}.{:06} {}\n", now / 1'000'000, now % 1'000'000, text);
    const std::lock_guard lock(mutex_);
    file_->Append(line).PermitUncheckedError();
    file_->Flush().PermitUncheckedError();
  }

 private:
  rocksdb::Env* const env_;
  std::mutex mutex_;
  const std::unique_ptr<rocksdb::WritableFile> file_;  // nullptr: it could not be created
};

class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

}  // namespace

std::shared_ptr<rocksdb::Logger> no_rocksdb_log() {
  return std::make_shared<NoLog>();
}

std::shared_ptr<rocksdb::Logger> open_rocksdb_log(rocksdb::Env* env, const std::string& directory) {
  const std::string name = directory + "/LOG";
  env->RenameFile(name, name + ".old").PermitUncheckedError();
  std::unique_ptr<rocksdb::WritableFile> file;
  env->NewWritableFile(name, &file, rocksdb::EnvOptions()).PermitUncheckedError();
  return std::make_shared<ForgivingLog>(env, std::move(file));
}

}  // namespace grapevine::storage
