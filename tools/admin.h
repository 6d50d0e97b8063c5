// What operators may ask of nodes: their state, their members, their replicas, and repair.
//
// An Admin is the event loop under the connections; an AdminNode is one connection, logged in.
// Calls block, and fail when the node has not answered within the timeout. Errors name the node.
//
// Resources; all on one thread, which has no other event loop. Nodes and views go before their
// Admin. A view costs its node a database snapshot: drop it soon.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossip/member.h"
#include "gossip/messages.h"
#include "storage/base/ids.h"
#include "storage/base/status.h"
#include "tools/replica_view.h"

namespace grapevine::tools {

using std::chrono::milliseconds;

// Value.
struct NodeInfo {
  NodeId id;
  std::string name;
  std::string cluster;
  std::string version;
  std::uint32_t partitions = 0;
  std::uint32_t replication_factor = 0;
};

// How one node sees another. Value.
struct SeenPeer {
  NodeId node;
  bool reachable = false;
  milliseconds since{0};  // for how long it has been so
  std::optional<milliseconds> proven_equal_ago =
      std::nullopt;  // nullopt: never since the node started
};

// Value.
struct NodeStatus {
  NodeInfo info;
  bool ready = false;
  std::string not_ready_because;
  milliseconds uptime{0};
  std::uint64_t keys = 0;  // stored entries
  std::uint64_t disk_bytes = 0;
  std::uint32_t partitions_owned = 0;
  std::vector<SeenPeer> peers;
};

// Value.
struct MemberList {
  std::vector<gossip::MemberRecord> members;  // with the node itself
  std::vector<SeenPeer> peers;
};

// A partition that a node owns. Value.
struct OwnedPartition {
  gossip::PartitionState state;
  std::vector<NodeId> owners;  // all of them
};

// Some writes of one partition. Value.
struct PartitionDots {
  PartitionId partition;
  std::vector<model::DotRange> dots;
};

// When they came to a node. Value.
struct DotAges {
  std::uint64_t in_flight = 0;         // so young that their direct replication is under way
  std::optional<milliseconds> oldest;  // nullopt: longer ago than its log reaches
};

// What one node's repair did. Value.
struct NodeRepair {
  bool finished = false;  // every reachable peer was proven equal
  std::uint32_t peers = 0;
  std::uint32_t unreachable = 0;
  std::uint32_t proven_equal = 0;
  std::uint64_t keys_pulled = 0;
  std::uint64_t bytes_pulled = 0;
};

// What nodes are to back up into. Value.
struct BackupRequest {
  std::string directory;   // on the nodes' machines; each uses a folder of its own in it
  std::uint32_t keep = 0;  // how many are left afterwards; 0: all
  std::uint64_t bytes_per_second = 0;  // 0: no limit
};

// Value.
struct Backup {
  std::uint32_t number = 0;
  std::int64_t unix_seconds = 0;
  std::uint64_t bytes = 0;  // with the files that it shares with others
  std::uint32_t files = 0;
  std::uint64_t epoch = 0;
};

// What one node's backup did. Value.
struct NodeBackup {
  std::string directory;
  Backup made;
  std::uint32_t files_new = 0;
  std::uint64_t bytes_new = 0;
  std::uint32_t deleted = 0;
  milliseconds took{0};
};

// The backups that one node has of itself. Value.
struct NodeBackups {
  std::string directory;
  std::vector<Backup> backups;  // oldest first
};

// Value.
struct ClusterEvent {
  std::string name;
  std::string payload;
  NodeId origin;
  std::uint64_t sequence = 0;
};

// Value.
struct EventBatch {
  std::vector<ClusterEvent> events;
  std::uint64_t last = 0;  // to ask on with
};

class Admin;

class AdminNode {
 public:
  ~AdminNode();
  AdminNode(const AdminNode&) = delete;
  AdminNode& operator=(const AdminNode&) = delete;

  const NodeInfo& info() const;

  absl::StatusOr<NodeStatus> status();
  absl::StatusOr<MemberList> members();
  absl::StatusOr<std::vector<OwnedPartition>> states();
  // One result for each, in order.
  absl::StatusOr<std::vector<DotAges>> ages(const std::vector<PartitionDots>& of);
  // Has the node give up its membership and end, after at most `wait`. The error says why it stays.
  absl::Status leave(milliseconds wait);
  // Declares another node gone for good; with replace() the asked one takes its place.
  absl::Status remove(NodeId node);
  absl::Status replace(NodeId node);
  // An event for every node; what has reached this one after that number, waited for at most `wait`.
  absl::Status tell(const std::string& name, const std::string& payload);
  absl::StatusOr<EventBatch> events(std::uint64_t after, milliseconds wait);
  absl::StatusOr<NodeBackups> backups(const std::string& directory);
  // Frozen as nearly at one moment as the node can. In order.
  absl::StatusOr<std::vector<std::unique_ptr<ReplicaView>>> open_views(
      const std::vector<PartitionId>& partitions);

 private:
  friend class Admin;
  struct Life;
  explicit AdminNode(std::unique_ptr<Life> life);
  std::unique_ptr<Life> life_;
};

class Admin {
 public:
  // `timeout` holds for each call, and for dialling and logging in together (there
  // kConnectTimeoutMax at most).
  explicit Admin(milliseconds timeout);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  static constexpr milliseconds kConnectTimeoutMax{2000};
  static constexpr milliseconds kProgressInterval{200};

  // One result an endpoint, in order; all are dialled at once. InvalidArgument: malformed.
  std::vector<absl::StatusOr<std::unique_ptr<AdminNode>>> connect(
      const std::vector<std::string>& endpoints);
  // Has all nodes repair at once, each within `wait`. One result a node, in order. REQUIRES: no
  // null among them.
  std::vector<absl::StatusOr<NodeRepair>> repair(const std::vector<AdminNode*>& nodes,
                                                 milliseconds wait);
  // Has all nodes back themselves up at once; they are asked how far they are meanwhile, and each may
  // take as long as it answers that. `on_progress` gets the bytes copied by all together. One result a
  // node, in order. REQUIRES: no null among them.
  std::vector<absl::StatusOr<NodeBackup>> back_up(
      const std::vector<AdminNode*>& nodes, const BackupRequest& request,
      const std::function<void(std::uint64_t bytes)>& on_progress);
  // Lets so much time pass.
  void pause(milliseconds time);

 private:
  friend class AdminNode;
  struct Life;
  std::unique_ptr<Life> life_;
};

}  // namespace grapevine::tools
