#include "server/offline.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "storage/backup.h"
#include "storage/verify.h"

namespace grapevine::server {
namespace {

void complain(const absl::Status& status) {
  fmt::print(stderr, "grapevined: {}\n", text_of(status));
}

// "verify  41 %", when standard error is a terminal.
class ProgressLine {
 public:
  ~ProgressLine() {
    if (terminal_) fmt::print(stderr, "\r\x1b[K");
  }
  void update(double fraction) {
    const int percent = static_cast<int>(100 * fraction);
    if (!terminal_ || percent == shown_) return;
    shown_ = percent;
    fmt::print(stderr, "\r\x1b[Kverify  {} %", percent);
    std::fflush(stderr);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  int shown_ = -1;
};

absl::StatusOr<storage::VerifyReport> verify_and_tell(const std::string& directory) {
  std::uint64_t findings = 0;
  ProgressLine progress;
  storage::VerifyOptions options;
  options.directory = directory;
  options.on_finding = [&](const std::string& finding) {
    if (++findings <= kFindingsShownMax) fmt::print("{}\n", finding);
  };
  options.on_progress = [&](double fraction) { progress.update(fraction); };
  return storage::verify_directory(options);
}

std::string counted(std::uint64_t count, const char* singular) {
  return fmt::format("{} {}{}", count, singular, count == 1 ? "" : "s");
}

std::string summary(const std::string& directory, const storage::VerifyReport& report) {
  const std::string verdict = report.findings == 0 ? "no damage"
                              : report.findings <= kFindingsShownMax
                                  ? counted(report.findings, "finding")
                                  : fmt::format("{} findings, the first {} of them shown",
                                                report.findings, kFindingsShownMax);
  return fmt::format(
      "data directory {} (node {} of cluster {}): {}, {}, {} of values, {} not quiet; {}, {}, {}, "
      "{}, {}: {}",
      directory, report.node.empty() ? "unknown" : report.node,
      report.cluster_name.empty() ? "unknown" : report.cluster_name, counted(report.keys, "key"),
      counted(report.versions, "version"), counted(report.value_bytes, "byte"), report.unquiet,
      counted(report.table_files, "table file"), counted(report.clocks, "clock"),
      counted(report.journal_records, "journal record"),
      counted(report.tree_checkpoints, "tree checkpoint"), counted(report.notes, "note"), verdict);
}

int restore_exit_code(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss: return 1;
    case absl::StatusCode::kFailedPrecondition: return 4;
    default: return 3;
  }
}

}  // namespace

int verify(const std::string& data_directory) {
  const auto report = verify_and_tell(data_directory);
  if (!report.ok()) {
    complain(report.status());
    return 2;
  }
  fmt::print("{}\n", summary(data_directory, *report));
  return report->findings == 0 ? 0 : 1;
}

int restore(const CommandLine& line) {
  storage::RestoreOptions options;
  options.backup_directory = line.backup_directory;
  options.number = line.backup_number;
  options.data_directory = line.config.data_dir;
  if (line.new_node) {
    std::random_device entropy;
    Random random((std::uint64_t{entropy()} << 32) | entropy());
    options.new_node = NodeId{1 + random.below(NodeId::kMax)};
  }
  const auto restored = storage::restore_backup(options);
  if (!restored.ok()) {
    complain(restored.status());
    return restore_exit_code(restored.status());
  }
  fmt::print("restored backup {} of {:%Y-%m-%dT%H:%M:%SZ}: node {}, epoch {}, {} bytes{}\n",
             restored->number, fmt::gmtime(static_cast<std::time_t>(restored->unix_seconds)),
             to_string(restored->owner.actor.node()), restored->owner.actor.epoch(),
             restored->bytes,
             line.new_node ? fmt::format("; it is node {} now", to_string(options.new_node)) : "");
  return verify(line.config.data_dir);
}

}  // namespace grapevine::server
