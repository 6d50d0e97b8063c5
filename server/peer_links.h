// Connections to the other nodes, dialled when they are needed.
//
// Resource. One link an address; a link is dialled by the first call, greets (mutual hello), and
// stays until it breaks. Calls made while it is being made wait for it, at most kGreetTime. A
// failed attempt fails the calls that waited; the next call tries again at once: who calls paces
// itself.
//
// Owner and thread: the node, its loop; gone before it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "gossip/member.h"
#include "rpc/address.h"
#include "rpc/connection.h"
#include "rpc/loop.h"
#include "server/wire.h"

namespace grapevine::server {

class PeerLinks {
 public:
  static constexpr Duration kGreetTime = std::chrono::seconds(2);

  struct Handlers {
    std::function<void(wire::Hello::Builder)> fill_hello;
    // The other node has introduced itself, in a dialled link; an error refuses it.
    std::function<absl::Status(wire::Hello::Reader)> check_hello;
    std::function<void(NodeId)> on_lost;  // an established link broke or was dropped
  };

  // Dials from `from`'s host, so that the others can tell by the address who calls.
  PeerLinks(rpc::Loop& loop, rpc::Address from, Handlers handlers);
  ~PeerLinks() noexcept;
  PeerLinks(const PeerLinks&) = delete;
  PeerLinks& operator=(const PeerLinks&) = delete;

  // The node at `address`. Fails with a Status inside the exception (rpc/errors.h): Unavailable
  // when it cannot be reached, FailedPrecondition when either side refuses the other, or when
  // another node than `expected` answers there.
  kj::Promise<wire::Peer::Client> reach(const std::string& address, std::optional<NodeId> expected);
  // Ends the links to this node, or to who answers at this address: calls under way fail.
  void drop(NodeId node);
  void drop(const std::string& address);
  // Whether there is a link to this address that has greeted.
  bool linked(const std::string& address) const;
  // Over the link to this address, greeted or not; 0: there is none.
  std::uint64_t bytes_received(const std::string& address) const;
  std::size_t size() const { return links_.size() + ended_.size(); }

 private:
  struct Link {
    std::uint64_t number = 0;  // tells a link from its successor at the same address
    std::optional<NodeId> node;
    kj::Own<rpc::Connection> connection;
    std::optional<wire::Peer::Client> peer;  // when the greeting is through
    kj::Maybe<kj::ForkedPromise<void>> greeting;
    kj::Promise<void> watch = nullptr;
  };

  kj::Promise<void> dial(const std::string& address, std::uint64_t number);
  kj::Promise<void> greet(const std::string& address, std::uint64_t number,
                          kj::Own<kj::AsyncIoStream> stream);
  Link* find(const std::string& address, std::uint64_t number);
  void forget(const std::string& address, std::uint64_t number);

  rpc::Loop& loop_;
  const rpc::Address from_;
  const Handlers handlers_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
  std::uint64_t last_number_ = 0;
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::deque<std::unique_ptr<Link>> ended_;  // to be destroyed in a turn of the loop
};

}  // namespace grapevine::server
