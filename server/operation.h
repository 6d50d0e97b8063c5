// What a coordinator is asked to do, and what it answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "storage/base/limits.h"
#include "storage/base/status.h"
#include "storage/model/dot.h"
#include "storage/model/entry.h"

namespace grapevine::server {

// How many of a key's owners must answer.
enum class Consistency : std::uint8_t { kQuorum, kOne, kAll };

// The number that `consistency` needs of `owners` owners; a quorum is a majority.
inline std::size_t owners_needed(Consistency consistency, std::size_t owners) {
  switch (consistency) {
    case Consistency::kOne: return 1;
    case Consistency::kAll: return owners;
    case Consistency::kQuorum: break;
  }
  return owners / 2 + 1;
}

enum class OperationKind : std::uint8_t { kGet, kPut, kRemove };

// Value.
struct Operation {
  OperationKind kind = OperationKind::kGet;
  Consistency consistency = Consistency::kQuorum;
  std::string key;
  std::string value;           // of a put
  std::uint64_t write_id = 0;  // of a put or remove; 0: none
  std::optional<std::string>
      context;  // of a put or remove, as a read returned it; nullopt: what the coordinator knows
  std::uint64_t ttl_ms = 0;            // of a put; 0: for ever
  std::optional<std::string> session;  // a model::Session, encoded; nullopt: none is kept

  bool writes() const { return kind != OperationKind::kGet; }
};

// `session`, of both: what is now seen of the key, encoded; empty unless the operation told one.
struct ReadAnswer {
  std::vector<model::Version> siblings;  // sorted by dot; versions of one write id are shown as one
  std::string context;
  std::string session = {};
};

struct WriteAnswer {
  model::Dot dot;
  std::string context;
  std::string session = {};
};

using OperationAnswer = std::variant<absl::Status, ReadAnswer, WriteAnswer>;

// Makes the answers to one call fit into a message: a read whose siblings do not fit beside those
// before it is answered with Unavailable, so that it is made again; one whose siblings never will,
// with ResourceExhausted.
void fit_answers(std::vector<OperationAnswer>& answers, std::size_t bytes_max = kBatchBytesMax);

// InvalidArgument with the key's size and the limit for a key or value over a limit; nothing else
// is looked at.
absl::Status check_limits(const Operation& operation);

}  // namespace grapevine::server
