#include "server/peer_links.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "rpc/errors.h"
#include "server/protocols.h"

namespace grapevine::server {
namespace {

gossip::ProtocolRange protocols_of(wire::Hello::Reader hello) {
  return {hello.getMember().getProtocolMin(), hello.getMember().getProtocolMax()};
}

}  // namespace

PeerLinks::PeerLinks(rpc::Loop& loop, rpc::Address from, Handlers handlers)
    : loop_(loop), from_(std::move(from)), handlers_(std::move(handlers)) {}

PeerLinks::~PeerLinks() noexcept {
  *alive_ = false;
}

kj::Promise<wire::Peer::Client> PeerLinks::reach(const std::string& address,
                                                 std::optional<NodeId> expected) {
  std::unique_ptr<Link>& link = links_[address];
  if (link == nullptr) {
    link = std::make_unique<Link>();
    link->number = ++last_number_;
    const std::uint64_t number = link->number;
    auto timeout = loop_.after(kGreetTime).then([address]() -> void {
      kj::throwFatalException(rpc::to_exception(
          absl::UnavailableError(fmt::format("node at {} does not answer", address))));
    });
    link->greeting = dial(address, number)
                         .exclusiveJoin(kj::mv(timeout))
                         .catch_([this, address, number](kj::Exception&& exception) {
                           forget(address, number);
                           kj::throwFatalException(kj::mv(exception));
                         })
                         .fork();
  }
  const std::uint64_t number = link->number;
  auto take = [this, address, number, expected]() -> wire::Peer::Client {
    Link* ready = find(address, number);
    if (ready == nullptr || !ready->peer.has_value()) {
      kj::throwFatalException(rpc::to_exception(
          absl::UnavailableError(fmt::format("lost the connection to the node at {}", address))));
    }
    if (expected.has_value() && ready->node != expected) {
      kj::throwFatalException(rpc::to_exception(absl::FailedPreconditionError(
          fmt::format("node {} answers at {}, not node {}", to_string(*ready->node), address,
                      to_string(*expected)))));
    }
    return *ready->peer;
  };
  if (link->peer.has_value()) return kj::evalNow(kj::mv(take));
  return KJ_ASSERT_NONNULL(link->greeting).addBranch().then(kj::mv(take));
}

kj::Promise<void> PeerLinks::dial(const std::string& address, std::uint64_t number) {
  auto target = rpc::parse_address(address);
  if (!target.ok()) return rpc::to_exception(target.status());
  rpc::ConnectOptions options;
  options.timeout = kGreetTime;
  options.from = from_;
  return loop_.network()
      .connect(*target, options)
      .then([this, address, number](kj::Own<kj::AsyncIoStream> stream) {
        return greet(address, number, kj::mv(stream));
      });
}

kj::Promise<void> PeerLinks::greet(const std::string& address, std::uint64_t number,
                                   kj::Own<kj::AsyncIoStream> stream) {
  Link* const link = find(address, number);
  if (link == nullptr) return rpc::connection_lost("the link was dropped");
  auto target = rpc::parse_address(address);
  link->connection = kj::heap<rpc::Connection>(
      loop_, kj::mv(stream), rpc::PeerInfo{target.ok() ? *target : rpc::Address{}},
      rpc::Connection::Side::kClient, nullptr, rpc::ConnectionOptions{});
  link->watch =
      link->connection->on_disconnect().then([this, address, number] { forget(address, number); });
  link->watch = link->watch.eagerlyEvaluate(nullptr);
  auto hello = link->connection->bootstrap<wire::Greeting>().helloRequest();
  const auto me = hello.initMe();
  handlers_.fill_hello(me);
  const gossip::ProtocolRange mine = protocols_of(me.asReader());
  return hello.send().then([this, address, number, mine](auto&& reply) {
    Link* const greeted = find(address, number);
    if (greeted == nullptr) return;
    absl::Status status = read(reply.getStatus());
    if (status.ok()) status = handlers_.check_hello(reply.getYou());
    if (!status.ok()) {
      kj::throwFatalException(rpc::to_exception(
          {status.code(), fmt::format("node at {}: {}", address, text_of(status))}));
    }
    if (common_protocol(mine, protocols_of(reply.getYou())) >= 2) greeted->connection->pack();
    greeted->node = NodeId{reply.getYou().getMember().getId()};
    greeted->peer = reply.getPeer();
  });
}

PeerLinks::Link* PeerLinks::find(const std::string& address, std::uint64_t number) {
  const auto found = links_.find(address);
  return found != links_.end() && found->second->number == number ? found->second.get() : nullptr;
}

// From now on calls dial anew. A link must not be destroyed within one of its own promises: it goes
// in a turn of its own.
void PeerLinks::forget(const std::string& address, std::uint64_t number) {
  if (find(address, number) == nullptr) return;
  ended_.push_back(std::move(links_.at(address)));
  links_.erase(address);
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    const std::optional<NodeId> node = ended_.front()->node;
    ended_.pop_front();
    if (node.has_value()) handlers_.on_lost(*node);
  });
}

void PeerLinks::drop(const std::string& address) {
  const auto found = links_.find(address);
  if (found != links_.end()) forget(address, found->second->number);
}

bool PeerLinks::linked(const std::string& address) const {
  const auto found = links_.find(address);
  return found != links_.end() && found->second->peer.has_value();
}

std::uint64_t PeerLinks::bytes_received(const std::string& address) const {
  const auto found = links_.find(address);
  if (found == links_.end() || found->second->connection.get() == nullptr) return 0;
  return found->second->connection->bytes_received();
}

void PeerLinks::drop(NodeId node) {
  std::vector<std::pair<std::string, std::uint64_t>> dropped;
  for (const auto& [address, link] : links_) {
    if (link->node == node) dropped.emplace_back(address, link->number);
  }
  for (const auto& [address, number] : dropped) forget(address, number);
}

}  // namespace grapevine::server
