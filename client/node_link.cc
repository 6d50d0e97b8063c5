#include "client/node_link.h"

#include <fmt/format.h>

#include "rpc/errors.h"
#include "rpc/lateness.h"

namespace grapevine::client {

NodeLink::NodeLink(rpc::Loop& loop, rpc::Address address, LinkOptions options, Observer& observer)
    : loop_(loop),
      address_(std::move(address)),
      name_(rpc::to_string(address_)),
      options_(std::move(options)),
      observer_(observer) {}

void NodeLink::start() {
  life_ = live().eagerlyEvaluate(nullptr);
}

void NodeLink::give_up(std::string why) {
  if (!ready()) return;
  given_up_->reject(rpc::connection_lost(why));
}

// One connection's life, a pause, and the next one's.
kj::Promise<void> NodeLink::live() {
  return attempt()
      .then([] {}, [this](kj::Exception&& exception) { down(rpc::to_status(exception)); })
      .then([this] {
        const Duration pause = pause_;
        pause_ = std::min(pause_ * 2, kPauseMax);
        return loop_.after(pause);
      })
      .then([this] { return live(); });
}

// Fails when the connection cannot be made or has ended.
kj::Promise<void> NodeLink::attempt() {
  auto too_late = loop_.after(options_.connect_timeout).then([this]() -> kj::Promise<void> {
    return rpc::connection_lost(fmt::format(
        "no answer from {} within {} ms", name_,
        std::chrono::milliseconds(options_.connect_timeout.count() / 1'000'000).count()));
  });
  return loop_.network()
      .connect(address_, {.timeout = options_.connect_timeout, .from = std::nullopt})
      .then([this](kj::Own<kj::AsyncIoStream> stream) { return log_in(std::move(stream)); })
      .exclusiveJoin(kj::mv(too_late))
      .then([this]() -> kj::Promise<void> {
        pause_ = kPauseMin;
        observer_.link_ready(*this);
        auto given_up = kj::newPromiseAndFulfiller<void>();
        given_up_ = kj::mv(given_up.fulfiller);
        return connection_->on_disconnect()
            .then([this]() -> kj::Promise<void> {
              const absl::Status reason = connection_->end_reason();
              return rpc::connection_lost(reason.ok()
                                              ? fmt::format("{} closed the connection", name_)
                                              : std::string(text_of(reason)));
            })
            .exclusiveJoin(kj::mv(given_up.promise));
      });
}

kj::Promise<void> NodeLink::log_in(kj::Own<kj::AsyncIoStream> stream) {
  connection_ =
      kj::heap<rpc::Connection>(loop_, kj::mv(stream), rpc::PeerInfo{address_},
                                rpc::Connection::Side::kClient, nullptr, rpc::ConnectionOptions{});
  auto request = connection_->bootstrap<wire::Login>().loginRequest();
  request.setProtocol(kProtocolVersion);
  request.setClientName(options_.client_name.c_str());
  request.setSentMs(rpc::sent_ms(loop_.now()));
  return request.send().then([this](capnp::Response<wire::Login::LoginResults>&& response) {
    const absl::Status status = to_status(response.getStatus());
    if (!status.ok()) {
      kj::throwFatalException(rpc::to_exception(
          absl::Status(status.code(), fmt::format("{}: {}", name_, std::string(text_of(status))))));
    }
    if (!response.hasReader()) {
      kj::throwFatalException(rpc::to_exception(absl::FailedPreconditionError(
          fmt::format("{} does not allow this client to read", name_))));
    }
    node_ = response.getNode().getId();
    reader_.emplace(response.getReader());
    if (response.hasWriter()) writer_.emplace(response.getWriter());
  });
}

void NodeLink::down(absl::Status why) {
  why_down_ = std::move(why);
  writer_.reset();
  reader_.reset();
  connection_ = nullptr;
  observer_.link_down(*this);
}

}  // namespace grapevine::client
