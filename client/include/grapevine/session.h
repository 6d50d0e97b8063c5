// Sessions: a user who never sees the past, whichever node answers, at any consistency.
//
//   const auto session = grapevine::Session::begin();
//   client->put("k", "v", {.consistency = Consistency::kOne, .session = session});
//   client->get("k", {.consistency = Consistency::kOne, .session = session});  // finds it
//   hand_over(session->token());                   // another process: Session::resume(token)
//
// For each key, of what operations with the session returned (OK; a write that ended as "outcome
// unknown" does not count):
//   read your writes, monotonic reads   a get finds what the session has written and found there
//             before, or what superseded it; what it knows to be superseded or deleted stays so.
//             Nobody is waited for as long as an owner that was asked has that; else the other owners
//             are asked, and if none that can be reached has it, the get fails as Unavailable.
//   monotonic writes, writes after reads   a put or remove without a context supersedes what the
//             session has written and found there, whichever node takes it, and never waits. Only for
//             the keys that are known exactly, below.
// Not covered: order between keys, scans, what a time to live ends early where clocks differ.
//
// A session knows its latest keys_max keys exactly, with some 100 bytes each. Of those before it
// knows, for each partition, what it has seen at least: that promises as much of reads, but a get may
// have to ask more owners, or be refused, because one lacks somebody's write to another key of that
// partition.
//
// What was acknowledged and is lost with all disks that had it, is waited for in vain until the
// cluster has closed that part of its history: begin a new session then.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grapevine {

namespace client {
class SessionPort;
}

// Resource. Thread-safe; used with any number of operations at once, those of one client on one key
// in their order. With several clients at once an operation counts once it has ended.
class Session {
 public:
  static constexpr std::size_t kKeysMax = 1'000;

  static std::shared_ptr<Session> begin(std::size_t keys_max = kKeysMax);
  // Goes on from where a token was taken. InvalidArgument for bytes that are none.
  static absl::StatusOr<std::shared_ptr<Session>> resume(std::string_view token,
                                                         std::size_t keys_max = kKeysMax);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Opaque bytes, at most 4 MiB, usually far less; empty as long as nothing was done.
  std::string token() const;
  // Adds what another session has seen. InvalidArgument for bytes that are no token, or one of
  // another cluster; the session is as it was then.
  absl::Status join(std::string_view token);

 private:
  friend class client::SessionPort;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace grapevine
