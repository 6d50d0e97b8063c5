// The client's links to all its endpoints, and the choice among them.
//
// Resource. Stays with one node as long as that is ready and answers, so that a client usually
// reads what it wrote; moves to the next endpoint when it is not, and where it is told to.
//
// Bounds: one link an endpoint. Owner and thread: the client; its own thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "client/node_link.h"

namespace grapevine::client {

class Pool final : private NodeLink::Observer {
 public:
  // `on_ready` is told whenever a link has become ready.
  Pool(rpc::Loop& loop, const std::vector<rpc::Address>& endpoints, const LinkOptions& options,
       std::function<void()> on_ready);

  // Begins to dial all of them. `first` is told once: ok when the first link is ready, else, after
  // every endpoint has failed once, why.
  void start(absl::AnyInvocable<void(absl::Status)> first);

  // A ready link, another than `avoid` if there is one; nullptr when none is ready. With `avoid`
  // nullptr: the current one, and from now on current.
  NodeLink* choose(const NodeLink* avoid);

  std::size_t size() const { return links_.size(); }
  NodeLink& link(std::size_t index) { return *links_[index]; }
  std::size_t current_index() const { return current_; }
  NodeLink& current() { return *links_[current_]; }
  void move_to(std::size_t index) { current_ = index; }
  // One clause an endpoint: why it is down. Empty when one is ready.
  std::string why_unreachable() const;

 private:
  void link_ready(NodeLink& link) override;
  void link_down(NodeLink& link) override;
  absl::Status none_answered() const;

  std::vector<std::unique_ptr<NodeLink>> links_;
  std::size_t current_ = 0;
  const std::function<void()> on_ready_;
  absl::AnyInvocable<void(absl::Status)> first_;  // null once told
};

}  // namespace grapevine::client
