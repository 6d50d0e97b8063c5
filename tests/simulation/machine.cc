#include "tests/simulation/machine.h"

#include <algorithm>

#include <fmt/format.h>

#include "rpc/errors.h"

namespace grapevine::simulation {
namespace {

// A timer as a promise.
class Delay {
 public:
  Delay(kj::PromiseFulfiller<void>& fulfiller, SimulatedLoop& loop, Duration delay)
      : fulfiller_(std::make_shared<kj::PromiseFulfiller<void>*>(&fulfiller)) {
    loop.world().after(delay, loop.process(), [shared = fulfiller_] {
      if (*shared != nullptr) (*shared)->fulfill();
    });
  }
  ~Delay() { *fulfiller_ = nullptr; }
  KJ_DISALLOW_COPY(Delay);

 private:
  const std::shared_ptr<kj::PromiseFulfiller<void>*> fulfiller_;
};

}  // namespace

void SimulatedLoop::post(absl::AnyInvocable<void()> function) {
  posted_.push_back(std::move(function));
  world_.after(Duration::zero(), process_, [this] {
    auto next = std::move(posted_.front());
    posted_.pop_front();
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { next(); })) {
      taskFailed(kj::mv(*exception));
    }
  });
}

kj::Promise<void> SimulatedLoop::after(Duration delay) {
  return kj::newAdaptedPromise<void, Delay>(*this, delay);
}

void SimulatedLoop::taskFailed(kj::Exception&& exception) {
  world_.note(fmt::format("a task failed: {}", text_of(rpc::to_status(exception))));
}

void SimulatedDisk::run(std::function<void()> work, std::function<void()> done) {
  written_ = std::max(written_, loop_.now()) + draw(random_, speed_.work_min, speed_.work_max);
  begin(written_, std::move(work), std::move(done));
}

void SimulatedDisk::run_read(std::function<void()> work, std::function<void()> done) {
  begin(loop_.now() + draw(random_, speed_.work_min, speed_.work_max), std::move(work),
        std::move(done));
}

void SimulatedDisk::begin(Instant when, std::function<void()> work, std::function<void()> done) {
  ++unreported_;
  const std::uint64_t number = ++last_number_;
  works_.emplace(number, Work{std::move(work), std::move(done)});
  loop_.world().at(when, loop_.process(), [this, alive = alive_, number] {
    if (!*alive) return;
    Work next = std::move(works_.extract(number).mapped());
    next.work();
    next.work = nullptr;
    next.done();
    if (!*alive || --unreported_ > 0) return;
    KJ_IF_MAYBE (fulfiller, wants_idle_) {
      (*fulfiller)->fulfill();
      wants_idle_ = nullptr;
    }
  });
}

kj::Promise<void> SimulatedDisk::when_idle() {
  if (unreported_ == 0) return kj::READY_NOW;
  auto idle = kj::newPromiseAndFulfiller<void>();
  wants_idle_ = kj::mv(idle.fulfiller);
  return kj::mv(idle.promise);
}

}  // namespace grapevine::simulation
