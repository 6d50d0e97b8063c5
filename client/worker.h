// The client's thread: a loop with pool, batcher and scanner on it, and the inbox through which
// other threads reach it.
//
// Resource. Everything that arrives between two turns of the loop is taken at once, so that it can
// travel together.
//
// Bounds: options.operations_queued_max operations and scans that have not ended. Thread: add may
// be called from any thread; the rest by whoever owns it. Callbacks run on the worker's thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/pending.h"
#include "client/scanner.h"
#include "rpc/address.h"
#include "rpc/loop.h"
#include "rpc/real_time.h"

namespace grapevine::client {

class Worker {
 public:
  Worker(const ClientOptions& options, std::vector<rpc::Address> endpoints);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Starts the thread; returns when the first endpoint is ready, or none was, or options.timeout is
  // over. To be called once; the worker may be destroyed whatever comes out.
  absl::Status start();

  // Takes places for `count` operations or scans; false when fewer are left. Each is given back
  // once it has ended.
  bool take_places(std::size_t count);
  void give_place_back() { places_taken_.fetch_sub(1, std::memory_order_relaxed); }

  // REQUIRES, for all four: start() succeeded, and the destructor has not begun, except on the
  // worker's own thread.
  void add(std::unique_ptr<Pending> pending);
  void add(std::vector<std::unique_ptr<Pending>> pendings);
  void add(std::unique_ptr<PendingScan> scan);
  void run(absl::AnyInvocable<void()> function);

  bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
  Instant now() const { return time_.now(); }

 private:
  struct Inbox {
    std::vector<std::unique_ptr<Pending>> pendings;
    std::vector<std::unique_ptr<PendingScan>> scans;
    std::vector<absl::AnyInvocable<void()>> functions;
    bool empty() const { return pendings.empty() && scans.empty() && functions.empty(); }
  };
  struct Machinery;  // what lives on the thread

  template <typename Put>
  void put_into_inbox(Put put);
  Inbox take_inbox();
  void deliver(Inbox inbox, Machinery& machinery);
  void end(Machinery& machinery);
  bool inbox_empty() const;

  const ClientOptions options_;
  const std::vector<rpc::Address> endpoints_;
  const rpc::RealTime time_;
  std::atomic<std::size_t> places_taken_{0};

  mutable std::mutex mutex_;
  Inbox inbox_;                     // guarded by mutex_
  Machinery* machinery_ = nullptr;  // guarded by mutex_; null before and after the loop runs
  std::thread thread_;
};

}  // namespace grapevine::client
