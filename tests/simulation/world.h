// The world of a simulation: one thread, virtual time, and everything that happens in it in order.
//
// What happens is an event: a function at an instant, for one process. Events at one instant happen
// in the order in which they were asked for. After each one KJ's promises run until none is ready,
// then `settle` is called. Time goes from event to event: an hour without events takes no time.
//
// Resource. Everything that lives in it goes before it. One a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kj/async.h>

#include "absl/functional/any_invocable.h"
#include "storage/base/random.h"
#include "storage/base/time.h"

namespace grapevine::simulation {

// Whose events they are. Those of a process that is gone do not happen; those of one that is
// stopped (SIGSTOP, a long pause) happen when it goes on.
struct Process {
  std::string name;
  bool gone = false;
  Instant stopped_until;
};
using ProcessPointer = std::shared_ptr<Process>;

// Uniform in [from, to].
inline Duration draw(Random& random, Duration from, Duration to) {
  const auto span = static_cast<std::uint64_t>((to - from).count());
  return from + Duration(static_cast<Duration::rep>(random.below(span + 1)));
}

class World {
 public:
  using Action = absl::AnyInvocable<void()>;

  // 2026-01-01T00:00:00Z is the time of day at the start.
  static constexpr std::int64_t kStartUnixMs = 1'767'225'600'000;

  explicit World(std::uint64_t seed) : random_(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Instant now() const { return now_; }
  Random& random() { return random_; }

  // `process` nullptr: of the world itself.
  void at(Instant when, ProcessPointer process, Action action);
  void after(Duration delay, ProcessPointer process, Action action) {
    at(now_ + delay, std::move(process), std::move(action));
  }

  // Called after every event, outside of all promises; may destroy processes.
  void settle_with(std::function<void()> settle) { settle_ = std::move(settle); }

  void run_until(Instant end);
  void run_for(Duration duration) { run_until(now_ + duration); }
  // Until `done` says true, asked after each event; false: `end` came first.
  bool run_until(Instant end, const std::function<bool()>& done);

  // What the run is told to remember of itself: a line, with time and process. Kept only when
  // tracing; always part of the hash.
  void note(std::string_view line);
  void say(std::string_view line);  // the same, but not part of the hash
  void keep_trace(bool keep) { keep_trace_ = keep; }
  bool traces() const { return keep_trace_; }
  const std::vector<std::string>& trace() const { return trace_; }
  void mix(std::string_view bytes);  // into the hash
  // Of every event and every byte that was delivered: equal for equal runs.
  std::uint64_t hash() const { return hash_; }
  std::uint64_t events() const { return events_done_; }
  // The hash after each event, for finding where two runs of one seed part. Kept only when asked.
  struct Step {
    Instant when;
    std::uint64_t hash;
  };
  void keep_steps(bool keep) { keep_steps_ = keep; }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  struct Event {
    ProcessPointer process;
    Action action;
  };
  bool step(Instant end);

  kj::EventLoop loop_;
  kj::WaitScope wait_scope_{loop_};
  Instant now_;
  Random random_;
  std::uint64_t last_number_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, Event> events_;
  std::function<void()> settle_;
  const Process* current_ = nullptr;
  std::uint64_t hash_ = 0;
  std::uint64_t events_done_ = 0;
  bool keep_trace_ = false;
  bool keep_steps_ = false;
  std::vector<Step> steps_;
  std::vector<std::string> trace_;
};

}  // namespace grapevine::simulation
