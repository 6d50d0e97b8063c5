#include "tools/importer.h"

#include <utility>

#include <fmt/format.h>

#include "storage/base/limits.h"

namespace grapevine::tools {

absl::Status Importer::check_limits(const KeyLine& line) {
  if (line.key.empty() || line.key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("the key has {} bytes; a key has 1 to {}", line.key.size(), kKeyBytesMax));
  }
  for (const auto& value : line.values) {
    if (value.size() > kValueBytesMax) {
      return absl::InvalidArgumentError(
          fmt::format("a value has {} bytes, the limit is {}", value.size(), kValueBytesMax));
    }
  }
  return absl::OkStatus();
}

void Importer::add(KeyLine line) {
  bool first = true;
  for (auto& value : line.values) {
    bytes_ += line.key.size() + value.size();
    Put put{.key = line.key,
            .value = std::move(value),
            .consistency = consistency_,
            .context = std::nullopt};
    if (!std::exchange(first, false)) put.context.emplace();
    operations_.push_back(std::move(put));
  }
  key_ends_.push_back(operations_.size());
  if (operations_.size() >= kBatchOperations || bytes_ >= kBatchBytes) send();
}

Importer::Report Importer::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

Importer::Report Importer::finish() {
  send();
  std::unique_lock lock(mutex_);
  batch_answered_.wait(lock, [this] { return under_way_ == 0; });
  return report_;
}

void Importer::send() {
  if (operations_.empty()) return;
  {
    std::unique_lock lock(mutex_);
    batch_answered_.wait(lock, [this] { return under_way_ < kBatchesMax; });
    ++under_way_;
  }
  client_.execute(
      std::exchange(operations_, {}), std::nullopt,
      [this, key_ends = std::exchange(key_ends_, {})](const std::vector<OperationResult>& results) {
        answered(key_ends, results);
      });
  bytes_ = 0;
}

void Importer::answered(const std::vector<std::size_t>& key_ends,
                        const std::vector<OperationResult>& results) {
  const std::lock_guard lock(mutex_);
  std::size_t at = 0;
  std::size_t failed = 0;
  for (const std::size_t end : key_ends) {
    const absl::Status* error = nullptr;
    for (; at < end; ++at) {
      if (results[at].ok()) continue;
      if (error == nullptr) error = &results[at].status();
      if (is_outcome_unknown(results[at].status())) report_.outcome_unknown = true;
    }
    if (error == nullptr) {
      ++report_.keys_written;
      continue;
    }
    ++failed;
    if (report_.first_error.ok()) report_.first_error = *error;
  }
  report_.keys_failed += failed;
  if (failed == key_ends.size()) report_.hopeless = true;
  --under_way_;
  // Under the lock: finish() may destroy this object as soon as it sees that nothing is under way.
  batch_answered_.notify_all();
}

}  // namespace grapevine::tools
