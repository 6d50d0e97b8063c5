// RocksDB's background work and its clock on a LossyDisk.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/env.h>
#include <rocksdb/system_clock.h>

#include "tests/storage/lossy_files.h"

namespace grapevine::storage {

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

}  // namespace grapevine::storage
