// One timer on the loop that calls a function.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "rpc/loop.h"

namespace grapevine::server {

// Resource, loop thread. Rings once for each time it was set; the earliest time counts. What it
// calls may set it again.
class Alarm {
 public:
  Alarm(rpc::Loop& loop, std::function<void()> ring) : loop_(loop), ring_(std::move(ring)) {}
  ~Alarm() noexcept {}  // its promise cannot throw
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // To ring at `time`, or earlier if it was set for earlier.
  void set(Instant time) {
    if (set_for_.has_value() && *set_for_ <= time) return;
    set_for_ = time;
    const std::uint64_t number = ++last_number_;
    waiting_ = loop_.after(std::max(time - loop_.now(), Duration::zero()))
                   .then([this, number] { rung(number); })
                   .eagerlyEvaluate(nullptr);
  }

 private:
  // The function may set the alarm, which replaces waiting_: that must not happen within waiting_
  // itself.
  void rung(std::uint64_t number) {
    ringing_ = kj::evalLater([this, number] {
                 if (number != last_number_) return;
                 set_for_.reset();
                 ring_();
               }).eagerlyEvaluate(nullptr);
  }

  rpc::Loop& loop_;
  const std::function<void()> ring_;
  std::optional<Instant> set_for_;
  std::uint64_t last_number_ = 0;
  kj::Promise<void> waiting_ = kj::READY_NOW;
  kj::Promise<void> ringing_ = kj::READY_NOW;
};

}  // namespace grapevine::server
