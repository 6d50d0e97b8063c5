#include "tests/simulation/world.h"

#include <algorithm>

#include <fmt/format.h>
#include <xxhash.h>

namespace grapevine::simulation {

void World::at(Instant when, ProcessPointer process, Action action) {
  events_.emplace(std::pair(std::max(when, now_), ++last_number_),
                  Event{std::move(process), std::move(action)});
}

bool World::step(Instant end) {
  if (events_.empty() || events_.begin()->first.first > end) return false;
  auto node = events_.extract(events_.begin());
  now_ = node.key().first;
  Event& event = node.mapped();
  if (event.process != nullptr) {
    if (event.process->gone) return true;
    if (const Instant until = event.process->stopped_until; until > now_) {
      at(until, std::move(event.process), std::move(event.action));
      return true;
    }
  }
  ++events_done_;
  const std::pair<std::int64_t, std::uint64_t> name(now_.since_start.count(), node.key().second);
  mix({reinterpret_cast<const char*>(&name), sizeof name});
  current_ = event.process.get();
  event.action();
  event.action = nullptr;  // what it holds goes now, not after what follows
  wait_scope_.poll();
  current_ = nullptr;
  if (settle_) settle_();
  if (keep_steps_) steps_.push_back({now_, hash_});
  return true;
}

void World::run_until(Instant end) {
  while (step(end)) {
  }
  now_ = std::max(now_, end);
}

bool World::run_until(Instant end, const std::function<bool()>& done) {
  while (!done()) {
    if (!step(end)) {
      now_ = std::max(now_, end);
      return false;
    }
  }
  return true;
}

void World::note(std::string_view line) {
  mix(line);
  say(line);
}

void World::say(std::string_view line) {
  if (!keep_trace_) return;
  trace_.push_back(fmt::format("{:10.4f} {:<8} {}",
                               std::chrono::duration<double>(now_.since_start).count(),
                               current_ == nullptr ? "-" : current_->name, line));
}

void World::mix(std::string_view bytes) {
  hash_ = XXH3_64bits_withSeed(bytes.data(), bytes.size(), hash_);
}

}  // namespace grapevine::simulation
