// A closed loop of load: so many operations outstanding at any time, the next one begins when one
// ends.
//
// Resource. Bounds: options.outstanding operations. Threads: run() is called on the owner's;
// operations begin and end on the client's own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <string>

#include "grapevine/client.h"
#include "storage/base/random.h"
#include "storage/base/status.h"
#include "tools/latency_histogram.h"

namespace grapevine::tools {

struct LoadOptions {
  enum class Kind { kPut, kGet, kMix };  // mix: half and half
  Kind kind = Kind::kMix;
  std::uint32_t outstanding = 16;
  std::chrono::milliseconds duration{5000};
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();  // ends at whichever comes first
  std::uint64_t keys = 100'000;                                     // drawn evenly
  std::size_t value_bytes = 100;
  Consistency consistency = Consistency::kQuorum;
};

struct LoadReport {
  std::uint64_t puts = 0;  // that succeeded
  std::uint64_t gets = 0;
  std::uint64_t not_found = 0;  // of the gets
  std::uint64_t errors = 0;
  absl::Status first_error;
  std::chrono::nanoseconds elapsed{0};
  LatencyHistogram latencies;  // of those that succeeded
};

class Load {
 public:
  static constexpr const char* kKeyPrefix = "bench/";

  // `client` must outlive it.
  Load(Client& client, const LoadOptions& options);

  // Runs to the end, calling `show` now and then with what is done so far. To be called once.
  LoadReport run(const std::function<void(std::uint64_t operations)>& show);

 private:
  using Clock = std::chrono::steady_clock;

  void begin_one();
  void end_one(Clock::time_point begun, const absl::Status& status, bool is_put, bool found);
  bool over() const;

  Client& client_;
  const LoadOptions options_;
  std::string value_source_;

  std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_:
  Random random_{1};
  Clock::time_point start_;
  std::uint64_t begun_ = 0;
  std::uint64_t under_way_ = 0;
  LoadReport report_;
};

}  // namespace grapevine::tools
