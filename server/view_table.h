// The frozen views that exchanges and tools hold open at this node.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "gossip/replica.h"
#include "gossip/responder.h"
#include "rpc/loop.h"
#include "server/wire.h"
#include "storage/executor.h"

namespace grapevine::server {

// Resource, loop thread. Bounds: kViewsMax at once; a view that nobody has used for `idle_time` is
// closed, and calls on it fail from then on. All must be closed before the store; their holders may
// let go of them after the table has gone, but call them no more. Entries are read away from the loop: the executor must be
// idle before the store goes.
class ViewTable {
 public:
  static constexpr std::size_t kViewsMax = 4096;
  static constexpr Duration kIdleTime = std::chrono::seconds(60);

  ViewTable(rpc::Loop& loop, storage::Executor& executor, const gossip::Replica& replica,
            Duration idle_time = kIdleTime)
      : loop_(loop), executor_(executor), replica_(replica), idle_time_(idle_time) {}
  ~ViewTable() { *alive_ = false; }
  ViewTable(const ViewTable&) = delete;
  ViewTable& operator=(const ViewTable&) = delete;

  struct Opened {
    wire::ReplicaView::Client view;
    const gossip::PartitionView* frozen;  // for describing it now
  };
  absl::StatusOr<Opened> open(PartitionId partition);
  void close_idle();
  void close_all() { views_.clear(); }
  std::size_t size() const { return views_.size(); }

 private:
  class Service;
  struct Held {
    std::shared_ptr<const gossip::PartitionView> view;  // shared with reads that are under way
    Instant used;
  };

  rpc::Loop& loop_;
  storage::Executor& executor_;
  const gossip::Replica& replica_;
  const Duration idle_time_;
  const gossip::ResponderLimits limits_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, Held> views_;
};

}  // namespace grapevine::server
