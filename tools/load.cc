#include "tools/load.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grapevine::tools {
namespace {

constexpr std::size_t kValueSourceSpare = 4096;
constexpr std::chrono::milliseconds kShowInterval{100};

std::string key_of(std::uint64_t number) {
  return fmt::format("{}{:09}", Load::kKeyPrefix, number);
}

}  // namespace

Load::Load(Client& client, const LoadOptions& options) : client_(client), options_(options) {
  // Values are pieces of one text of random letters: cheap to make, hard to compress.
  value_source_.resize(options_.value_bytes + kValueSourceSpare);
  for (char& c : value_source_) c = static_cast<char>('a' + random_.below(26));
}

LoadReport Load::run(const std::function<void(std::uint64_t)>& show) {
  start_ = Clock::now();
  for (std::uint32_t i = 0; i < options_.outstanding; ++i) begin_one();
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kShowInterval, [this] { return under_way_ == 0; })) {
    const std::uint64_t done = report_.puts + report_.gets + report_.errors;
    lock.unlock();
    show(done);
    lock.lock();
  }
  report_.elapsed = Clock::now() - start_;
  return report_;
}

bool Load::over() const {
  return begun_ >= options_.count || Clock::now() - start_ >= options_.duration;
}

void Load::begin_one() {
  std::string key;
  std::string_view value;
  bool is_put = false;
  {
    const std::lock_guard lock(mutex_);
    if (over()) return;
    ++begun_;
    ++under_way_;
    key = key_of(random_.below(options_.keys));
    is_put = options_.kind == LoadOptions::Kind::kPut ||
             (options_.kind == LoadOptions::Kind::kMix && random_.chance(0.5));
    value = std::string_view(value_source_)
                .substr(random_.below(kValueSourceSpare), options_.value_bytes);
  }
  const auto begun = Clock::now();
  if (is_put) {
    client_.put(key, value, {.consistency = options_.consistency},
                [this, begun](const absl::StatusOr<Written>& written) {
                  end_one(begun, written.status(), true, true);
                });
  } else {
    client_.get(key, {.consistency = options_.consistency},
                [this, begun](const absl::StatusOr<Found>& found) {
                  end_one(begun, found.status(), false, found.ok() && found->found());
                });
  }
}

void Load::end_one(Clock::time_point begun, const absl::Status& status, bool is_put, bool found) {
  const auto latency = Clock::now() - begun;
  {
    const std::lock_guard lock(mutex_);
    if (status.ok()) {
      ++(is_put ? report_.puts : report_.gets);
      if (!found) ++report_.not_found;
      report_.latencies.add(latency);
    } else {
      if (report_.errors++ == 0) report_.first_error = status;
    }
  }
  begin_one();
  const std::lock_guard lock(mutex_);
  // Under the lock: run() may return, and this object go, as soon as it sees that nothing is under
  // way.
  if (--under_way_ == 0) ended_.notify_all();
}

}  // namespace grapevine::tools
