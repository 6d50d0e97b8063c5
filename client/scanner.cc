#include "client/scanner.h"

#include <algorithm>

#include <fmt/format.h>

#include "client/pending.h"
#include "rpc/errors.h"
#include "storage/base/check.h"

namespace grapevine::client {

void Scanner::add(std::unique_ptr<PendingScan> scan) {
  const Id id = next_id_++;
  auto too_late = loop_.after(std::max(scan->deadline - loop_.now(), Duration(0))).then([this, id] {
    const PendingScan& late = *scans_.at(id);
    const std::string unreachable = pool_.why_unreachable();
    std::string why = "no answer; try again, or allow more time";
    if (!late.last_error.ok()) why = std::string(text_of(late.last_error));
    if (!unreachable.empty()) why = fmt::format("no node could be reached: {}", unreachable);
    end(id, absl::UnavailableError(
                fmt::format("scan: not done within {}: {}", shown(late.timeout), why)));
  });
  scans_.emplace(id, std::move(scan));
  tasks_.add(attempt(id).exclusiveJoin(kj::mv(too_late)));
}

kj::Promise<void> Scanner::attempt(Id id) {
  PendingScan& scan = *scans_.at(id);
  NodeLink* link = pool_.choose(scan.tried);
  if (link == nullptr) return loop_.after(kRetryPause).then([this, id] { return attempt(id); });
  scan.tried = link;
  auto request = link->reader().scanRequest();
  request.setPrefix(to_data(scan.options.prefix));
  request.setLimit(scan.options.limit);
  request.setCursor(to_data(scan.options.cursor));
  request.setValues(scan.options.values);
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(scan.deadline - loop_.now());
  request.setTimeoutMs(static_cast<std::uint32_t>(std::max<std::int64_t>(left.count(), 1)));
  return request.send().then(
      [this, id](capnp::Response<wire::Reader::ScanResults>&& response) -> kj::Promise<void> {
        absl::Status status = to_status(response.getStatus());
        if (absl::IsUnavailable(status)) return try_again(id, std::move(status));
        if (status.ok()) {
          end(id, to_page(response));
        } else {
          end(id, std::move(status));
        }
        return kj::READY_NOW;
      },
      [this, id](kj::Exception&& exception) -> kj::Promise<void> {
        absl::Status status = rpc::to_status(exception);
        if (absl::IsUnavailable(status)) return try_again(id, std::move(status));
        end(id, std::move(status));
        return kj::READY_NOW;
      });
}

kj::Promise<void> Scanner::try_again(Id id, absl::Status why) {
  scans_.at(id)->last_error = std::move(why);
  return loop_.after(kRetryPause).then([this, id] { return attempt(id); });
}

void Scanner::end(Id id, absl::StatusOr<ScanPage> page) {
  const auto found = scans_.find(id);
  const std::unique_ptr<PendingScan> scan = std::move(found->second);
  scans_.erase(found);
  scan->done(std::move(page));
}

void Scanner::close() {
  while (!scans_.empty()) {
    end(scans_.begin()->first, absl::CancelledError("scan: the client was destroyed first"));
  }
}

void Scanner::taskFailed(kj::Exception&& exception) {
  check_failed(__FILE__, __LINE__, "no scan's task fails", exception.getDescription().cStr());
}

}  // namespace grapevine::client
