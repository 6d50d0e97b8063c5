// What a benchmark runs a store in.
#pragma once

#include <chrono>
#include <functional>

#include "storage/base/time.h"
#include "storage/executor.h"

namespace grapevine::benchmark {

class InlineExecutor final : public storage::Executor {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

class RealTime final : public TimeSource {
 public:
  Instant now() const override { return {std::chrono::steady_clock::now().time_since_epoch()}; }
  WallTime wall_now() const override { return {1'700'000'000'000}; }
};

}  // namespace grapevine::benchmark
