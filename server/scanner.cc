#include "server/scanner.h"

#include <algorithm>
#include <utility>

#include "rpc/errors.h"
#include "server/off_loop.h"
#include "server/wire.h"
#include "storage/model/bytes.h"
#include "storage/model/token.h"

namespace grapevine::server {
namespace {

constexpr std::size_t kPageBytesMax = std::size_t{8} << 20;
// Keys that are looked at for one answer, whatever the prefix leaves of them.
constexpr std::size_t kKeysLookedAtMax = 20'000;

// A cursor is a format byte, then either 'k' and the last key looked at, or 'p' and the next
// partition (8 bytes).
constexpr char kCursorFormat = 1;

std::string after_key_cursor(const std::string& key) {
  return std::string{kCursorFormat, 'k'} + key;
}

std::string partition_cursor(std::uint32_t partition) {
  std::string cursor{kCursorFormat, 'p'};
  model::put_ordered64(cursor, partition);
  return cursor;
}

// With a moment on any thread.
absl::StatusOr<PartitionPage> read_page(const storage::Store& store, const PartitionScan& scan,
                                        storage::Reach reach, const storage::Moment* at) {
  const std::string& prefix = scan.prefix;
  model::TokenRange range = store.partitioning().range(scan.partition);
  if (model::prefix_fixes_token(prefix)) {
    const model::Token token = model::token_of(prefix);
    if (!range.contains(token)) return PartitionPage{};
    range = {token, token};
  }
  PartitionPage page;
  GRAPEVINE_RETURN_IF_ERROR(
      store.live(scan.partition)
          .scan_stored(
              range, scan.after_key, scan.values ? model::Values::kWith : model::Values::kWithout,
              reach,
              [&](std::string_view key, model::Entry entry) {
                if (page.keys.size() == scan.limit || page.bytes > kPageBytesMax ||
                    page.looked_at == kKeysLookedAtMax) {
                  page.more = true;
                  return false;
                }
                ++page.looked_at;
                page.last_seen = key;
                model::drop_expired(entry, scan.now);
                if (entry.versions.empty() || !key.starts_with(prefix)) return true;
                ScannedKey found{std::string(key), {}};
                for (model::Version& version : entry.versions) {
                  page.bytes += version.value.size();
                  found.versions.push_back(std::move(version));
                }
                page.bytes += key.size();
                page.keys.push_back(std::move(found));
                return true;
              },
              at));
  return page;
}

}  // namespace

kj::Promise<PartitionPage> scan_partition(const storage::Store& store, PartitionScan scan) {
  scan.now = store.wall_now();
  auto page = read_page(store, scan, storage::Reach::kMemory, nullptr);
  if (page.ok()) return *std::move(page);
  if (!storage::is_cold(page.status())) return rpc::to_exception(page.status());
  return off_loop(store.executor(),
                  [&store, moment = store.live(scan.partition).moment(), scan] {
                    return read_page(store, scan, storage::Reach::kDisk, &moment);
                  })
      .then([](absl::StatusOr<PartitionPage> found) {
        rpc::throw_if_error(found.status());
        return *std::move(found);
      });
}

struct Scanner::Progress {
  ScanRequest request;
  std::uint32_t partition = 0;
  std::optional<std::string> after_key;
  ScanPage page;
  std::size_t bytes = 0;
  std::size_t looked_at = 0;
};

Scanner::Scanner(const storage::Store& store, const Ring& ring, PeerLinks& links,
                 std::function<std::string(NodeId)> peer_address)
    : store_(store), ring_(ring), links_(links), peer_address_(std::move(peer_address)) {}

kj::Promise<ScanPage> Scanner::page(ScanRequest request) {
  auto progress = kj::heap<Progress>();
  Progress& at = *progress;
  if (model::prefix_fixes_token(request.prefix)) {
    at.partition = store_.partitioning().of(request.prefix).value;
  }
  const std::string& cursor = request.cursor;
  if (!cursor.empty()) {
    const bool known = cursor.size() > 2 && cursor[0] == kCursorFormat;
    const std::string rest = known ? cursor.substr(2) : std::string();
    if (known && cursor[1] == 'k') {
      at.partition = store_.partitioning().of(rest).value;
      at.after_key = rest;
    } else if (known && cursor[1] == 'p' && rest.size() == 8 &&
               model::ordered64(rest) < store_.partitioning().count()) {
      at.partition = static_cast<std::uint32_t>(model::ordered64(rest));
    } else {
      return rpc::to_exception(absl::InvalidArgumentError(
          "cursor: not one that a scan returned; begin again without a cursor"));
    }
  }
  at.request = std::move(request);
  auto through = next_partition(at);
  return through.then(
      [progress = kj::mv(progress)]() mutable { return std::move(progress->page); });
}

// Adds partition after partition until the page is full or the ring is through.
kj::Promise<void> Scanner::next_partition(Progress& progress) {
  return one_partition(progress).then([this, &progress](PartitionPage found) -> kj::Promise<void> {
    for (ScannedKey& key : found.keys) progress.page.keys.push_back(std::move(key));
    progress.bytes += found.bytes;
    progress.looked_at += found.looked_at;
    if (found.more) {
      progress.page.cursor = after_key_cursor(found.last_seen);
      return kj::READY_NOW;
    }
    ++progress.partition;
    progress.after_key.reset();
    if (progress.partition == store_.partitioning().count() ||
        model::prefix_fixes_token(progress.request.prefix)) {
      return kj::READY_NOW;
    }
    if (progress.page.keys.size() >= progress.request.limit || progress.bytes > kPageBytesMax ||
        progress.looked_at >= kKeysLookedAtMax) {
      progress.page.cursor = partition_cursor(progress.partition);
      return kj::READY_NOW;
    }
    return next_partition(progress);
  });
}

kj::Promise<PartitionPage> Scanner::one_partition(const Progress& progress) {
  const std::vector<NodeId>& owners = ring_.owners(PartitionId{progress.partition});
  if (std::find(owners.begin(), owners.end(), ring_.self()) == owners.end() ||
      store_.suspect(PartitionId{progress.partition})) {
    return from_peer(progress);
  }
  PartitionScan scan;
  scan.partition = PartitionId{progress.partition};
  scan.prefix = progress.request.prefix;
  scan.limit = progress.request.limit - progress.page.keys.size();
  scan.after_key = progress.after_key;
  scan.values = progress.request.values;
  return scan_partition(store_, std::move(scan));
}

kj::Promise<PartitionPage> Scanner::from_peer(const Progress& progress) {
  const std::vector<NodeId>& owners = ring_.owners(PartitionId{progress.partition});
  const auto owner = std::find_if(owners.begin(), owners.end(), [&](NodeId node) {
    return node != ring_.self() && ring_.reachable(node);
  });
  if (owner == owners.end()) {
    return rpc::to_exception(
        absl::UnavailableError("no owner of a part of the keys can be reached; try again later"));
  }
  return links_.reach(peer_address_(*owner), *owner)
      .then([&progress](wire::Peer::Client peer) {
        auto request = peer.forwardScanRequest();
        request.setPartition(progress.partition);
        request.setPrefix(bytes_of(progress.request.prefix));
        request.setLimit(
            static_cast<std::uint32_t>(progress.request.limit - progress.page.keys.size()));
        request.setResumes(progress.after_key.has_value());
        if (progress.after_key.has_value()) request.setAfterKey(bytes_of(*progress.after_key));
        request.setValues(progress.request.values);
        return request.send();
      })
      .then([](auto&& reply) {
        if (const absl::Status status = read(reply.getStatus()); !status.ok()) {
          kj::throwFatalException(rpc::to_exception(status));
        }
        PartitionPage page;
        page.more = reply.getMore();
        page.last_seen = std::string(view(reply.getLastSeen()));
        for (const auto item : reply.getItems()) {
          ScannedKey key{std::string(view(item.getKey())), {}};
          page.bytes += key.key.size();
          for (const auto sibling : item.getSiblings()) {
            key.versions.push_back(read(sibling));
            page.bytes += key.versions.back().value.size();
          }
          ++page.looked_at;
          page.keys.push_back(std::move(key));
        }
        return page;
      });
}

}  // namespace grapevine::server
