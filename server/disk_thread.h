// The threads that wait for the disk so that the loop does not.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "rpc/loop.h"
#include "server/disk.h"

namespace grapevine::server {

// Resource. One thread does what run() asks for, one work after another; kReadThreads others do the
// reads, begun in order, so that no fsync waits for a read, and a read that hangs holds up few
// others.
class DiskThread final : public Disk {
 public:
  static constexpr std::size_t kReadThreads = 4;

  explicit DiskThread(rpc::Loop& loop);
  ~DiskThread() noexcept override;

  void run(std::function<void()> work, std::function<void()> done) override;
  void run_read(std::function<void()> work, std::function<void()> done) override;
  bool idle() const override { return unreported_ == 0; }
  kj::Promise<void> when_idle() override;

 private:
  struct Work {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct Lane {
    std::condition_variable wake;
    std::deque<Work> waiting;  // guarded by mutex_
  };
  void enqueue(Lane& lane, Work work);
  void serve(Lane& lane);
  void report();

  rpc::Loop& loop_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // its value: loop thread only
  std::size_t unreported_ = 0;                                        // loop thread only
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wants_idle_;         // loop thread only
  std::mutex mutex_;
  std::deque<std::function<void()>> finished_;  // to be reported; guarded by mutex_
  bool stopping_ = false;                       // guarded by mutex_
  Lane writes_;
  Lane reads_;
  std::vector<std::thread> threads_;
};

}  // namespace grapevine::server
