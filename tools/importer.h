// Writes keys to the cluster with several batches under way, and counts what became of them.
//
// A key's first value is a plain overwrite; each further one is written with the empty context, so
// that they become siblings. So a second import of the same line leaves the key as the first one
// did.
//
// Resource. Bounds: kBatchesMax batches under way, each of kBatchOperations writes or kBatchBytes
// (one key may be larger). Thread: its owner's; the client's own thread reports to it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "grapevine/client.h"
#include "storage/base/status.h"
#include "tools/json_lines.h"

namespace grapevine::tools {

class Importer {
 public:
  static constexpr std::size_t kBatchesMax = 8;
  static constexpr std::size_t kBatchOperations = 1024;
  static constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

  struct Report {
    std::uint64_t keys_written = 0;
    std::uint64_t keys_failed = 0;
    absl::Status first_error;      // of a key that failed
    bool outcome_unknown = false;  // of at least one key that failed
    bool hopeless = false;         // a whole batch failed: more would only wait for the same error
  };

  // `client` must outlive it.
  Importer(Client& client, Consistency consistency) : client_(client), consistency_(consistency) {}
  ~Importer() { finish(); }
  Importer(const Importer&) = delete;
  Importer& operator=(const Importer&) = delete;

  // May wait until a batch is answered. REQUIRES: the line keeps the limits of check_limits.
  void add(KeyLine line);
  Report report() const;
  // Waits for all that is under way.
  Report finish();

  // InvalidArgument for a key or value that no cluster takes.
  static absl::Status check_limits(const KeyLine& line);

 private:
  void send();
  void answered(const std::vector<std::size_t>& key_ends,
                const std::vector<OperationResult>& results);

  Client& client_;
  const Consistency consistency_;

  // The batch that is being filled.
  std::vector<Operation> operations_;
  std::vector<std::size_t> key_ends_;  // where each key's operations end
  std::size_t bytes_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable batch_answered_;
  std::size_t under_way_ = 0;  // guarded by mutex_
  Report report_;              // guarded by mutex_
};

}  // namespace grapevine::tools
