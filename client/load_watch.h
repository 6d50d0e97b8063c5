// Asks the node in use how busy the nodes are, and has the pool move when that is worth it.
//
// Resource. One small call an interval, and none while nothing is sent. Owner and thread: the
// client; its own thread.
#pragma once

#include <kj/async.h>

#include <cstdint>

#include "client/balance.h"
#include "client/pool.h"
#include "rpc/loop.h"

namespace grapevine::client {

class LoadWatch {
 public:
  // An interval of 0: never. `pool` must outlive it.
  LoadWatch(rpc::Loop& loop, Pool& pool, Duration interval, std::uint64_t seed);

 private:
  kj::Promise<void> watch();
  kj::Promise<void> ask();

  rpc::Loop& loop_;
  Pool& pool_;
  const Duration interval_;
  Balance balance_;
  std::uint64_t sent_before_ = 0;
  kj::Promise<void> life_ = nullptr;
};

}  // namespace grapevine::client
