#include "server/node.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "gossip/partition_states.h"
#include "rpc/errors.h"
#include "server/client_service.h"
#include "server/peer_service.h"
#include "storage/base/version.h"

namespace grapevine::server {
namespace {

// What `advertise` (HOST or HOST:PORT) makes of the address that is listened on.
std::string advertised(const std::string& advertise, const rpc::Address& listening) {
  if (advertise.empty()) return rpc::to_string(listening);
  if (rpc::parse_address(advertise).ok()) return advertise;
  return rpc::to_string({advertise, listening.port});
}

bool unspecified(const rpc::Address& address) {
  return address.host == "0.0.0.0" || address.host == "::";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::start(rpc::Loop& loop, Config config, Machine machine) {
  std::unique_ptr<Node> node(new Node(loop, std::move(config), std::move(machine)));
  // The ports first: a node that cannot be reached should not touch its directory.
  GRAPEVINE_RETURN_IF_ERROR(node->bind_ports());
  GRAPEVINE_RETURN_IF_ERROR(node->begin_opening());
  node->listen();
  return node;
}

Node::Node(rpc::Loop& loop, Config config, Machine machine)
    : loop_(loop),
      config_(std::move(config)),
      machine_(std::move(machine)),
      random_(machine_.seed),
      process_(random_.next()),
      started_(loop.now()) {
  auto opened = kj::newPromiseAndFulfiller<absl::Status>();
  opened_ = kj::mv(opened.promise);
  tell_opened_ = kj::mv(opened.fulfiller);
  auto ended = kj::newPromiseAndFulfiller<absl::Status>();
  ended_ = kj::mv(ended.promise);
  tell_ended_ = kj::mv(ended.fulfiller);
}

// What the threads hold is the store's: they go first.
Node::~Node() noexcept {
  if (opening_ != nullptr) opening_->give_up();
  disk_.reset();
}

absl::Status Node::begin_opening() {
  storage::StoreOptions options = machine_.store;
  options.directory = config_.data_dir;
  GRAPEVINE_ASSIGN_OR_RETURN(options.life, machine_.begin_life(config_.data_dir));
  options.cluster_name = config_.cluster_name;
  options.partitions = config_.partitions;
  options.durability = config_.durability;
  options.block_cache_bytes = config_.cache_bytes;
  options.dot_log_bytes = config_.dot_log_bytes;
  options.salvage = config_.salvage;
  disk_ = machine_.make_disk(loop_);
  opening_ = std::make_unique<Opening>(
      std::move(options), *disk_, loop_.time(), random_.next(), machine_.on_fatal,
      [this](absl::StatusOr<std::unique_ptr<storage::Store>> store) {
        on_opened(std::move(store));
      });
  opening_alarm_ = std::make_unique<Alarm>(loop_, [this] {
    if (!opening()) return;
    spdlog::info("{}", not_ready_because());
    opening_alarm_->set(loop_.now() + kOpeningReport);
  });
  opening_alarm_->set(loop_.now() + kOpeningReport);
  return absl::OkStatus();
}

void Node::on_opened(absl::StatusOr<std::unique_ptr<storage::Store>> store) {
  opening_.reset();
  if (store.ok() && stopping_) {  // it was too late for giving up
    const absl::Status closed = (*store)->close();
    if (!closed.ok()) spdlog::error("not closed cleanly: {}", text_of(closed));
    store = absl::CancelledError("the node stops");
  }
  if (!store.ok()) {
    tell_opened_->fulfill(absl::Status(store.status()));
    return;
  }
  store_ = *std::move(store);
  auto self = own_record();
  if (!self.ok()) {
    if (const absl::Status closed = store_->close(); !closed.ok()) {
      spdlog::error("not closed cleanly: {}", text_of(closed));
    }
    store_.reset();
    tell_opened_->fulfill(absl::Status(self.status()));
    return;
  }
  spdlog::info("data directory {}: {} keys{}, node {}, epoch {}", config_.data_dir,
               store_->statistics().keys, store_->scanned() ? ", all of them read" : "",
               to_string(store_->node()), store_->actor().epoch());
  for (const std::string& finding : store_->findings()) spdlog::error("damage: {}", finding);
  if (store_->any_suspect()) {
    spdlog::error(
        "lost entries are pulled from the other nodes; until then this node does not answer for "
        "their partitions");
  }
  assemble(*std::move(self));
  go();
  tell_opened_->fulfill(absl::OkStatus());
}

absl::Status Node::bind_ports() {
  const auto bind = [&](const rpc::Address& wanted, const char* flag,
                        std::unique_ptr<rpc::Listener>& listener, rpc::Address& address) {
    rpc::ListenOptions options;
    options.flag = flag;
    auto bound = loop_.network().listen(wanted, options);
    if (!bound.ok()) return bound.status();
    listener = *std::move(bound);
    address = listener->address();
    return absl::OkStatus();
  };
  GRAPEVINE_RETURN_IF_ERROR(
      bind(config_.client_listen, "--client-listen", client_listener_, client_address_));
  GRAPEVINE_RETURN_IF_ERROR(bind_peer_ports());
  GRAPEVINE_RETURN_IF_ERROR(
      bind(config_.http_listen, "--http-listen", http_listener_, http_address_));
  if (config_.advertise.empty() && unspecified(peer_address_)) {
    return absl::FailedPreconditionError(fmt::format(
        "--peer-listen {} is no address that other nodes could call; give --advertise HOST",
        rpc::to_string(peer_address_)));
  }
  return absl::OkStatus();
}

// TCP and UDP under one number. Where any will do, one that is free as both.
absl::Status Node::bind_peer_ports() {
  constexpr const char* kFlag = "--peer-listen";
  constexpr int kTries = 20;
  const bool any = config_.peer_listen.port == 0;
  for (int i = 1;; ++i) {
    rpc::ListenOptions options;
    options.flag = kFlag;
    GRAPEVINE_ASSIGN_OR_RETURN(peer_listener_,
                               loop_.network().listen(config_.peer_listen, options));
    peer_address_ = peer_listener_->address();
    auto bound = loop_.network().bind_datagrams(peer_address_, kFlag);
    if (!bound.ok() && any && i < kTries) continue;
    GRAPEVINE_ASSIGN_OR_RETURN(datagrams_, std::move(bound));
    return absl::OkStatus();
  }
}

absl::StatusOr<gossip::MemberRecord> Node::own_record() const {
  gossip::MemberRecord record;
  // Above that of the last life, so that what was said of that one is refuted before it is heard.
  record.incarnation = 1;
  for (const gossip::MemberRecord& known : remembered_members(*store_)) {
    if (known.id != store_->node()) continue;
    if (known.state == gossip::MemberState::kRemoved) {
      return absl::FailedPreconditionError(fmt::format(
          "data directory {}: its node, {}, was removed from cluster {} for good; to bring the "
          "machine back, start with an empty --data-dir",
          config_.data_dir, to_string(known.id), config_.cluster_name));
    }
    record.incarnation = known.incarnation + 1;
    record.place = known.place;
  }
  record.id = store_->node();
  record.epoch = store_->actor().epoch();
  record.name = config_.name;
  record.peer_address = advertised(config_.advertise, peer_address_);
  const std::string host = rpc::parse_address(record.peer_address).value_or(peer_address_).host;
  record.client_address = advertised(unspecified(client_address_) ? host : "", client_address_);
  record.http_address = advertised(unspecified(http_address_) ? host : "", http_address_);
  record.zone = config_.zone;
  record.protocols = {kProtocols.min, config_.protocol_max};
  record.version = kVersion;
  return record;
}

void Node::assemble(gossip::MemberRecord self) {
  links_ = std::make_unique<PeerLinks>(
      loop_, config_.peer_listen,
      PeerLinks::Handlers{[this](wire::Hello::Builder hello) { fill_hello(hello); },
                          [this](wire::Hello::Reader hello) { return greet(hello); },
                          [this](NodeId node) {
                            anti_entropy_->peer_lost(node);
                            cluster_->on_connection_lost(node);
                          }});
  cluster_ = std::make_unique<Cluster>(
      loop_, *store_, *links_, random_,
      Cluster::Parts{
          std::move(self), config_.join, swim_options(config_), config_.replication_factor,
          std::move(datagrams_),
          *rpc::Seal::create(config_.cluster_name, sealing_keys(config_), machine_.packet_salt)},
      Cluster::Handlers{
          [this](NodeId node) {
            anti_entropy_->peer_up(node);
            if (!not_ready_because_.empty()) compare_with(node);
          },
          [this](NodeId node) { anti_entropy_->peer_down(node); },
          [this] { anti_entropy_->members_changed(); },
          [this](NodeId node, Instant begun) { anti_entropy_->peer_told(node, begun); },
          [this] { on_removed(); },
          [this](std::uint64_t epoch) {
            store_->outlive(epoch);
            static_cast<void>(renew_actor());
          },
          [this](const std::string& address) {
            tasks_->spawn(links_->reach(address, std::nullopt)
                              .then([](wire::Peer::Client) {}, [](kj::Exception&&) {}));
          },
          [this](gossip::Rumour rumour) {
            spdlog::info("event {} of node {}, {} bytes", rumour.name, to_string(rumour.id.origin),
                         rumour.payload.size());
            events_.add(std::move(rumour));
          },
          [this](NodeId node) { return gossip::summarize(*replica_, cluster_->shared_with(node)); },
          [this](NodeId node, const gossip::Summary& theirs) {
            anti_entropy_->on_summary(node, theirs);
          }});
  replica_ = std::make_unique<StoreReplica>(*store_, [this] { return renew_actor(); });
  views_ = std::make_unique<ViewTable>(loop_, *disk_, *replica_);
  gossip::SchedulerOptions scheduling;
  scheduling.interval = config_.gossip_interval;
  anti_entropy_ = std::make_unique<AntiEntropy>(loop_, *replica_, *cluster_, *links_, random_,
                                                scheduling, config_.sync_rate_bytes);
  handover_ = std::make_unique<Handover>(loop_, *replica_, *cluster_, *links_, scheduling.interval);
  const auto address = [this](NodeId node) { return cluster_->peer_address(node); };
  coordination_ = std::make_unique<Coordination>(
      loop_, *store_, *cluster_, *links_,
      Coordination::Handlers{address, [this](NodeId node) { anti_entropy_->want(node); },
                             [this] { static_cast<void>(renew_actor()); }});
  scanner_ = std::make_unique<Scanner>(*store_, *cluster_, *links_, address);
  backups_ = std::make_unique<Backups>(loop_, *store_, machine_.make_disk(loop_));
  tasks_ = std::make_unique<Tasks>();
  upkeep_alarm_ = std::make_unique<Alarm>(loop_, [this] { upkeep(); });
  load_alarm_ = std::make_unique<Alarm>(loop_, [this] { tell_load(); });
}

void Node::listen() {
  const auto report = [](const rpc::PeerInfo& peer, const absl::Status& status) {
    spdlog::warn("connection from {}: {}", rpc::to_string(peer.address), text_of(status));
  };
  rpc::ConnectionOptions packing_back;
  packing_back.packs_back = true;
  peer_server_ = std::make_unique<rpc::RpcServer>(
      loop_, std::move(peer_listener_),
      [this](const rpc::PeerInfo&) -> capnp::Capability::Client { return make_greeting(*this); },
      packing_back, report);
  client_server_ = std::make_unique<rpc::RpcServer>(
      loop_, std::move(client_listener_),
      [this](const rpc::PeerInfo& peer) -> capnp::Capability::Client {
        return make_login(*this, peer);
      },
      rpc::ConnectionOptions{}, report);
  http_ = std::make_unique<HttpService>(*this, std::move(http_listener_));
}

void Node::go() {
  spdlog::info("node {} ({}) of cluster {} listens: clients {}, peers {}, http {}", config_.name,
               to_string(store_->node()), config_.cluster_name, rpc::to_string(client_address_),
               rpc::to_string(peer_address_), rpc::to_string(http_address_));
  begin_comparing();
  cluster_->start();
  anti_entropy_->start(told_of_peers());
  handover_->start();
  upkeep_alarm_->set(loop_.now());
  load_alarm_->set(loop_.now());
}

// The others forward what they do not own rather to who is less busy. In steps: what hardly changes
// is not told again and again.
void Node::tell_load() {
  const auto in_steps = [](std::uint64_t value, std::uint64_t step) { return value / step * step; };
  gossip::Load load;
  load.queue_depth =
      static_cast<std::uint32_t>(in_steps(coordination_->coordinator().under_way(), 32));
  if (machine_.measure) {
    const Machine::Load measured = machine_.measure(config_.data_dir);
    load.cpu_percent = static_cast<std::uint32_t>(in_steps(measured.cpu_percent, 15));
    load.disk_free_mib = in_steps(measured.disk_free_mib, 1024);
  }
  cluster_->set_load(load);
  load_alarm_->set(loop_.now() + std::chrono::seconds(1));
}

// R7: nobody else can hold dots of a node that never had company. An actor that has just begun is
// compared too: a directory that was restored from a backup may begin an epoch that the others have
// known already, and closed (R8). And a node that knows no member yet, but was told of seeds, would
// take itself for the whole cluster: one owner of everything, a majority by itself.
void Node::begin_comparing() {
  const bool alone = cluster_->members().size() == 1;
  joining_ = alone && told_of_peers();
  if (alone && !joining_) {
    ready();
    return;
  }
  not_ready_because_ = joining_ ? "joining the cluster" : "comparing clocks with a peer";
  coordination_->coordinator().refuse_writes(not_ready_because_);
  compare_alarm_ = std::make_unique<Alarm>(loop_, [this] {
    if (not_ready_because_.empty()) return;
    spdlog::warn("no other node answers; serving alone until one does");
    const bool just_begun = !store_->kept_actor() && !store_->from_elsewhere();
    if (just_begun || renew_actor().ok()) ready();
  });
  compare_alarm_->set(loop_.now() + kCompareTime);
}

bool Node::told_of_peers() const {
  const std::string self = cluster_->members().self().peer_address;
  return std::any_of(config_.join.begin(), config_.join.end(),
                     [&](const std::string& seed) { return seed != self; });
}

std::string Node::not_ready_because() const {
  return opening_ == nullptr ? not_ready_because_ : opening_->progress();
}

absl::Status Node::may_enter() const {
  if (!opening()) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("starting: {}; try again in a moment, or another node", not_ready_because()));
}

absl::Status Node::may_serve() const {
  if (removed_) return absl::FailedPreconditionError(not_ready_because_);
  if (!joining_) return absl::OkStatus();
  return absl::UnavailableError(
      "this node has not joined its cluster yet: nothing was read or written; try again in a "
      "moment, or another node");
}

void Node::compare_with(NodeId peer) {
  tasks_->spawn(links_->reach(cluster_->peer_address(peer), peer)
                    .then([this](wire::Peer::Client link) {
                      auto request = link.actorTopsRequest();
                      request.setActor(store_->actor().value);
                      return request.send();
                    })
                    .then(
                        [this, peer](auto&& reply) -> kj::Promise<void> {
                          if (not_ready_because_.empty()) return kj::READY_NOW;
                          const std::vector<std::uint64_t> mine = store_->tops(store_->actor());
                          const auto theirs = reply.getTops();
                          if (theirs.size() != mine.size()) return kj::READY_NOW;
                          bool forgot = false;
                          for (unsigned i = 0; !forgot && i < theirs.size(); ++i) {
                            forgot = theirs[i] > mine[i];
                          }
                          if (!forgot) {
                            ready();
                          } else if (renew_actor().ok()) {
                            // Of a copied directory the peer may know more than one life.
                            compare_with(peer);
                          }
                          return kj::READY_NOW;
                        },
                        [this, peer](kj::Exception&&) -> kj::Promise<void> {
                          // Others have reached it, or it has just started.
                          return loop_.after(kCompareRetry).then([this, peer] {
                            const bool waits = !not_ready_because_.empty() && !stopping_;
                            if (waits && cluster_->reachable(peer)) compare_with(peer);
                          });
                        }));
}

void Node::on_removed() {
  not_ready_because_ =
      "this node was removed from its cluster for good; stop it, and start it with an empty "
      "--data-dir to bring the machine back";
  removed_ = true;
  spdlog::critical("{}", not_ready_because_);
  coordination_->coordinator().refuse_writes(not_ready_because_);
}

void Node::end(absl::Status status) {
  if (tell_ended_->isWaiting()) tell_ended_->fulfill(std::move(status));
}

kj::Promise<absl::Status> Node::leave(Duration timeout) {
  if (leaving_) return absl::Status(absl::FailedPreconditionError("the node is leaving already"));
  if (!not_ready_because_.empty()) {
    return absl::Status(absl::UnavailableError(
        fmt::format("the node is not ready: {}; try again", not_ready_because_)));
  }
  if (absl::Status may = cluster_->may_leave(); !may.ok()) return may;
  spdlog::info("leaving the cluster");
  leaving_ = true;
  coordination_->coordinator().refuse_writes("leaving the cluster");
  const Instant deadline = loop_.now() + timeout;
  return handover_->when_done()
      .exclusiveJoin(loop_.after(timeout))
      .then([this, deadline] {
        return anti_entropy_->repair(std::max(deadline - loop_.now(), Duration::zero()));
      })
      .then([this](AntiEntropy::RepairReport report) -> kj::Promise<absl::Status> {
        absl::Status may = cluster_->may_leave();
        if (may.ok() && !(report.finished && handover_->done())) {
          may = absl::UnavailableError(
              "the other nodes were not proven equal to this one in time, so it stays; try again, "
              "or give it more time with --wait");
        }
        if (!may.ok()) {
          leaving_ = false;
          coordination_->coordinator().refuse_writes({});
          spdlog::warn("does not leave the cluster: {}", text_of(may));
          return may;
        }
        // Nothing is written under this epoch any more, so the others may close it; where it is
        // started again, it goes on under the next one.
        if (absl::Status ended = store_->renew_actor(); ended.ok()) {
          cluster_->change_epoch(store_->actor().epoch());
        } else {
          spdlog::warn("leaves its epoch open: {}", text_of(ended));
        }
        return cluster_->leave().then([this](bool heard) {
          absl::Status status;
          if (!heard) {
            status = absl::UnavailableError(fmt::format(
                "the node has left and ends, but no other member has answered that it heard so; "
                "where grapevine status still shows it: grapevine node remove {}",
                config_.name));
            spdlog::warn("{}", text_of(status));
          }
          spdlog::info("has left the cluster");
          not_ready_because_ = "this node has left its cluster";
          end(absl::OkStatus());
          return status;
        });
      });
}

absl::Status Node::greet(wire::Hello::Reader hello) {
  absl::Status status = check_hello(hello);
  const bool twin = hello.getMember().getId() == store_->node().value &&
                    view(hello.getCluster()) == config_.cluster_name &&
                    hello.getProcess() != process_;
  if (!twin || stopping_) return status;
  const Duration theirs = std::chrono::milliseconds(hello.getUptimeMs());
  const Duration mine = loop_.now() - started_;
  const bool same_age = std::chrono::abs(theirs - mine) < kSameAge;
  if (same_age ? process_ < hello.getProcess() : mine < theirs) {
    twin_goes_on_ = true;
    end(absl::FailedPreconditionError(fmt::format(
        "another process runs as this node, {}, at {}, and for longer: {} is a copy; start it "
        "with an empty --data-dir, or make the copy by grapevine restore --new-node",
        to_string(store_->node()), std::string(view(hello.getMember().getPeerAddress())),
        config_.data_dir)));
  }
  return status;
}

void Node::ready() {
  if (removed_) return;
  not_ready_because_.clear();
  joining_ = false;
  coordination_->coordinator().refuse_writes({});
  spdlog::info("ready");
}

absl::Status Node::renew_actor() {
  const absl::Status renewed = store_->renew_actor();
  if (!renewed.ok()) {
    spdlog::error("cannot begin a new epoch: {}", text_of(renewed));
    return renewed;
  }
  spdlog::warn("writes go on under a new epoch, {}", store_->actor().epoch());
  cluster_->change_epoch(store_->actor().epoch());
  return absl::OkStatus();
}

void Node::upkeep() {
  // The store takes a new actor by itself after a write failed.
  const std::uint64_t epoch = store_->actor().epoch();
  if (cluster_->members().self().epoch != epoch) cluster_->change_epoch(epoch);
  views_->close_idle();
  const auto more = store_->upkeep(kUpkeepKeys);
  if (more.ok() == upkeep_fails_) {
    upkeep_fails_ = !more.ok();
    if (upkeep_fails_) {
      spdlog::error("{}", text_of(more.status()));
    } else {
      spdlog::info("the disk takes writes again");
    }
  }
  // A full step took a few milliseconds: as long again is left to requests.
  const bool busy = more.ok() && *more;
  const Duration pause = upkeep_fails_ ? kUpkeepRetry
                         : busy        ? kUpkeepInterval / 10
                                       : kUpkeepInterval;
  scrub();
  upkeep_alarm_->set(loop_.now() + pause);
}

void Node::scrub() {
  if (config_.scrub_keys == 0 || loop_.now() < next_scrub_) return;
  next_scrub_ = loop_.now() + kScrubInterval;
  store_->scrub(config_.scrub_keys);
}

kj::Promise<void> Node::stop() {
  spdlog::info("stopping");
  stopping_ = true;
  not_ready_because_ = "stopping";
  if (!opening()) coordination_->coordinator().refuse_writes(not_ready_because_);
  if (opening_ != nullptr) opening_->give_up();
  http_.reset();
  // The others are told while they can still ask: a connection that ends without a word is worth a
  // probe to them.
  kj::Promise<void> told = kj::READY_NOW;
  if (!opening() && twin_goes_on_) cluster_->stop_silently();
  if (!opening() && !twin_goes_on_) told = cluster_->stop();
  auto served = kj::heapArrayBuilder<kj::Promise<void>>(2);
  served.add(client_server_->stop());
  served.add(told.then([this] { return peer_server_->stop(); }));
  return kj::joinPromises(served.finish()).exclusiveJoin(loop_.after(kStopTime)).then([this] {
    client_server_.reset();
    peer_server_.reset();
    return close_when_idle();
  });
}

kj::Promise<void> Node::close_when_idle() {
  return disk_->when_idle()
      .then([this]() -> kj::Promise<void> {
        if (opening()) return kj::READY_NOW;
        return backups_->stop();
      })
      .then([this]() -> kj::Promise<void> {
        if (opening()) {
          spdlog::info("stopped");
          return kj::READY_NOW;
        }
        // Upkeep or an exchange may have begun something since.
        if (!disk_->idle()) return close_when_idle();
        tasks_.reset();
        upkeep_alarm_.reset();
        load_alarm_.reset();
        compare_alarm_.reset();
        scanner_.reset();
        coordination_.reset();
        handover_.reset();
        anti_entropy_.reset();
        cluster_.reset();
        links_.reset();
        views_->close_all();
        backups_.reset();
        if (const absl::Status closed = store_->close(); !closed.ok()) {
          spdlog::error("not closed cleanly: {}", text_of(closed));
        }
        spdlog::info("stopped");
        return kj::READY_NOW;
      });
}

}  // namespace grapevine::server
