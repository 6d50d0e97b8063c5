// Promises that nobody waits for, held by whom they belong to.
#pragma once

#include <kj/async.h>

#include <spdlog/spdlog.h>

#include "rpc/errors.h"

namespace grapevine::server {

// Resource, loop thread. Destroying it drops what is under way, so that no continuation outlives
// its object. What fails is logged.
class Tasks final : private kj::TaskSet::ErrorHandler {
 public:
  ~Tasks() noexcept {}  // dropped promises cannot throw
  void spawn(kj::Promise<void> task) { tasks_.add(kj::mv(task)); }
  bool idle() { return tasks_.isEmpty(); }

 private:
  void taskFailed(kj::Exception&& exception) override {
    spdlog::error("{}", text_of(rpc::to_status(exception)));
  }

  kj::TaskSet tasks_{*this};
};

}  // namespace grapevine::server
