#include "client/worker.h"

#include <future>
#include <iterator>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "client/batcher.h"
#include "client/load_watch.h"
#include "rpc/asio_loop.h"
#include "storage/base/check.h"

namespace grapevine::client {

struct Worker::Machinery {
  Machinery(const ClientOptions& options, const std::vector<rpc::Address>& endpoints)
      : pool(loop, endpoints,
             {.connect_timeout = options.connect_timeout, .client_name = options.client_name},
             [this] { batcher.pump(); }),
        batcher(loop, pool,
                {.operations_max = options.batch_operations_max,
                 .batches_in_flight_max = options.batches_in_flight_max}),
        scanner(loop, pool),
        load_watch(loop, pool, options.balance_interval, std::random_device{}()) {}

  rpc::AsioLoop loop{[](const absl::Status&) {}};  // nothing is spawned on it
  Pool pool;
  Batcher batcher;
  Scanner scanner;
  LoadWatch load_watch;
};

Worker::Worker(const ClientOptions& options, std::vector<rpc::Address> endpoints)
    : options_(options), endpoints_(std::move(endpoints)) {}

Worker::~Worker() {
  if (!thread_.joinable()) return;
  GRAPEVINE_CHECK(!on_own_thread(), "a client must not be destroyed inside one of its callbacks");
  {
    const std::lock_guard lock(mutex_);
    machinery_->loop.stop();
  }
  thread_.join();
}

absl::Status Worker::start() {
  struct Start {
    std::promise<void> running;
    std::promise<absl::Status> first;
  };
  const auto start = std::make_shared<Start>();
  auto running = start->running.get_future();
  auto first = start->first.get_future();
  thread_ = std::thread([this, start] {
    Machinery machinery(options_, endpoints_);
    {
      const std::lock_guard lock(mutex_);
      machinery_ = &machinery;
    }
    start->running.set_value();
    machinery.pool.start(
        [start](absl::Status status) { start->first.set_value(std::move(status)); });
    machinery.loop.run();
    end(machinery);
  });
  running.wait();
  if (first.wait_for(options_.timeout) == std::future_status::ready) return first.get();
  return absl::UnavailableError(
      fmt::format("no node answered within {}; check the endpoints, or allow more time",
                  shown(options_.timeout)));
}

bool Worker::take_places(std::size_t count) {
  const std::size_t taken = places_taken_.fetch_add(count, std::memory_order_relaxed) + count;
  if (taken <= options_.operations_queued_max) return true;
  places_taken_.fetch_sub(count, std::memory_order_relaxed);
  return false;
}

void Worker::add(std::vector<std::unique_ptr<Pending>> pendings) {
  put_into_inbox([&](Inbox& inbox) {
    std::move(pendings.begin(), pendings.end(), std::back_inserter(inbox.pendings));
  });
}

void Worker::add(std::unique_ptr<Pending> pending) {
  put_into_inbox([&](Inbox& inbox) { inbox.pendings.push_back(std::move(pending)); });
}

void Worker::add(std::unique_ptr<PendingScan> scan) {
  put_into_inbox([&](Inbox& inbox) { inbox.scans.push_back(std::move(scan)); });
}

void Worker::run(absl::AnyInvocable<void()> function) {
  put_into_inbox([&](Inbox& inbox) { inbox.functions.push_back(std::move(function)); });
}

template <typename Put>
void Worker::put_into_inbox(Put put) {
  const std::lock_guard lock(mutex_);
  const bool asleep = inbox_.empty();
  put(inbox_);
  if (asleep && machinery_ != nullptr) {
    machinery_->loop.post([this, machinery = machinery_] { deliver(take_inbox(), *machinery); });
  }
}

Worker::Inbox Worker::take_inbox() {
  const std::lock_guard lock(mutex_);
  return std::exchange(inbox_, {});
}

void Worker::deliver(Inbox inbox, Machinery& machinery) {
  for (auto& pending : inbox.pendings) machinery.batcher.add(std::move(pending));
  machinery.batcher.pump();
  for (auto& scan : inbox.scans) machinery.scanner.add(std::move(scan));
  for (auto& function : inbox.functions) function();
}

void Worker::end(Machinery& machinery) {
  {
    const std::lock_guard lock(mutex_);
    machinery_ = nullptr;
  }
  // Callbacks may add more; that ends as well.
  do {
    deliver(take_inbox(), machinery);
    machinery.batcher.close();
    machinery.scanner.close();
  } while (!inbox_empty());
}

bool Worker::inbox_empty() const {
  const std::lock_guard lock(mutex_);
  return inbox_.empty();
}

}  // namespace grapevine::client
