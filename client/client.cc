#include "client/include/grapevine/client.h"

#include <future>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "client/pending.h"
#include "client/worker.h"
#include "rpc/address.h"
#include "storage/base/limits.h"

namespace grapevine {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kEndpointsMax = 64;

absl::StatusOr<std::vector<rpc::Address>> parse_endpoints(const std::vector<std::string>& texts) {
  if (texts.empty() || texts.size() > kEndpointsMax) {
    return absl::InvalidArgumentError(fmt::format(
        "{} endpoints are given: give 1 to {}, as HOST:PORT", texts.size(), kEndpointsMax));
  }
  std::vector<rpc::Address> endpoints;
  std::set<rpc::Address> seen;
  for (const auto& text : texts) {
    auto address = rpc::parse_address(text);
    if (!address.ok()) return std::move(address).status();
    if (seen.insert(*address).second) endpoints.push_back(*std::move(address));
  }
  return endpoints;
}

absl::Status check_options(const ClientOptions& options) {
  GRAPEVINE_RETURN_IF_ERROR(client::check_timeout(options.timeout));
  GRAPEVINE_RETURN_IF_ERROR(client::check_timeout(options.connect_timeout));
  if (options.balance_interval.count() < 0) {
    return absl::InvalidArgumentError(
        fmt::format("balance_interval is {} ms: give at least 1 ms, or 0 for never",
                    options.balance_interval.count()));
  }
  if (options.batch_operations_max == 0 || options.batch_operations_max > kBatchOperationsMax) {
    return absl::InvalidArgumentError(fmt::format("batch_operations_max is {}: give 1 to {}",
                                                  options.batch_operations_max,
                                                  kBatchOperationsMax));
  }
  if (options.batches_in_flight_max == 0) {
    return absl::InvalidArgumentError("batches_in_flight_max is 0: give at least 1");
  }
  if (options.operations_queued_max == 0) {
    return absl::InvalidArgumentError("operations_queued_max is 0: give at least 1");
  }
  return absl::OkStatus();
}

absl::Status own_thread_error(std::string_view call) {
  return absl::FailedPreconditionError(fmt::format(
      "a blocking {} inside a callback of the same client would wait for itself for ever; use the "
      "asynchronous form there",
      call));
}

absl::Status queue_full_error(std::uint32_t queued_max) {
  return absl::ResourceExhaustedError(
      fmt::format("{} operations are outstanding, the most that this client queues; wait for some "
                  "of them, or raise "
                  "operations_queued_max",
                  queued_max));
}

// What `result` holds must be a T or an error: the wire conversion sees to it.
template <typename T>
absl::StatusOr<T> narrow(OperationResult result) {
  if (!result.ok()) return std::move(result).status();
  return std::get<T>(*std::move(result));
}

// Starts an asynchronous call and waits for its answer.
template <typename Answer, typename Start>
Answer wait_for(Start start) {
  const auto promise =
      std::make_shared<std::promise<Answer>>();  // shared: it may outlive the wait by a moment
  auto future = promise->get_future();
  start([promise](Answer answer) { promise->set_value(std::move(answer)); });
  return future.get();
}

}  // namespace

class Client::Impl {
 public:
  Impl(const ClientOptions& options, std::vector<rpc::Address> endpoints)
      : options_(options), worker_(options, std::move(endpoints)) {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(),
                       device(), device(), device(), device()};
    write_ids_.seed(seed);
  }

  absl::Status start() { return worker_.start(); }
  bool on_own_thread() const { return worker_.on_own_thread(); }

  using Tell = absl::AnyInvocable<void(OperationResult)>;

  void call(Operation operation, std::optional<milliseconds> timeout, Tell tell) {
    absl::Status refused = admit(operation, timeout);
    if (!refused.ok()) {
      worker_.run(
          [tell = std::move(tell), refused = std::move(refused)]() mutable { tell(refused); });
      return;
    }
    worker_.add(pend(std::move(operation), timeout, std::move(tell)));
  }

  void call_all(std::vector<Operation> operations, std::optional<milliseconds> timeout,
                std::function<void(std::vector<OperationResult>)> done) {
    struct Group {
      std::vector<OperationResult> results;
      std::size_t left;  // the worker's thread counts
      std::function<void(std::vector<OperationResult>)> done;
      void finish_one() {
        if (--left == 0) done(std::move(results));
      }
    };
    // One more than there are operations: the group cannot finish before all of them are under way.
    const auto group = std::make_shared<Group>(
        Group{std::vector<OperationResult>(operations.size(), absl::InternalError("not done")),
              operations.size() + 1, std::move(done)});
    std::vector<std::unique_ptr<client::Pending>> pendings;
    pendings.reserve(operations.size());
    std::size_t refused_count = 0;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      if (absl::Status refused = admit(operations[i], timeout); !refused.ok()) {
        group->results[i] = std::move(refused);
        ++refused_count;
        continue;
      }
      pendings.push_back(
          pend(std::move(operations[i]), timeout, [group, i](OperationResult result) {
            group->results[i] = std::move(result);
            group->finish_one();
          }));
    }
    group->left -= refused_count;
    worker_.add(std::move(pendings));
    worker_.run([group] { group->finish_one(); });
  }

  void scan(const ScanOptions& options, Callback<ScanPage> done) {
    const milliseconds timeout = options.timeout.value_or(options_.timeout);
    absl::Status refused = client::check(options);
    if (refused.ok()) refused = client::check_timeout(timeout);
    if (refused.ok() && !worker_.take_places(1))
      refused = queue_full_error(options_.operations_queued_max);
    if (!refused.ok()) {
      worker_.run([done = std::move(done), refused = std::move(refused)] { done(refused); });
      return;
    }
    auto scan = std::make_unique<client::PendingScan>();
    scan->options = options;
    scan->timeout = timeout;
    scan->deadline = worker_.now() + timeout;
    scan->done = [this, done = std::move(done)](absl::StatusOr<ScanPage> page) {
      worker_.give_place_back();
      done(std::move(page));
    };
    worker_.add(std::move(scan));
  }

 private:
  // Ok: the operation has a place, which pend's callback gives back.
  absl::Status admit(const Operation& operation, std::optional<milliseconds> timeout) {
    GRAPEVINE_RETURN_IF_ERROR(client::check(operation));
    GRAPEVINE_RETURN_IF_ERROR(client::check_timeout(timeout.value_or(options_.timeout)));
    return worker_.take_places(1) ? absl::OkStatus()
                                  : queue_full_error(options_.operations_queued_max);
  }

  std::unique_ptr<client::Pending> pend(Operation operation, std::optional<milliseconds> timeout,
                                        Tell tell) {
    auto pending = std::make_unique<client::Pending>();
    pending->timeout = timeout.value_or(options_.timeout);
    pending->deadline = worker_.now() + pending->timeout;
    if (client::is_write(operation)) pending->write_id = next_write_id();
    pending->operation = std::move(operation);
    pending->done = [this, tell = std::move(tell)](OperationResult result) mutable {
      worker_.give_place_back();
      tell(std::move(result));
    };
    return pending;
  }

  std::uint64_t next_write_id() {
    const std::lock_guard lock(write_ids_mutex_);
    return write_ids_();
  }

  const ClientOptions options_;
  std::mutex write_ids_mutex_;
  std::mt19937_64 write_ids_;  // guarded by write_ids_mutex_
  client::Worker worker_;      // the last member: its thread ends first
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::connect(ClientOptions options) {
  GRAPEVINE_RETURN_IF_ERROR(check_options(options));
  GRAPEVINE_ASSIGN_OR_RETURN(auto endpoints, parse_endpoints(options.endpoints));
  auto impl = std::make_unique<Impl>(options, std::move(endpoints));
  GRAPEVINE_RETURN_IF_ERROR(impl->start());
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

absl::StatusOr<Found> Client::get(std::string_view key, const ReadOptions& options) {
  if (impl_->on_own_thread()) return own_thread_error("get");
  return wait_for<absl::StatusOr<Found>>([&](auto done) { get(key, options, std::move(done)); });
}

absl::StatusOr<Written> Client::put(std::string_view key, std::string_view value,
                                    const WriteOptions& options) {
  if (impl_->on_own_thread()) return own_thread_error("put");
  return wait_for<absl::StatusOr<Written>>(
      [&](auto done) { put(key, value, options, std::move(done)); });
}

absl::StatusOr<Written> Client::remove(std::string_view key, const WriteOptions& options) {
  if (impl_->on_own_thread()) return own_thread_error("remove");
  return wait_for<absl::StatusOr<Written>>(
      [&](auto done) { remove(key, options, std::move(done)); });
}

std::vector<OperationResult> Client::execute(std::vector<Operation> operations,
                                             std::optional<milliseconds> timeout) {
  if (impl_->on_own_thread()) {
    return std::vector<OperationResult>(operations.size(), own_thread_error("execute"));
  }
  return wait_for<std::vector<OperationResult>>(
      [&](auto done) { execute(std::move(operations), timeout, std::move(done)); });
}

absl::StatusOr<ScanPage> Client::scan(const ScanOptions& options) {
  if (impl_->on_own_thread()) return own_thread_error("scan");
  return wait_for<absl::StatusOr<ScanPage>>([&](auto done) { scan(options, std::move(done)); });
}

void Client::get(std::string_view key, const ReadOptions& options, Callback<Found> done) {
  impl_->call(
      Get{.key = std::string(key), .consistency = options.consistency, .session = options.session},
      options.timeout,
      [done = std::move(done)](OperationResult result) { done(narrow<Found>(std::move(result))); });
}

void Client::put(std::string_view key, std::string_view value, const WriteOptions& options,
                 Callback<Written> done) {
  impl_->call(Put{.key = std::string(key),
                  .value = std::string(value),
                  .consistency = options.consistency,
                  .context = options.context,
                  .ttl = options.ttl,
                  .session = options.session},
              options.timeout, [done = std::move(done)](OperationResult result) {
                done(narrow<Written>(std::move(result)));
              });
}

void Client::remove(std::string_view key, const WriteOptions& options, Callback<Written> done) {
  impl_->call(Remove{.key = std::string(key),
                     .consistency = options.consistency,
                     .context = options.context,
                     .session = options.session},
              options.timeout, [done = std::move(done)](OperationResult result) {
                done(narrow<Written>(std::move(result)));
              });
}

void Client::execute(std::vector<Operation> operations, std::optional<milliseconds> timeout,
                     std::function<void(std::vector<OperationResult>)> done) {
  impl_->call_all(std::move(operations), timeout, std::move(done));
}

void Client::scan(const ScanOptions& options, Callback<ScanPage> done) {
  impl_->scan(options, std::move(done));
}

}  // namespace grapevine
