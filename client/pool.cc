#include "client/pool.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grapevine::client {

Pool::Pool(rpc::Loop& loop, const std::vector<rpc::Address>& endpoints, const LinkOptions& options,
           std::function<void()> on_ready)
    : on_ready_(std::move(on_ready)) {
  NodeLink::Observer& observer = *this;
  for (const auto& endpoint : endpoints) {
    links_.push_back(std::make_unique<NodeLink>(loop, endpoint, options, observer));
  }
}

void Pool::start(absl::AnyInvocable<void(absl::Status)> first) {
  first_ = std::move(first);
  for (const auto& link : links_) link->start();
}

NodeLink* Pool::choose(const NodeLink* avoid) {
  const auto find = [&](auto&& acceptable) -> NodeLink* {
    for (std::size_t step = 0; step < links_.size(); ++step) {
      const std::size_t index = (current_ + step) % links_.size();
      NodeLink* link = links_[index].get();
      if (!link->ready() || !acceptable(*link)) continue;
      if (avoid == nullptr) current_ = index;
      return link;
    }
    return nullptr;
  };
  if (auto* link =
          find([&](const NodeLink& one) { return &one != avoid && one.requests_overdue == 0; }))
    return link;
  if (auto* link = find([&](const NodeLink& one) { return &one != avoid; })) return link;
  return find([](const NodeLink&) { return true; });
}

std::string Pool::why_unreachable() const {
  std::string text;
  for (const auto& link : links_) {
    if (link->ready()) return "";
    if (!text.empty()) text += "; ";
    text += link->why_down().ok() ? fmt::format("{} has not answered yet", link->name())
                                  : std::string(text_of(link->why_down()));
  }
  return text;
}

void Pool::link_ready(NodeLink&) {
  if (first_ != nullptr) std::exchange(first_, nullptr)(absl::OkStatus());
  on_ready_();
}

void Pool::link_down(NodeLink&) {
  if (first_ == nullptr) return;
  const bool all_failed = std::all_of(links_.begin(), links_.end(),
                                      [](const auto& link) { return !link->why_down().ok(); });
  if (all_failed) std::exchange(first_, nullptr)(none_answered());
}

// FailedPrecondition when a node answered and refused: that is worth more to the user than one that
// is down.
absl::Status Pool::none_answered() const {
  for (const auto& link : links_) {
    if (absl::IsFailedPrecondition(link->why_down())) return link->why_down();
  }
  return absl::UnavailableError(
      fmt::format("no node answers: {}; is grapevined running there?", why_unreachable()));
}

}  // namespace grapevine::client
