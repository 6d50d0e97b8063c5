#include "server/backups.h"

#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace grapevine::server {

absl::StatusOr<std::string> Backups::own_folder(const std::string& directory) const {
  const std::filesystem::path path(directory);
  if (!path.is_absolute()) {
    return absl::InvalidArgumentError(fmt::format(
        "backup directory {}: is not an absolute path; give one on the node's own machine",
        directory));
  }
  if (stopping_) return absl::UnavailableError("this node is stopping");
  if (under_way_) {
    return absl::FailedPreconditionError("a backup is under way; wait until it is done");
  }
  return (path / to_string(store_.node())).lexically_normal().string();
}

kj::Promise<absl::StatusOr<Backups::Made>> Backups::make(const std::string& directory,
                                                         std::uint32_t keep,
                                                         std::uint64_t bytes_per_second) {
  auto folder = own_folder(directory);
  if (!folder.ok()) return absl::StatusOr<Made>(folder.status());
  storage::BackupOptions options;
  options.directory = *folder;
  options.keep = keep;
  options.bytes_per_second = bytes_per_second;
  options.on_progress = [this](std::uint64_t bytes) {
    bytes_copied_ = bytes;
    return !stopping_;
  };
  under_way_ = true;
  bytes_copied_ = 0;
  auto answer = kj::newPromiseAndFulfiller<absl::StatusOr<Made>>();
  store_.back_up(std::move(options), *disk_,
                 [this, begun = loop_.now(), directory = *folder,
                  fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<absl::StatusOr<Made>>>>(
                      kj::mv(answer.fulfiller))](absl::StatusOr<storage::BackupReport> report) {
                   under_way_ = false;
                   if (!report.ok()) {
                     spdlog::error("no backup made: {}", text_of(report.status()));
                     (*fulfiller)->fulfill(absl::StatusOr<Made>(report.status()));
                     return;
                   }
                   const Duration took = loop_.now() - begun;
                   spdlog::info("backup {} in {}: {} bytes in {} new files, {:.1f} s",
                                report->made.number, directory, report->bytes_new,
                                report->files_new, std::chrono::duration<double>(took).count());
                   (*fulfiller)->fulfill(Made{*std::move(report), directory, took});
                 });
  return kj::mv(answer.promise);
}

kj::Promise<absl::StatusOr<Backups::Listed>> Backups::list(const std::string& directory) {
  auto folder = own_folder(directory);
  if (!folder.ok()) return absl::StatusOr<Listed>(folder.status());
  auto answer = kj::newPromiseAndFulfiller<absl::StatusOr<Listed>>();
  const auto found = std::make_shared<absl::StatusOr<std::vector<storage::BackupInfo>>>();
  disk_->run([found, directory = *folder] { *found = storage::list_backups(directory, nullptr); },
             [found, directory = *folder,
              fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<absl::StatusOr<Listed>>>>(
                  kj::mv(answer.fulfiller))] {
               if (found->ok()) {
                 (*fulfiller)->fulfill(Listed{directory, std::move(**found)});
               } else {
                 (*fulfiller)->fulfill(absl::StatusOr<Listed>(found->status()));
               }
             });
  return kj::mv(answer.promise);
}

kj::Promise<void> Backups::stop() {
  stopping_ = true;
  return disk_->when_idle();
}

}  // namespace grapevine::server
