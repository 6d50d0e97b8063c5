// The HTTP port: whether the node lives and takes requests.
//
//   GET /health/live    200 while the process runs
//   GET /health/ready   200 when it takes reads and writes, 503 with the reason before
//   GET /status         what `grapevine status` shows of this node, as JSON;
//                       503 while the store is being opened
//
// Resource, loop thread; gone before its loop. Connections are few and short: at most
// kConnectionsMax.
#pragma once

#include <kj/compat/http.h>
#include <kj/timer.h>

#include <memory>

#include "rpc/loop.h"
#include "rpc/network.h"

namespace grapevine::server {

class Node;

class HttpService final : private kj::HttpService, private kj::TaskSet::ErrorHandler {
 public:
  static constexpr std::size_t kConnectionsMax = 256;

  HttpService(Node& node, std::unique_ptr<rpc::Listener> listener);

  const rpc::Address& address() const { return listener_->address(); }

 private:
  // KJ's timer on the loop's.
  class LoopTimer final : public kj::Timer {
   public:
    explicit LoopTimer(rpc::Loop& loop) : loop_(loop) {}
    kj::TimePoint now() const override;
    kj::Promise<void> atTime(kj::TimePoint time) override;
    kj::Promise<void> afterDelay(kj::Duration delay) override;

   private:
    rpc::Loop& loop_;
  };

  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url,
                            const kj::HttpHeaders& headers, kj::AsyncInputStream& body,
                            Response& response) override;
  void taskFailed(kj::Exception&& exception) override;

  Node& node_;
  LoopTimer timer_;
  kj::Own<kj::HttpHeaderTable> table_;
  kj::HttpServer server_;
  std::unique_ptr<rpc::Listener> listener_;
  kj::TaskSet connections_{*this};
};

}  // namespace grapevine::server
