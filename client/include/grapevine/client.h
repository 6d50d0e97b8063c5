// The Grapevine client: a replicated, always-writable key-value store, from C++.
//
//   auto client = grapevine::Client::connect({.endpoints = {"127.0.0.1:4740"}});
//   if (!client.ok()) return fail(client.status());
//   (*client)->put("greeting", "hello");
//   auto found = (*client)->get("greeting");       // found->siblings[0].value == "hello"
//
// Every call comes in two forms: blocking (returns a StatusOr) and asynchronous (takes a callback).
// Callbacks run on the client's own thread, must not block, and must not make blocking calls.
// Whatever is outstanding at one moment travels in one request, so many small calls at once cost
// little more than one.
//
// Errors are absl::Status; these codes mean:
//   InvalidArgument     bad input, or over a limit; the same call can never succeed
//   Unavailable         no node, or not enough replicas, could be reached in time: nothing was written
//   Unknown             outcome unknown: the write may or may not have happened, and may still spread
//   ResourceExhausted   the cluster is overloaded or full: nothing was written
//   FailedPrecondition  refused: no permission, other cluster, not ready
//   DataLoss            a replica noticed corruption
//   Cancelled           the client was destroyed first
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grapevine/session.h"

namespace grapevine {

// How many of a key's owners must answer: a majority, any one, every one. A read at R and a write
// at W owners meet when R + W > replication factor: quorum and quorum do.
enum class Consistency { kQuorum, kOne, kAll };

// Names one write: the node's actor and its counter in the key's partition.
struct WriteName {
  std::uint64_t actor = 0;
  std::uint64_t counter = 0;
  friend bool operator==(const WriteName&, const WriteName&) = default;
};

// One live version of a key.
struct Sibling {
  std::string value;
  WriteName dot;
  std::int64_t written_unix_ms = 0;  // by the clock of the node that took the write
  std::int64_t expires_unix_ms = 0;  // from then on it reads as deleted; 0: never
};

// What a get found: no sibling (not found), one, or several where writes were concurrent. Hand
// `context` back with the write that resolves them: it supersedes exactly what was read.
struct Found {
  std::vector<Sibling> siblings;
  std::string context;  // opaque bytes
  bool found() const { return !siblings.empty(); }
};

struct Written {
  WriteName dot;
  // Covers all that this write superseded, and the write itself, unless that would cover a sibling
  // that the writer has not seen: so a write with this context never drops one unseen.
  std::string context;
};

struct ReadOptions {
  Consistency consistency = Consistency::kQuorum;
  std::optional<std::chrono::milliseconds> timeout =
      std::nullopt;                            // ClientOptions::timeout unless given
  std::shared_ptr<Session> session = nullptr;  // of whose writes and reads it is; see session.h
};

struct WriteOptions {
  Consistency consistency = Consistency::kQuorum;
  // Not given: supersede what the coordinating node knows, as a plain overwrite does elsewhere.
  // Given: supersede exactly what this context has seen; the empty string has seen nothing.
  std::optional<std::string> context = std::nullopt;
  std::optional<std::chrono::milliseconds> timeout = std::nullopt;
  // How long a put's value lives: from then on it reads as deleted, and every node drops it by its
  // own clock. 1 ms to 100 years; not given: for ever. Ignored by remove.
  std::optional<std::chrono::milliseconds> ttl = std::nullopt;
  std::shared_ptr<Session> session = nullptr;
};

struct Get {
  std::string key;
  Consistency consistency = Consistency::kQuorum;
  std::shared_ptr<Session> session = nullptr;
};
struct Put {
  std::string key;
  std::string value;
  Consistency consistency = Consistency::kQuorum;
  std::optional<std::string> context = std::nullopt;
  std::optional<std::chrono::milliseconds> ttl = std::nullopt;  // as in WriteOptions
  std::shared_ptr<Session> session = nullptr;
};
struct Remove {
  std::string key;
  Consistency consistency = Consistency::kQuorum;
  std::optional<std::string> context = std::nullopt;
  std::shared_ptr<Session> session = nullptr;
};
using Operation = std::variant<Get, Put, Remove>;
// Found for a Get, Written for a Put or Remove.
using OperationResult = absl::StatusOr<std::variant<Found, Written>>;

struct ScanOptions {
  std::string prefix = "";
  std::uint32_t limit = 1000;  // keys a page, 1 to 10,000
  std::string cursor = "";     // of the page before; empty: from the beginning
  bool values = false;
  std::optional<std::chrono::milliseconds> timeout = std::nullopt;
};

struct ScannedKey {
  std::string key;
  std::vector<Sibling> siblings;  // without values unless asked for
};

struct ScanPage {
  std::vector<ScannedKey> keys;
  std::string cursor;  // empty: this was the last page
};

struct ClientOptions {
  std::vector<std::string> endpoints{
      "127.0.0.1:4740"};                    // HOST:PORT of one or more nodes; any may be down
  std::chrono::milliseconds timeout{5000};  // for each call, retries on other nodes included
  std::chrono::milliseconds connect_timeout{1000};  // for each attempt to reach one node
  std::string client_name = "grapevine-client";     // shown in the nodes' logs
  std::uint32_t batch_operations_max = 1024;        // operations that travel in one request
  std::uint32_t batches_in_flight_max = 4;          // requests outstanding on one connection
  // How often the node in use is asked which of the endpoints are less busy, while anything is sent;
  // 0: never. The client then moves, reluctantly, to one that is.
  std::chrono::milliseconds balance_interval{1000};
  std::uint32_t operations_queued_max =
      100'000;  // beyond it calls fail at once with ResourceExhausted
};

// Resource. One object an application: it keeps connections, batches, and moves to another endpoint
// when one fails. Thread-safe. A write that is retried on another node carries the same write id,
// and versions with one write id are shown as one.
class Client {
 public:
  template <typename T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  // Connects to the first endpoint that answers. InvalidArgument for malformed endpoints,
  // Unavailable when none answers within options.timeout.
  static absl::StatusOr<std::unique_ptr<Client>> connect(ClientOptions options);

  // Ends what is outstanding with Cancelled (or Unknown for writes that were sent), then the
  // thread.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  absl::StatusOr<Found> get(std::string_view key, const ReadOptions& options = {});
  absl::StatusOr<Written> put(std::string_view key, std::string_view value,
                              const WriteOptions& options = {});
  absl::StatusOr<Written> remove(std::string_view key, const WriteOptions& options = {});
  // One result an operation, in order; each fails or succeeds alone. Operations on one key are done
  // in order.
  std::vector<OperationResult> execute(std::vector<Operation> operations,
                                       std::optional<std::chrono::milliseconds> timeout = {});
  absl::StatusOr<ScanPage> scan(const ScanOptions& options);

  void get(std::string_view key, const ReadOptions& options, Callback<Found> done);
  void put(std::string_view key, std::string_view value, const WriteOptions& options,
           Callback<Written> done);
  void remove(std::string_view key, const WriteOptions& options, Callback<Written> done);
  void execute(std::vector<Operation> operations, std::optional<std::chrono::milliseconds> timeout,
               std::function<void(std::vector<OperationResult>)> done);
  void scan(const ScanOptions& options, Callback<ScanPage> done);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grapevine
