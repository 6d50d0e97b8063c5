#include "server/events.h"

#include <utility>

namespace grapevine::server {

void Events::add(gossip::Rumour rumour) {
  events_.push_back({++last_, std::move(rumour)});
  if (events_.size() > kEventsMax) events_.pop_front();
  for (auto& fulfiller : std::exchange(waiting_, {})) fulfiller->fulfill();
}

std::vector<Events::Event> Events::after(std::uint64_t number) const {
  std::vector<Event> newer;
  for (const Event& event : events_) {
    if (event.number > number) newer.push_back(event);
  }
  return newer;
}

kj::Promise<void> Events::any_after(std::uint64_t number) {
  if (last_ > number) return kj::READY_NOW;
  // Whoever went away leaves room for who comes.
  std::erase_if(waiting_, [](auto& fulfiller) { return !fulfiller->isWaiting(); });
  auto waiting = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back(kj::mv(waiting.fulfiller));
  return kj::mv(waiting.promise);
}

}  // namespace grapevine::server
