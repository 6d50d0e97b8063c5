// What an exchange asks of its peer, as calls.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <kj/async.h>

#include "gossip/messages.h"
#include "server/wire.h"
#include "storage/base/ids.h"

namespace grapevine::server {

// Of one exchange. It may go while calls are under way.
class ExchangeCalls {
 public:
  // `on_entries`: an answer that may bring entries has come, of so many bytes. It outlives the calls.
  using OnEntries = std::function<void(std::size_t)>;
  ExchangeCalls(wire::Peer::Client peer, OnEntries on_entries);

  // `partition`: that the request is about, where it is about a single one. Rejected by what the peer
  // says, and for an answer that cannot be read. A view that was opened stays open until it is closed.
  kj::Promise<gossip::ExchangeReply> make(std::optional<PartitionId> partition,
                                          const gossip::ExchangeRequest& request);
  void close_view(PartitionId partition) { views_->erase(partition); }

 private:
  using Views = std::map<PartitionId, wire::ReplicaView::Client>;

  kj::Promise<gossip::ExchangeReply> make(wire::ReplicaView::Client view,
                                          const gossip::ExchangeRequest& request) const;

  wire::Peer::Client peer_;
  OnEntries on_entries_;
  std::shared_ptr<Views> views_ = std::make_shared<Views>();
};

}  // namespace grapevine::server
