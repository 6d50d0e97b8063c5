#include "server/http_service.h"

#include <string>

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "rpc/errors.h"
#include "server/node.h"

namespace grapevine::server {
namespace {

nlohmann::json status_json(Node& node) {
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<wire::NodeStatus>();
  node.fill_status(status);
  nlohmann::json counters = nlohmann::json::object();
  for (const auto counter : status.asReader().getCounters()) {
    counters[counter.getName().cStr()] = counter.getValue();
  }
  const auto info = status.asReader().getInfo();
  return {{"name", info.getName().cStr()},
          {"id", to_string(NodeId{info.getId()})},
          {"cluster", info.getCluster().cStr()},
          {"version", info.getVersion().cStr()},
          {"ready", status.getReady()},
          {"not_ready_because", status.asReader().getNotReadyBecause().cStr()},
          {"uptime_ms", status.getUptimeMs()},
          {"keys", status.getKeys()},
          {"disk_bytes", status.getDiskBytes()},
          {"counters", counters}};
}

}  // namespace

HttpService::HttpService(Node& node, std::unique_ptr<rpc::Listener> listener)
    : node_(node),
      timer_(node.loop()),
      table_(kj::HttpHeaderTable::Builder().build()),
      server_(timer_, *table_, *this),
      listener_(std::move(listener)) {
  listener_->start([this](kj::Own<kj::AsyncIoStream> stream, const rpc::PeerInfo&) {
    connections_.add(server_.listenHttp(kj::mv(stream)));
  });
}

kj::Promise<void> HttpService::request(kj::HttpMethod method, kj::StringPtr url,
                                       const kj::HttpHeaders&, kj::AsyncInputStream&,
                                       Response& response) {
  unsigned code = 200;
  nlohmann::json body;
  if (method != kj::HttpMethod::GET) {
    code = 405;
    body = {{"error", "only GET is answered here"}};
  } else if (url == "/health/live") {
    body = {{"status", "live"}};
  } else if (url == "/health/ready" || url == "/health") {
    const std::string because = node_.not_ready_because();
    code = because.empty() ? 200 : 503;
    body = because.empty() ? nlohmann::json{{"status", "ready"}}
                           : nlohmann::json{{"status", "not ready"}, {"because", because}};
  } else if (url == "/status" && node_.opening()) {
    code = 503;
    body = {{"ready", false}, {"not_ready_because", node_.not_ready_because()}};
  } else if (url == "/status") {
    body = status_json(node_);
  } else {
    code = 404;
    body = {{"error", "try /health/live, /health/ready or /status"}};
  }
  const char* const reason = code == 200   ? "OK"
                             : code == 503 ? "Service Unavailable"
                             : code == 405 ? "Method Not Allowed"
                                           : "Not Found";
  auto text = kj::heap<std::string>(body.dump() + "\n");
  kj::HttpHeaders headers(*table_);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, "application/json");
  auto out = response.send(code, reason, headers, text->size());
  auto sent = out->write(text->data(), text->size());
  return sent.attach(kj::mv(out), kj::mv(text));
}

void HttpService::taskFailed(kj::Exception&& exception) {
  spdlog::debug("http: {}", text_of(rpc::to_status(exception)));
}

kj::TimePoint HttpService::LoopTimer::now() const {
  return kj::origin<kj::TimePoint>() + loop_.now().since_start.count() * kj::NANOSECONDS;
}

kj::Promise<void> HttpService::LoopTimer::atTime(kj::TimePoint time) {
  return afterDelay(time - now());
}

kj::Promise<void> HttpService::LoopTimer::afterDelay(kj::Duration delay) {
  return loop_.after(std::chrono::nanoseconds(delay / kj::NANOSECONDS));
}

}  // namespace grapevine::server
