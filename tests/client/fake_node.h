// A node in this process, for testing the client: a map behind Login and Writer, on a thread of its
// own, that misbehaves on request. A context here is the list of dots it has seen, as text
// ("3,7,"); that is opaque to the client.
//
// Threads: every public method may be called from the test's thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <kj/async.h>

#include "absl/status/status.h"
#include "client/wire.h"
#include "rpc/asio_loop.h"
#include "rpc/client.capnp.h"
#include "rpc/rpc_server.h"
#include "storage/base/check.h"
#include "storage/model/session.h"

namespace grapevine::client {

class FakeNode {
 public:
  struct Seen {
    std::string verb;
    std::string key;
    std::string value;
    std::uint64_t write_id = 0;
    std::optional<std::string> session = std::nullopt;
  };
  // Asked before each operation: ok carries it out, anything else is the answer in its place.
  using Judge = std::function<absl::Status(const Seen&)>;

  explicit FakeNode(std::uint16_t port = 0) {
    std::promise<std::uint16_t> bound;
    thread_ = std::thread([this, port, &bound] { live(port, bound); });
    port_ = bound.get_future().get();
  }
  ~FakeNode() { kill(); }
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  std::string endpoint() const { return fmt::format("127.0.0.1:{}", port_); }
  std::uint16_t port() const { return port_; }

  // Closes everything, as a killed process does.
  void kill() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
  }

  // While held, calls arrive and are carried out, but not answered.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      held_ = false;
    }
    loop_->post([this] {
      auto waiting = std::move(waiting_);
      waiting_.clear();
      for (auto& fulfiller : waiting) fulfiller->fulfill();
    });
  }
  void judge_by(Judge judge) {
    const std::lock_guard lock(mutex_);
    judge_ = std::move(judge);
  }
  // What the next logins are answered.
  void log_in_with(absl::Status status) {
    const std::lock_guard lock(mutex_);
    login_ = std::move(status);
  }
  // Its id, and what it says of the others and itself.
  void be(std::uint64_t node, std::map<std::uint64_t, std::uint32_t> busy) {
    const std::lock_guard lock(mutex_);
    node_id_ = node;
    busy_ = std::move(busy);
  }
  // As a node of a version before sessions.
  void know_no_sessions() {
    const std::lock_guard lock(mutex_);
    knows_sessions_ = false;
  }
  // Calls are carried out, and something breaks then.
  void lose_answers() {
    const std::lock_guard lock(mutex_);
    loses_answers_ = true;
  }
  void read_only() {
    const std::lock_guard lock(mutex_);
    read_only_ = true;
  }
  // Returns when `count` calls have arrived.
  void wait_for_calls(std::size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return calls_ >= count; });
  }

  std::size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // Of operations that arrived, judged or not.
  std::vector<Seen> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  struct Stored {
    std::uint64_t dot;
    std::string value;
  };

  class WriterServer final : public wire::Writer::Server {
   public:
    explicit WriterServer(FakeNode& node) : node_(node) {}
    kj::Promise<void> execute(ExecuteContext context) override {
      node_.carry_out(context.getParams().getOperations(), context.getResults());
      {
        const std::lock_guard lock(node_.mutex_);
        if (node_.loses_answers_) return KJ_EXCEPTION(FAILED, "the answer is lost");
      }
      return node_.when_released();
    }
    kj::Promise<void> read(ReadContext context) override {
      node_.carry_out(context.getParams().getOperations(), context.getResults());
      return node_.when_released();
    }
    kj::Promise<void> loads(LoadsContext context) override {
      const std::lock_guard lock(node_.mutex_);
      auto nodes = context.getResults().initNodes(static_cast<unsigned>(node_.busy_.size()));
      unsigned i = 0;
      for (const auto& [node, busy] : node_.busy_) {
        nodes[i].setNode(node);
        nodes[i++].setBusy(busy);
      }
      return kj::READY_NOW;
    }
    kj::Promise<void> scan(ScanContext context) override {
      node_.scan(context.getParams(), context.getResults());
      return node_.when_released();
    }

   private:
    FakeNode& node_;
  };

  class LoginServer final : public wire::Login::Server {
   public:
    explicit LoginServer(FakeNode& node) : node_(node) {}
    kj::Promise<void> login(LoginContext context) override {
      const std::lock_guard lock(node_.mutex_);
      to_wire(node_.login_, context.getResults().initStatus());
      if (!node_.login_.ok()) return kj::READY_NOW;
      context.getResults().setReader(kj::heap<WriterServer>(node_));
      context.getResults().initNode().setId(node_.node_id_);
      if (!node_.read_only_) context.getResults().setWriter(kj::heap<WriterServer>(node_));
      return kj::READY_NOW;
    }

   private:
    FakeNode& node_;
  };

  void live(std::uint16_t port, std::promise<std::uint16_t>& bound) {
    rpc::AsioLoop loop([](const absl::Status&) {});
    auto listener = loop.network().listen({.host = "127.0.0.1", .port = port}, {});
    GRAPEVINE_CHECK(listener.ok(), "the fake node's port is free");
    rpc::RpcServer server(
        loop, std::move(*listener),
        [this](const rpc::PeerInfo&) -> capnp::Capability::Client {
          return kj::heap<LoginServer>(*this);
        },
        rpc::ConnectionOptions{}, [](const rpc::PeerInfo&, const absl::Status&) {});
    loop_ = &loop;
    bound.set_value(server.address().port);
    loop.run();
    waiting_.clear();
  }

  kj::Promise<void> when_released() {
    const std::lock_guard lock(mutex_);
    if (!held_) return kj::READY_NOW;
    auto paired = kj::newPromiseAndFulfiller<void>();
    waiting_.push_back(kj::mv(paired.fulfiller));
    return kj::mv(paired.promise);
  }

  template <typename Results>
  void carry_out(capnp::List<wire::Operation>::Reader operations, Results out) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    auto results = out.initResults(operations.size());
    for (unsigned i = 0; i < operations.size(); ++i) carry_out_one(operations[i], results[i]);
    arrived_.notify_all();
  }

  void carry_out_one(wire::Operation::Reader operation, wire::Result::Builder out) {
    Seen seen{.verb = "get", .key = to_string(operation.getKey()), .value = "", .write_id = 0};
    std::optional<wire::Operation::Write::Reader> write;
    if (operation.isPut()) write = operation.getPut();
    if (operation.isRemove()) write = operation.getRemove();
    if (write.has_value()) {
      seen.verb = operation.isPut() ? "put" : "remove";
      seen.value = to_string(write->getValue());
      seen.write_id = write->getWriteId();
    }
    if (operation.getSession().isSeen()) {
      seen.session = to_string(operation.getSession().getSeen());
    }
    seen_.push_back(seen);
    const absl::Status verdict = judge_ ? judge_(seen) : absl::OkStatus();
    if (!verdict.ok()) {
      to_wire(verdict, out.initError());
      return;
    }
    auto& versions = data_[seen.key];
    if (!write.has_value()) {
      auto read = out.initRead();
      auto siblings = read.initSiblings(static_cast<unsigned>(versions.size()));
      for (unsigned i = 0; i < versions.size(); ++i) fill(siblings[i], versions[i], true);
      read.setContext(to_data(context_of(versions)));
      tell_session(seen, versions, out);
      return;
    }
    const std::string covered =
        write->getContext().isSeen() ? "," + to_string(write->getContext().getSeen()) : "*";
    std::erase_if(versions, [&](const Stored& stored) {
      return covered == "*" || covered.find(fmt::format(",{},", stored.dot)) != std::string::npos;
    });
    ++counter_;
    if (seen.verb == "put") versions.push_back({counter_, seen.value});
    auto written = out.initWritten();
    written.initDot().setActor(1);
    written.getDot().setCounter(counter_);
    written.setContext(to_data(fmt::format("{},", counter_)));
    tell_session(seen, versions, out);
  }

  // Of a session it says what it holds of the key, and how far it has come.
  void tell_session(const Seen& seen, const std::vector<Stored>& versions,
                    wire::Result::Builder out) const {
    if (!seen.session.has_value() || !knows_sessions_) return;
    model::Seen told;
    for (const auto& stored : versions) told.live.push_back({ActorId{1}, stored.dot});
    told.vector.raise({ActorId{1}, counter_});
    out.setSession(to_data(model::encode_seen({1, 4}, seen.key, told)));
  }

  static std::string context_of(const std::vector<Stored>& versions) {
    std::string context;
    for (const auto& stored : versions) context += fmt::format("{},", stored.dot);
    return context;
  }

  static void fill(wire::Sibling::Builder out, const Stored& stored, bool with_value) {
    if (with_value) out.setValue(to_data(stored.value));
    out.initDot().setActor(1);
    out.getDot().setCounter(stored.dot);
    out.setWrittenUnixMs(1'700'000'000'000);
  }

  // In key order; the cursor is the last key of the page before.
  void scan(wire::Reader::ScanParams::Reader params, wire::Reader::ScanResults::Builder out) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    arrived_.notify_all();
    const absl::Status verdict =
        judge_ ? judge_({.verb = "scan", .key = "", .value = "", .write_id = 0}) : absl::OkStatus();
    to_wire(verdict, out.initStatus());
    if (!verdict.ok()) return;
    const std::string prefix = to_string(params.getPrefix());
    std::vector<const std::pair<const std::string, std::vector<Stored>>*> page;
    const std::string cursor = to_string(params.getCursor());
    auto next = cursor.empty() ? data_.begin() : data_.upper_bound(cursor);
    for (; next != data_.end() && page.size() < params.getLimit(); ++next) {
      if (next->first.starts_with(prefix) && !next->second.empty()) page.push_back(&*next);
    }
    auto items = out.initItems(static_cast<unsigned>(page.size()));
    for (unsigned i = 0; i < page.size(); ++i) {
      items[i].setKey(to_data(page[i]->first));
      auto siblings = items[i].initSiblings(static_cast<unsigned>(page[i]->second.size()));
      for (unsigned j = 0; j < siblings.size(); ++j)
        fill(siblings[j], page[i]->second[j], params.getValues());
    }
    if (next != data_.end() && !page.empty()) out.setCursor(to_data(page.back()->first));
  }

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  bool held_ = false;  // guarded by mutex_, as all that follows
  bool read_only_ = false;
  bool loses_answers_ = false;
  bool knows_sessions_ = true;
  std::uint64_t node_id_ = 0;
  std::map<std::uint64_t, std::uint32_t> busy_;
  Judge judge_;
  absl::Status login_;
  std::size_t calls_ = 0;
  std::uint64_t counter_ = 0;
  std::map<std::string, std::vector<Stored>> data_;
  std::vector<Seen> seen_;

  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;  // the loop's thread
  rpc::AsioLoop* loop_ = nullptr;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace grapevine::client
