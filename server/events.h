// The rumours that have reached this node, for whoever watches.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include <kj/async.h>

#include "gossip/packet.h"

namespace grapevine::server {

// Resource, loop thread. Bounds: remembers the last kEventsMax.
class Events {
 public:
  static constexpr std::size_t kEventsMax = 256;

  struct Event {
    std::uint64_t number = 0;  // in the order in which they came here, from 1
    gossip::Rumour rumour;
  };

  void add(gossip::Rumour rumour);
  // Those after `number` that are remembered.
  std::vector<Event> after(std::uint64_t number) const;
  std::uint64_t last() const { return last_; }
  // Done when there are any after `number`.
  kj::Promise<void> any_after(std::uint64_t number);

 private:
  std::uint64_t last_ = 0;
  std::deque<Event> events_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
};

}  // namespace grapevine::server
