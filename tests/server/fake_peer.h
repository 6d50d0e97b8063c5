// A node as its peers see it, without the rest of it: it greets as it is told, and serves what a
// test gives it a store for.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "rpc/errors.h"
#include "rpc/rpc_server.h"
#include "server/peer_links.h"
#include "server/scanner.h"
#include "server/wire.h"
#include "storage/store.h"

namespace grapevine::server::test {

// What the fake does; shared with its services, which connections keep.
struct PeerConduct {
  NodeId id{2};
  absl::Status greeting;  // its answer to a hello
  bool silent = false;    // never answers a hello
  absl::Status scanning;  // instead of a scan
  storage::Store* store = nullptr;
  bool holds_back = false;              // never answers replications, reads and forwards
  std::vector<std::string> replicated;  // keys
  std::vector<std::uint32_t> forward_timeouts_ms;
  int hellos = 0;
  int scans = 0;
};

class FakePeerService final : public wire::Peer::Server {
 public:
  explicit FakePeerService(std::shared_ptr<PeerConduct> conduct) : conduct_(std::move(conduct)) {}

  // Gives a sign of life, and never answers a push-pull.
  kj::Promise<void> sync(SyncContext context) override {
    if (context.getParams().getState().size() > 0) return kj::NEVER_DONE;
    return kj::READY_NOW;
  }

  kj::Promise<void> replicate(ReplicateContext context) override {
    for (const auto entry : context.getParams().getEntries()) {
      conduct_->replicated.emplace_back(view(entry.getKey()));
    }
    return done();
  }

  kj::Promise<void> read(ReadContext context) override {
    const auto params = context.getParams();
    const auto keys = params.getKeys();
    const auto values = params.getHeadsOnly() ? model::Values::kWithout : model::Values::kWith;
    auto results = context.getResults().initResults(keys.size());
    for (unsigned i = 0; i < keys.size(); ++i) {
      const auto entry = conduct_->store->load(view(keys[i]), values);
      if (entry.ok()) write(*entry, results[i].initEntry());
      write(entry.status(), results[i].initStatus());
    }
    return done();
  }

  // Each write was done, under the first dot; each read found nothing.
  kj::Promise<void> forward(ForwardContext context) override {
    conduct_->forward_timeouts_ms.push_back(context.getParams().getTimeoutMs());
    std::vector<OperationAnswer> answers;
    for (const auto from : context.getParams().getOperations()) {
      const Operation operation = server::read(from);
      if (operation.writes()) {
        answers.emplace_back(WriteAnswer{{ActorId::of(conduct_->id, 1), 1}, operation.key});
      } else {
        answers.emplace_back(ReadAnswer{});
      }
    }
    auto results = context.getResults();
    write(answers, [&](unsigned count) { return results.initResults(count); });
    return done();
  }

  kj::Promise<void> forwardScan(ForwardScanContext context) override {
    ++conduct_->scans;
    auto results = context.getResults();
    const auto params = context.getParams();
    if (!conduct_->scanning.ok()) {
      write(conduct_->scanning, results.initStatus());
      return kj::READY_NOW;
    }
    std::optional<std::string> after;
    if (params.getResumes()) after = std::string(view(params.getAfterKey()));
    return scan_partition(*conduct_->store, {{params.getPartition()},
                                             std::string(view(params.getPrefix())),
                                             params.getLimit(),
                                             after,
                                             params.getValues()})
        .then([results](PartitionPage page) mutable {
          write(page.keys, [&](unsigned count) { return results.initItems(count); });
          results.setMore(page.more);
          results.setLastSeen(bytes_of(page.last_seen));
        });
  }

 private:
  kj::Promise<void> done() const {
    if (conduct_->holds_back) return kj::NEVER_DONE;
    return kj::READY_NOW;
  }

  std::shared_ptr<PeerConduct> conduct_;
};

class FakeGreeting final : public wire::Greeting::Server {
 public:
  explicit FakeGreeting(std::shared_ptr<PeerConduct> conduct) : conduct_(std::move(conduct)) {}

  kj::Promise<void> hello(HelloContext context) override {
    ++conduct_->hellos;
    if (conduct_->silent) return kj::NEVER_DONE;
    auto results = context.getResults();
    write(conduct_->greeting, results.initStatus());
    results.initYou().initMember().setId(conduct_->id.value);
    if (conduct_->greeting.ok()) results.setPeer(kj::heap<FakePeerService>(conduct_));
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<PeerConduct> conduct_;
};

// Listens on loopback as long as it lives.
class FakePeer {
 public:
  explicit FakePeer(rpc::Loop& loop, rpc::Address at = {"127.0.0.1", 0}) {
    auto listener = loop.network().listen(at, {});
    EXPECT_TRUE(listener.ok()) << listener.status();
    server_ = std::make_unique<rpc::RpcServer>(
        loop, *std::move(listener),
        [conduct = conduct_](const rpc::PeerInfo&) -> capnp::Capability::Client {
          return kj::heap<FakeGreeting>(conduct);
        },
        rpc::ConnectionOptions{}, [](const rpc::PeerInfo&, const absl::Status&) {});
  }

  PeerConduct& conduct() { return *conduct_; }
  const rpc::Address& listens_at() const { return server_->address(); }
  std::string address() const { return rpc::to_string(server_->address()); }
  std::size_t connections() const { return server_->connections(); }

 private:
  std::shared_ptr<PeerConduct> conduct_ = std::make_shared<PeerConduct>();
  std::unique_ptr<rpc::RpcServer> server_;
};

}  // namespace grapevine::server::test
