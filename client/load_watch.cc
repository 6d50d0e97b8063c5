#include "client/load_watch.h"

#include <algorithm>
#include <map>

namespace grapevine::client {

LoadWatch::LoadWatch(rpc::Loop& loop, Pool& pool, Duration interval, std::uint64_t seed)
    : loop_(loop), pool_(pool), interval_(interval), balance_(seed) {
  if (interval_ > Duration(0) && pool_.size() > 1) life_ = watch().eagerlyEvaluate(nullptr);
}

kj::Promise<void> LoadWatch::watch() {
  return loop_.after(interval_)
      .then([this] { return ask(); })
      // A node that does not answer, or knows no such call, is the others' concern: we stay.
      .catch_([](kj::Exception&&) {})
      .then([this] { return watch(); });
}

kj::Promise<void> LoadWatch::ask() {
  NodeLink& link = pool_.current();
  if (!link.ready() || link.requests_sent == sent_before_) return kj::READY_NOW;
  sent_before_ = link.requests_sent;
  auto late = loop_.after(std::max<Duration>(interval_, std::chrono::seconds(1)));
  return link.reader()
      .loadsRequest()
      .send()
      .then([this](auto&& answer) {
        std::map<std::uint64_t, std::uint32_t> busy;
        for (const auto node : answer.getNodes()) busy[node.getNode()] = node.getBusy();
        Balance::Busy links;
        for (std::size_t i = 0; i < pool_.size(); ++i) {
          const NodeLink& one = pool_.link(i);
          const auto said = busy.find(one.node());
          const bool usable = one.ready() && one.requests_overdue == 0 && said != busy.end();
          links.push_back(usable ? std::optional(said->second) : std::nullopt);
        }
        if (const auto to = balance_.look(links, pool_.current_index())) pool_.move_to(*to);
      })
      .exclusiveJoin(kj::mv(late));
}

}  // namespace grapevine::client
