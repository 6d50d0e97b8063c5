#include "server/disk_thread.h"

#include <utility>

namespace grapevine::server {

DiskThread::DiskThread(rpc::Loop& loop) : loop_(loop), thread_([this] { serve(); }) {}

DiskThread::~DiskThread() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_one();
  thread_.join();
  *alive_ = false;
}

void DiskThread::run(std::function<void()> work, std::function<void()> done) {
  ++unreported_;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(done)});
  }
  wake_.notify_one();
}

void DiskThread::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    Work next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    next.work();
    loop_.post([this, alive = alive_, done = std::move(next.done)] {
      if (*alive) report(done);
    });
    lock.lock();
  }
}

void DiskThread::report(const std::function<void()>& done) {
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
