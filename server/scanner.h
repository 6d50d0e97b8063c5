// Pages of a scan over everything, partition by partition.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rpc/loop.h"
#include "server/peer_links.h"
#include "server/ring.h"
#include "server/scanned_key.h"
#include "storage/base/status.h"
#include "storage/model/entry.h"
#include "storage/store.h"

namespace grapevine::server {

struct ScanRequest {
  std::string prefix;
  std::size_t limit = 1;
  std::string cursor;  // of the page before; empty: from the beginning
  bool values = false;
};

struct ScanPage {
  std::vector<ScannedKey> keys;
  std::string cursor;  // empty: there is no more
};

// One partition of this node's own store, after `after_key`: what a page is put together from. At
// most `limit` keys that begin with `prefix`, at most about 8 MiB of values. `more`: there may be
// further ones after the last.
struct PartitionPage {
  std::vector<ScannedKey> keys;
  bool more = false;
  std::string last_seen;  // where to go on when `more`
  std::size_t bytes = 0;  // of keys and values
  std::size_t looked_at = 0;
};
struct PartitionScan {
  PartitionId partition;
  std::string prefix;
  std::size_t limit = 1;
  std::optional<std::string> after_key;
  bool values = false;
  WallTime now = {};  // what has expired by then is left out; set by scan_partition
};
// In memory at once, else away from the loop: `store` must live until its executor is idle.
kj::Promise<PartitionPage> scan_partition(const storage::Store& store, PartitionScan scan);

// Resource, loop thread. Scans read one owner of each partition: this node where it is one, else
// the first that can be reached. The cursor names the last key looked at; so keys that stay put are
// neither skipped nor repeated while others change. Bounds: beside its limit of keys a page ends
// after about 8 MiB of keys and values, and after 20,000 keys looked at.
class Scanner {
 public:
  Scanner(const storage::Store& store, const Ring& ring, PeerLinks& links,
          std::function<std::string(NodeId)> peer_address);

  kj::Promise<ScanPage> page(ScanRequest request);

 private:
  struct Progress;
  kj::Promise<void> next_partition(Progress& progress);
  kj::Promise<PartitionPage> one_partition(const Progress& progress);
  kj::Promise<PartitionPage> from_peer(const Progress& progress);

  const storage::Store& store_;
  const Ring& ring_;
  PeerLinks& links_;
  const std::function<std::string(NodeId)> peer_address_;
};

}  // namespace grapevine::server
