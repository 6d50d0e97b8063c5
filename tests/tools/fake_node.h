// A node in this process, for testing the command: a map behind Login and Writer, and an Admin that
// tells what it was told to tell, on a thread of its own. A write without a context replaces what
// is there; any context covers nothing.
//
// Threads: every public method may be called from the test's thread; what is set must be set before
// the node is asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "rpc/asio_loop.h"
#include "rpc/rpc_server.h"
#include "storage/base/check.h"
#include "tools/admin_wire.h"

namespace grapevine::tools {

class FakeNode {
 public:
  // Asked before each write: OK carries it out, anything else is the answer in its place.
  using Judge = std::function<wire::Code(const std::string& key)>;
  struct Partition {
    gossip::PartitionState state;
    std::vector<NodeId> owners;
  };

  explicit FakeNode(NodeId id = {1}, std::string name = "n1") : id_(id), name_(std::move(name)) {
    std::promise<std::uint16_t> bound;
    thread_ = std::thread([this, &bound] { live(bound); });
    port_ = bound.get_future().get();
  }
  ~FakeNode() {
    loop_->stop();
    thread_.join();
  }
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  std::string endpoint() const { return fmt::format("127.0.0.1:{}", port_); }
  gossip::MemberRecord record() const {
    gossip::MemberRecord record;
    record.id = id_;
    record.name = name_;
    record.client_address = endpoint();
    return record;
  }

  void judge_by(Judge judge) {
    const std::lock_guard lock(mutex_);
    judge_ = std::move(judge);
  }
  void tell_members(std::vector<gossip::MemberRecord> members) {
    const std::lock_guard lock(mutex_);
    members_ = std::move(members);
  }
  void tell_partitions(std::vector<Partition> partitions) {
    const std::lock_guard lock(mutex_);
    partitions_ = std::move(partitions);
  }
  // What repair reports, beside one peer.
  void repair_as(bool proven, std::uint64_t keys_pulled) {
    const std::lock_guard lock(mutex_);
    repair_proven_ = proven;
    repair_keys_ = keys_pulled;
  }

  void refuse_backups() { backup_refused_ = true; }

  std::map<std::string, std::vector<std::string>> data() const {
    const std::lock_guard lock(mutex_);
    return data_;
  }
  std::size_t writes() const {
    const std::lock_guard lock(mutex_);
    return writes_;
  }

 private:
  class WriterServer final : public wire::Writer::Server {
   public:
    explicit WriterServer(FakeNode& node) : node_(node) {}
    kj::Promise<void> execute(ExecuteContext context) override {
      const auto operations = context.getParams().getOperations();
      auto results = context.getResults().initResults(operations.size());
      for (unsigned i = 0; i < operations.size(); ++i) node_.carry_out(operations[i], results[i]);
      return kj::READY_NOW;
    }
    kj::Promise<void> read(ReadContext context) override {
      const auto operations = context.getParams().getOperations();
      auto results = context.getResults().initResults(operations.size());
      for (unsigned i = 0; i < operations.size(); ++i) node_.carry_out(operations[i], results[i]);
      return kj::READY_NOW;
    }
    kj::Promise<void> scan(ScanContext context) override {
      node_.scan(context.getParams(), context.getResults());
      return kj::READY_NOW;
    }

   private:
    FakeNode& node_;
  };

  class AdminServer final : public wire::Admin::Server {
   public:
    explicit AdminServer(FakeNode& node) : node_(node) {}
    kj::Promise<void> status(StatusContext context) override {
      auto status = context.getResults().initStatus();
      node_.fill(status.initInfo());
      status.setReady(true);
      status.setKeys(7);
      return kj::READY_NOW;
    }
    kj::Promise<void> members(MembersContext context) override {
      const std::lock_guard lock(node_.mutex_);
      auto members = context.getResults().initMembers(static_cast<unsigned>(node_.members_.size()));
      for (unsigned i = 0; i < members.size(); ++i) {
        members[i].setId(node_.members_[i].id.value);
        members[i].setName(node_.members_[i].name);
        members[i].setClientAddress(node_.members_[i].client_address);
      }
      return kj::READY_NOW;
    }
    kj::Promise<void> states(StatesContext context) override {
      const std::lock_guard lock(node_.mutex_);
      auto states =
          context.getResults().initStates(static_cast<unsigned>(node_.partitions_.size()));
      for (unsigned i = 0; i < states.size(); ++i) node_.fill(states[i], node_.partitions_[i]);
      return kj::READY_NOW;
    }
    // All that anybody lacks came 1,500 ms ago.
    kj::Promise<void> ages(AgesContext context) override {
      for (auto age : context.getResults().initAges(context.getParams().getOf().size())) {
        age.setOldestMs(1'500);
      }
      return kj::READY_NOW;
    }
    kj::Promise<void> backup(BackupContext context) override {
      const auto params = context.getParams();
      auto results = context.getResults();
      if (node_.backup_refused_) {
        results.initStatus().setCode(wire::Code::REFUSED);
        results.getStatus().setText("a backup is under way");
        return kj::READY_NOW;
      }
      auto report = results.initReport();
      report.setDirectory(to_string(params.getDirectory()) + "/" + node_.name_);
      report.initMade().setNumber(params.getKeep() + 1);
      report.getMade().setFiles(10);
      report.setFilesNew(4);
      report.setBytesNew(params.getBytesPerSecond());
      return kj::READY_NOW;
    }
    kj::Promise<void> backups(BackupsContext context) override {
      auto results = context.getResults();
      results.setDirectory(to_string(context.getParams().getDirectory()) + "/" + node_.name_);
      auto backups = results.initBackups(2);
      for (unsigned i = 0; i < 2; ++i) {
        backups[i].setNumber(i + 1);
        backups[i].setUnixSeconds(86'400 * (i + 1));
      }
      return kj::READY_NOW;
    }
    kj::Promise<void> repair(RepairContext context) override {
      const std::lock_guard lock(node_.mutex_);
      auto report = context.getResults().initReport();
      report.setPeers(1);
      report.setProvenEqual(node_.repair_proven_ ? 1 : 0);
      report.setKeysPulled(node_.repair_keys_);
      if (!node_.repair_proven_) context.getResults().initStatus().setCode(wire::Code::UNAVAILABLE);
      return kj::READY_NOW;
    }

   private:
    FakeNode& node_;
  };

  class LoginServer final : public wire::Login::Server {
   public:
    explicit LoginServer(FakeNode& node) : node_(node) {}
    kj::Promise<void> login(LoginContext context) override {
      auto results = context.getResults();
      results.setReader(kj::heap<WriterServer>(node_));
      results.setWriter(kj::heap<WriterServer>(node_));
      results.setAdmin(kj::heap<AdminServer>(node_));
      node_.fill(results.initNode());
      return kj::READY_NOW;
    }

   private:
    FakeNode& node_;
  };

  void live(std::promise<std::uint16_t>& bound) {
    rpc::AsioLoop loop([](const absl::Status&) {});
    auto listener = loop.network().listen({.host = "127.0.0.1", .port = 0}, {});
    GRAPEVINE_CHECK(listener.ok(), "a port is free");
    rpc::RpcServer server(
        loop, std::move(*listener),
        [this](const rpc::PeerInfo&) -> capnp::Capability::Client {
          return kj::heap<LoginServer>(*this);
        },
        rpc::ConnectionOptions{}, [](const rpc::PeerInfo&, const absl::Status&) {});
    loop_ = &loop;
    bound.set_value(server.address().port);
    loop.run();
  }

  void fill(wire::NodeInfo::Builder out) const {
    out.setId(id_.value);
    out.setName(name_);
    out.setCluster("grapevine");
    out.setPartitions(2);
    out.setReplicationFactor(3);
  }

  static void fill(wire::Admin::PartitionOwners::Builder out, const Partition& partition) {
    auto state = out.initState();
    state.setPartition(partition.state.partition.value);
    std::string clock;
    partition.state.clock.encode(clock);
    state.setClock(to_data(clock));
    auto root = state.initRoot();
    root.setSumLow(partition.state.root.sum.low);
    root.setKeys(partition.state.root.keys);
    root.setUnquiet(partition.state.root.unquiet);
    auto owners = out.initOwners(static_cast<unsigned>(partition.owners.size()));
    for (unsigned i = 0; i < owners.size(); ++i) owners.set(i, partition.owners[i].value);
  }

  void carry_out(wire::Operation::Reader operation, wire::Result::Builder out) {
    const std::lock_guard lock(mutex_);
    const std::string key = to_string(operation.getKey());
    if (operation.isGet()) {
      const auto found = data_.find(key);
      auto siblings = out.initRead().initSiblings(found == data_.end() ? 0 : 1);
      if (siblings.size() > 0) siblings[0].setValue(to_data(found->second.front()));
      return;
    }
    ++writes_;
    const wire::Code verdict = judge_ ? judge_(key) : wire::Code::OK;
    if (verdict != wire::Code::OK) {
      auto error = out.initError();
      error.setCode(verdict);
      error.setText("the node's own words");
      return;
    }
    auto& values = data_[key];
    if (operation.getPut().getContext().isCurrent()) values.clear();
    values.push_back(to_string(operation.getPut().getValue()));
    auto written = out.initWritten();
    written.initDot().setActor(1);
    written.getDot().setCounter(writes_);
  }

  // Two keys a page, the last key first.
  void scan(wire::Reader::ScanParams::Reader params, wire::Reader::ScanResults::Builder out) {
    const std::lock_guard lock(mutex_);
    const std::string cursor = to_string(params.getCursor());
    auto next = std::make_reverse_iterator(cursor.empty() ? data_.end() : data_.find(cursor));
    auto items = out.initItems(
        static_cast<unsigned>(std::min<std::ptrdiff_t>(2, std::distance(next, data_.rend()))));
    for (unsigned i = 0; i < items.size(); ++i, ++next) {
      items[i].setKey(to_data(next->first));
      auto siblings = items[i].initSiblings(static_cast<unsigned>(next->second.size()));
      for (unsigned j = 0; j < siblings.size(); ++j) siblings[j].setValue(to_data(next->second[j]));
      if (std::next(next) != data_.rend()) out.setCursor(to_data(next->first));
    }
    if (next == data_.rend()) out.setCursor(to_data(""));
  }

  const NodeId id_;
  const std::string name_;

  mutable std::mutex mutex_;
  Judge judge_;  // guarded by mutex_, as all that follows
  std::map<std::string, std::vector<std::string>> data_;
  std::size_t writes_ = 0;
  std::vector<gossip::MemberRecord> members_;
  std::vector<Partition> partitions_;
  bool repair_proven_ = true;
  std::uint64_t repair_keys_ = 0;

  std::atomic<bool> backup_refused_ = false;

  rpc::AsioLoop* loop_ = nullptr;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace grapevine::tools
