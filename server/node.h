// One node: everything that `grapevined` is made of, put together.
//
// Starting: the ports are bound, and HTTP is served; the store is opened on the disk thread (which
// recovers clocks and trees) while clients and peers are told that the node is starting; then they are
// served. A node that goes on as the actor it was coordinates no write until it has
// compared clocks with one peer, or found none within kCompareTime and taken a new actor (R7); so does
// one whose directory comes from elsewhere, though it has a new actor, and unless it knows no member;
// one that was told of seeds and knows no member yet serves nothing for as long. Stopping: no more
// requests, the others are told, what is under way gets kStopTime, the store is closed cleanly. A
// node that was removed from its cluster serves nothing any more, and says so.
//
// Resource. Owner: main, or a test; the thread of its loop; gone before it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "rpc/loop.h"
#include "rpc/rpc_server.h"
#include "server/anti_entropy.h"
#include "server/backups.h"
#include "server/cluster.h"
#include "server/complaints.h"
#include "server/config.h"
#include "server/coordination.h"
#include "server/disk.h"
#include "server/events.h"
#include "server/handover.h"
#include "server/http_service.h"
#include "server/machine.h"
#include "server/opening.h"
#include "server/peer_links.h"
#include "server/scanner.h"
#include "server/store_replica.h"
#include "server/view_table.h"
#include "server/wire.h"
#include "storage/base/random.h"
#include "storage/store.h"

namespace grapevine::server {

class Node {
 public:
  static constexpr Duration kCompareTime = std::chrono::seconds(3);
  static constexpr Duration kCompareRetry = std::chrono::milliseconds(200);
  // Uptimes nearer to each other than this do not say who is the younger.
  static constexpr Duration kSameAge = std::chrono::seconds(2);
  static constexpr Duration kStopTime = std::chrono::seconds(5);
  static constexpr Duration kUpkeepInterval = std::chrono::milliseconds(50);
  static constexpr Duration kScrubInterval = std::chrono::seconds(1);
  static constexpr Duration kUpkeepRetry = std::chrono::seconds(1);  // after a failure
  static constexpr std::size_t kUpkeepKeys = 1000;
  static constexpr Duration kOpeningReport = std::chrono::seconds(3);

  // Binds the ports and begins to open the store; the error says what is in the way.
  static absl::StatusOr<std::unique_ptr<Node>> start(rpc::Loop& loop, Config config,
                                                     Machine machine);
  // Done when the store is open and everything is served, or with the error that is in the way;
  // Cancelled after stop(). To be called once.
  kj::Promise<absl::Status> opened() { return kj::mv(opened_); }
  // Done when the node is to be stopped though nobody asked for it: OK when it has left its cluster,
  // else the reason. To be called once.
  kj::Promise<absl::Status> ended() { return kj::mv(ended_); }
  ~Node() noexcept;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // A clean stop; done when the directory is closed. Nothing may be called afterwards. While the
  // store opens, it gives that up.
  kj::Promise<void> stop();

  rpc::Loop& loop() { return loop_; }
  // Whether the store is still being opened. Until then there is none of the parts that follow.
  bool opening() const { return store_ == nullptr; }
  Coordination& coordination() { return *coordination_; }
  Scanner& scanner() { return *scanner_; }
  Cluster& cluster() { return *cluster_; }
  AntiEntropy& anti_entropy() { return *anti_entropy_; }
  ViewTable& views() { return *views_; }
  StoreReplica& replica() { return *replica_; }
  storage::Store& store() { return *store_; }
  Backups& backups() { return *backups_; }
  Handover& handover() { return *handover_; }
  const PeerLinks& links() const { return *links_; }
  Events& events() { return events_; }
  const Config& config() const { return config_; }
  // What is listened on, from the start.
  const rpc::Address& client_address() const { return client_address_; }
  const rpc::Address& peer_address() const { return peer_address_; }
  const rpc::Address& http_address() const { return http_address_; }

  // Empty when the node takes reads and writes.
  std::string not_ready_because() const;
  // Unavailable while the store is being opened: for those who knock.
  absl::Status may_enter() const;
  // Unavailable while it does not know the cluster that it was told to join. (A node that only
  // compares clocks serves reads.)
  absl::Status may_serve() const;
  void fill_info(wire::NodeInfo::Builder out) const;
  void fill_status(wire::NodeStatus::Builder out) const;
  void fill_peers(capnp::List<wire::Reachability>::Builder out) const;
  std::size_t peer_count() const;
  void fill_hello(wire::Hello::Builder out) const;
  // Somebody has introduced itself, here or over there. The error says why it does not belong to
  // this cluster. Should it be another process under this node's id, the younger of the two ends.
  absl::Status greet(wire::Hello::Reader hello);
  // Makes all others hold what this node holds, of partitions that it owned once as well, gives up membership and ends. The error says why it
  // stays.
  kj::Promise<absl::Status> leave(Duration timeout);
  // Whether a peer that has once been greeted may still call.
  absl::Status may_call(NodeId peer) const;
  void say_refused(const absl::Status& status);  // once in a while

 private:
  Node(rpc::Loop& loop, Config config, Machine machine);
  absl::Status bind_ports();
  absl::Status begin_opening();
  void on_opened(absl::StatusOr<std::unique_ptr<storage::Store>> store);
  void listen();
  absl::Status bind_peer_ports();
  void assemble(gossip::MemberRecord self);
  void go();
  // As it is in this life; FailedPrecondition when the node was removed from its cluster.
  absl::StatusOr<gossip::MemberRecord> own_record() const;
  absl::Status check_hello(wire::Hello::Reader hello) const;
  void on_removed();
  void end(absl::Status status);

  bool told_of_peers() const;
  void begin_comparing();
  void compare_with(NodeId peer);
  void ready();
  absl::Status renew_actor();
  void tell_load();
  void upkeep();
  void scrub();
  kj::Promise<void> close_when_idle();

  rpc::Loop& loop_;
  Config config_;
  const Machine machine_;
  Random random_;
  const std::uint64_t process_;  // drawn
  Instant started_;
  std::string not_ready_because_ = "starting";  // once the store is open
  bool stopping_ = false;
  bool joining_ = false;
  bool removed_ = false;
  bool leaving_ = false;
  bool twin_goes_on_ = false;  // another process under this id
  bool upkeep_fails_ = false;
  Instant next_scrub_;
  Complaints complaints_;
  Events events_;

  kj::Promise<absl::Status> opened_ = nullptr;
  kj::Own<kj::PromiseFulfiller<absl::Status>> tell_opened_;
  kj::Promise<absl::Status> ended_ = nullptr;
  kj::Own<kj::PromiseFulfiller<absl::Status>> tell_ended_;

  std::unique_ptr<Opening> opening_;  // until the store is open
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<storage::Store> store_;

  std::unique_ptr<rpc::Listener> client_listener_;  // until served
  std::unique_ptr<rpc::Listener> peer_listener_;
  std::unique_ptr<rpc::Listener> http_listener_;
  std::unique_ptr<rpc::Datagrams> datagrams_;  // until the cluster has it
  rpc::Address client_address_;
  rpc::Address peer_address_;
  rpc::Address http_address_;

  std::unique_ptr<PeerLinks> links_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<StoreReplica> replica_;
  std::unique_ptr<ViewTable> views_;
  std::unique_ptr<AntiEntropy> anti_entropy_;
  std::unique_ptr<Handover> handover_;
  std::unique_ptr<Coordination> coordination_;
  std::unique_ptr<Scanner> scanner_;
  std::unique_ptr<Backups> backups_;
  std::unique_ptr<Alarm> opening_alarm_;
  std::unique_ptr<Alarm> compare_alarm_;
  std::unique_ptr<Alarm> upkeep_alarm_;
  std::unique_ptr<Alarm> load_alarm_;
  std::unique_ptr<Tasks> tasks_;
  std::unique_ptr<rpc::RpcServer> client_server_;
  std::unique_ptr<rpc::RpcServer> peer_server_;
  std::unique_ptr<HttpService>
      http_;  // the servers go first: what connections hold refers to the rest
};

}  // namespace grapevine::server
