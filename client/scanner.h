// Scans: one request a page, tried again elsewhere until the deadline; a scan changes nothing, so
// it may always be.
//
// Resource. Bounds: as many requests as the callers have scans outstanding.
// Owner and thread: the client; its own thread.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <memory>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "client/include/grapevine/client.h"
#include "client/pool.h"

namespace grapevine::client {

struct PendingScan {
  ScanOptions options;
  Instant deadline;
  Duration timeout{0};
  absl::AnyInvocable<void(absl::StatusOr<ScanPage>)> done;
  absl::Status last_error;
  const NodeLink* tried = nullptr;
};

class Scanner final : private kj::TaskSet::ErrorHandler {
 public:
  static constexpr Duration kRetryPause = std::chrono::milliseconds(20);

  // `pool` must outlive it.
  Scanner(rpc::Loop& loop, Pool& pool) : loop_(loop), pool_(pool) {}

  void add(std::unique_ptr<PendingScan> scan);
  // Ends everything with Cancelled.
  void close();

 private:
  using Id = std::uint64_t;

  void taskFailed(kj::Exception&& exception) override;
  kj::Promise<void> attempt(Id id);
  kj::Promise<void> try_again(Id id, absl::Status why);
  void end(Id id, absl::StatusOr<ScanPage> page);

  rpc::Loop& loop_;
  Pool& pool_;
  Id next_id_ = 0;
  absl::btree_map<Id, std::unique_ptr<PendingScan>> scans_;
  kj::TaskSet tasks_{*this};
};

}  // namespace grapevine::client
