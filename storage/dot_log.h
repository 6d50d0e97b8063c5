// Which key a recent dot was about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "storage/base/time.h"
#include "storage/model/dot.h"

namespace grapevine::storage {

// The answer to "which keys are these dots about?". Value.
struct NamedDots {
  struct Named {
    model::Dot dot;
    std::string key;
  };
  std::vector<Named> named;     // sorted by dot
  std::uint64_t in_flight = 0;  // known, but younger than was asked for: left out
  bool complete = true;         // false: the log does not know every one of them
};

// dot -> key for recent dots of one partition, of every actor. A cache in memory: whatever it does
// not know, a digest pull finds; it may be emptied at any time.
//
// Resource. Bounds: bytes_max, estimated; beyond it the oldest go first. Costs: add O(log n), name
// O(log n + dots named).
class DotLog {
 public:
  explicit DotLog(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void add(model::Dot dot, std::string_view key, Instant now);
  void clear();

  // Names `dots`, at most `limit` of them, but for those that came after `settled_before`. The
  // first that is not known ends the answer as incomplete, as does a range that closes. REQUIRES:
  // dots sorted.
  NamedDots name(const std::vector<model::DotRange>& dots, Instant settled_before,
                 std::size_t limit) const;

  // How old `dots` are. O(dots known).
  struct Ages {
    std::uint64_t in_flight = 0;    // came after `settled_before`
    std::optional<Instant> oldest;  // of those that are known
    bool complete = true;           // all are
  };
  Ages ages(const std::vector<model::DotRange>& dots, Instant settled_before) const;
  // Whether it knows the first and the last dot of every range, young ones included: then most likely
  // all of them, since the oldest go first. O(ranges log n).
  bool reaches(const std::vector<model::DotRange>& dots) const;

  std::size_t size() const { return records_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Record {
    std::string key;
    Instant at;
  };
  static std::size_t cost(const Record& record) { return 96 + record.key.capacity(); }

  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  absl::btree_map<model::Dot, Record> records_;
  std::deque<model::Dot> order_;  // as they came; exactly the keys of records_
};

}  // namespace grapevine::storage
