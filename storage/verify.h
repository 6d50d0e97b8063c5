// The offline check of a data directory: walks everything that stands in it and tells what is not as
// it must be. Changes nothing there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "storage/base/status.h"
#include "storage/store_options.h"

namespace grapevine::storage {

struct VerifyOptions {
  std::string directory;
  // Called with one line for each thing that is wrong, in the order in which it is met.
  std::function<void(const std::string& finding)> on_finding;
  // Called now and then with the fraction that is done. May be empty.
  std::function<void(double fraction)> on_progress;
  RocksEnvironment* environment = nullptr;
};

// What was walked through. Value.
struct VerifyReport {
  std::uint64_t findings = 0;
  std::string cluster_name;  // empty when the identity cannot be read
  std::string node;
  std::uint64_t table_files = 0;
  std::uint64_t keys = 0;
  std::uint64_t versions = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t unquiet = 0;
  std::uint64_t clocks = 0;
  std::uint64_t journal_records = 0;
  std::uint64_t tree_checkpoints = 0;
  std::uint64_t notes = 0;
};

// Checks: the block checksums of every table file, and of every file what the database knows of the
// whole; that the write-ahead log can be read; every record of the metadata, and that none says that
// entries were lost; that each key lies at its token; each entry with its values against their
// checksums; that the clock of its partition holds the dot of each live version; that what expires is
// noted; that all entries add up to what the last journal record says; and, after a clean stop, that
// each digest tree is the sum of its entries.
//
// Blocks; reads everything twice. FailedPrecondition when there is nothing to check: no data
// directory, a newer format, or another process has it open.
absl::StatusOr<VerifyReport> verify_directory(const VerifyOptions& options);

}  // namespace grapevine::storage
