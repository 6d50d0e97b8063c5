#include "storage/data_directory.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/env.h>

#include "storage/layout.h"

namespace grapevine::storage {
namespace {

std::string mark_in(const std::string& directory) {
  return directory + "/creating";
}

// Tables, blob files and logs: 000123.sst.
bool is_numbered(std::string_view name) {
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view kind = name.substr(digits);
  return digits > 0 && (kind == ".sst" || kind == ".blob" || kind == ".log");
}

bool is_manifest(std::string_view name) {
  return name.starts_with("MANIFEST-");
}

// What comes to be after CURRENT does.
bool needs_database(std::string_view name) {
  return is_numbered(name) || name.starts_with("OPTIONS-") || name == "DAMAGE";
}

}  // namespace

absl::Status check_not_lost(rocksdb::Env& env, const std::string& directory) {
  if (env.FileExists(directory + "/CURRENT").ok()) return absl::OkStatus();
  std::vector<std::string> names;
  if (!env.GetChildren(directory, &names).ok()) return absl::OkStatus();  // there is no directory
  const bool creating = env.FileExists(mark_in(directory)).ok();
  std::vector<std::string> left;
  for (const std::string& name : names) {
    const bool made_first = is_manifest(name) || name == "IDENTITY";
    if (needs_database(name) || (made_first && !creating)) left.push_back(name);
  }
  if (left.empty()) return absl::OkStatus();
  std::sort(left.begin(), left.end());
  const bool has_manifest = std::any_of(left.begin(), left.end(), is_manifest);
  const std::string others =
      left.size() == 1 ? "" : fmt::format(" and {} more of its files", left.size() - 1);
  return absl::DataLossError(
      fmt::format("data directory {}: damaged database ({} missing, while {}{} {} there); {}",
                  directory, has_manifest ? "CURRENT is" : "CURRENT and MANIFEST are", left.front(),
                  others, left.size() == 1 ? "is" : "are", kRefillOrSalvage));
}

void mark_creating(rocksdb::Env& env, const std::string& directory) {
  env.CreateDirIfMissing(directory).PermitUncheckedError();
  rocksdb::WriteStringToFile(&env, "", mark_in(directory)).PermitUncheckedError();
}

void unmark_creating(rocksdb::Env& env, const std::string& directory) {
  env.DeleteFile(mark_in(directory)).PermitUncheckedError();
}

}  // namespace grapevine::storage
