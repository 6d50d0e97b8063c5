// The thread that waits for the disk so that the loop does not.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "rpc/loop.h"
#include "storage/executor.h"

namespace grapevine::server {

// Resource. Works are done one after another. The destructor finishes the work under way and drops
// the rest; what was done but not yet reported is reported to nobody.
class DiskThread final : public storage::Executor {
 public:
  explicit DiskThread(rpc::Loop& loop);
  ~DiskThread() noexcept override;

  void run(std::function<void()> work, std::function<void()> done) override;
  // Done when nothing is waiting, under way or unreported. Loop thread; one caller at a time.
  kj::Promise<void> when_idle();

 private:
  struct Work {
    std::function<void()> work;
    std::function<void()> done;
  };
  void serve();
  void report(const std::function<void()>& done);

  rpc::Loop& loop_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // its value: loop thread only
  std::size_t unreported_ = 0;                                        // loop thread only
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wants_idle_;         // loop thread only
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> waiting_;  // guarded by mutex_
  bool stopping_ = false;     // guarded by mutex_
  std::thread thread_;
};

}  // namespace grapevine::server
