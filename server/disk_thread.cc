#include "server/disk_thread.h"

#include <utility>

namespace grapevine::server {

DiskThread::DiskThread(rpc::Loop& loop) : loop_(loop) {
  threads_.emplace_back([this] { serve(writes_); });
  for (std::size_t i = 0; i < kReadThreads; ++i) threads_.emplace_back([this] { serve(reads_); });
}

DiskThread::~DiskThread() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  writes_.wake.notify_all();
  reads_.wake.notify_all();
  for (std::thread& thread : threads_) thread.join();
  *alive_ = false;
}

void DiskThread::run(std::function<void()> work, std::function<void()> done) {
  enqueue(writes_, {std::move(work), std::move(done)});
}

void DiskThread::run_read(std::function<void()> work, std::function<void()> done) {
  enqueue(reads_, {std::move(work), std::move(done)});
}

void DiskThread::enqueue(Lane& lane, Work work) {
  ++unreported_;
  {
    const std::lock_guard lock(mutex_);
    lane.waiting.push_back(std::move(work));
  }
  lane.wake.notify_one();
}

void DiskThread::serve(Lane& lane) {
  std::unique_lock lock(mutex_);
  for (;;) {
    lane.wake.wait(lock, [&] { return stopping_ || !lane.waiting.empty(); });
    if (stopping_) return;
    Work next = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    lock.unlock();
    next.work();
    next.work = nullptr;
    lock.lock();
    finished_.push_back(std::move(next.done));
    lock.unlock();
    loop_.post([this, alive = alive_] {
      if (*alive) report();
    });
    lock.lock();
  }
}

// One post, one report.
void DiskThread::report() {
  std::unique_lock lock(mutex_);
  const std::function<void()> done = std::move(finished_.front());
  finished_.pop_front();
  lock.unlock();
  done();
  if (--unreported_ > 0) return;
  KJ_IF_MAYBE (fulfiller, wants_idle_) {
    (*fulfiller)->fulfill();
    wants_idle_ = nullptr;
  }
}

kj::Promise<void> DiskThread::when_idle() {
  if (unreported_ == 0) return kj::READY_NOW;
  auto idle = kj::newPromiseAndFulfiller<void>();
  wants_idle_ = kj::mv(idle.fulfiller);
  return kj::mv(idle.promise);
}

}  // namespace grapevine::server
