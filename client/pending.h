// One operation on its way: what to do, until when, whom to tell.
//
// Resource. It is owned by the batcher's queue or by one of its batches; it has ended once `done`
// was called, and an ended one stays where it is until its owner drops it. Owner and thread: made
// by any thread, then the client's own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "client/include/grapevine/client.h"
#include "storage/base/status.h"
#include "storage/base/time.h"

namespace grapevine::client {

struct Pending {
  Operation operation;
  std::uint64_t write_id = 0;  // of a Put or Remove; the same for every attempt
  Instant deadline;
  Duration timeout{0};                             // what the deadline was made from, for texts
  absl::AnyInvocable<void(OperationResult)> done;  // null: ended

  // Guarded by the client's thread:
  std::uint64_t order = 0;  // in which the operations came
  bool in_flight = false;   // sent, not answered
  bool maybe_written =
      false;         // an earlier attempt was sent, and nothing says that it was not carried out
  std::string node;  // where the latest attempt went, for texts
  absl::Status last_error;  // of the latest attempt

  bool ended() const { return done == nullptr; }
  // Tells the caller. REQUIRES: not ended.
  void end(OperationResult result) noexcept {
    auto tell = std::move(done);
    done = nullptr;
    tell(std::move(result));
  }
};

const std::string& key_of(const Operation& operation);
bool is_write(const Operation& operation);
const std::shared_ptr<Session>& session_of(const Operation& operation);  // null: none
std::string_view verb_of(const Operation& operation);                    // get, put, remove
// Key, value and context.
std::size_t bytes_of(const Operation& operation);

// InvalidArgument when a limit of storage/base/limits.h is broken.
absl::Status check(const Operation& operation);
absl::Status check(const ScanOptions& options);
absl::Status check_timeout(std::chrono::milliseconds timeout);

// A key as errors show it: in quotes, unprintable bytes as \xNN, cut after 48 bytes.
std::string shown(std::string_view key);
// "5 s", "250 ms".
std::string shown(Duration duration);

// What `pending` ends with when its time is over, or (with `cancelled`) when the client is
// destroyed. `unreachable` says why no node is connected, empty when one is.
absl::Status final_error(const Pending& pending, bool cancelled, std::string_view unreachable);

}  // namespace grapevine::client
