// Closing of actors that have ended (R8): when an owner of a partition may say that every dot of
// them counts as seen.
//
// A dot whose only copies were lost leaves a gap for good, and every epoch of a node an item in the
// clocks. Once it is certain that no owner holds a dot of an ended actor that this replica lacks,
// the replica closes it: one item for all the node's ended epochs. The others adopt that as any
// difference of clocks. The owners' ended epochs are closed in any case: vectors elsewhere may
// mention them where the clock does not.
//
// It is certain when each other owner was heard: an exchange with it began after it knew of every
// end that this node knows, and brought all that it had: its dots, and what the vectors of its
// entries know beyond them. For an owner that knows of the end refuses what is replicated late by
// the ended actor (ended()), so that its dots come to it only from other owners, and their number
// is final. Nothing that was acknowledged is lost: that was durable at W
// owners before its coordinator ended; what comes later is not acknowledged, since it is refused.
//
// One owner closes, the first in the partition's order: two that close for themselves might hold
// different entries under equal clocks, if ever that reasoning failed; an adopted marker comes with
// the entries.
//
// An epoch ends when the node's member record carries a higher one, as that of a node that has left
// does, or says that the node was removed; a record never goes back (member.h). Where a copied
// directory makes two lives of one node, each takes an epoch beyond the other's as soon as it hears
// of it, and until then counts as an owner that was not told of the end.
//
// A machine, all in memory: after a restart it hears everybody again. Bounds: an instant for each
// partition and each other owner of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "gossip/member.h"
#include "storage/base/ids.h"
#include "storage/base/time.h"
#include "storage/model/clock.h"

namespace grapevine::gossip {

struct ClosingOptions {
  Duration settle = std::chrono::seconds(10);  // from the last end of any actor on
};

class Closing {
 public:
  Closing(NodeId self, const ClosingOptions& options) : self_(self), options_(options) {}

  // The member records, at first and whenever one has changed.
  void members(const std::vector<MemberRecord>& records, Instant now);
  // `peer` has answered a call that was begun at this time and carried the member list: it knows
  // what this node knew then.
  void told(NodeId peer, Instant begun);
  // The connection to `peer` broke: whoever answers next may be another life of it.
  void lost(NodeId peer) { told_.erase(peer); }
  // What `peer` knows, as a mark for an exchange with it that begins now.
  std::optional<Instant> mark(NodeId peer) const;
  // Whether such an exchange is to bring all that the peer knows of the partition
  // (ExchangeOptions::hear_all): actors wait for it to be closed.
  bool must_hear(NodeId peer, PartitionId partition, const std::vector<NodeId>& owners,
                 const model::Clock& clock, bool unquiet) const;
  // That exchange has brought it.
  void heard(NodeId peer, Instant mark, const std::vector<PartitionId>& partitions);

  // Whether the actor has ended: nothing that it replicates may be taken any more.
  bool ended(ActorId actor) const { return actor.epoch() < first_open(actor.node()); }
  // What is to be closed now: of each node the last ended epoch. `unquiet`: entries of the partition
  // carry vectors, which may mention actors that the clock does not. Sorted.
  std::vector<ActorId> due(PartitionId partition, const std::vector<NodeId>& owners,
                           const model::Clock& clock, bool unquiet, Instant now) const;

 private:
  std::uint64_t first_open(NodeId node) const;
  std::vector<ActorId> unclosed(const std::vector<NodeId>& owners, const model::Clock& clock,
                                bool unquiet) const;
  Instant since() const { return last_end_ + options_.settle; }
  bool was_heard(NodeId peer, PartitionId partition) const;

  NodeId self_;
  ClosingOptions options_;
  std::map<NodeId, std::uint64_t> first_open_;  // the node's lower epochs have ended
  Instant last_end_;
  std::map<NodeId, Instant> told_;
  std::map<PartitionId, std::map<NodeId, Instant>> heard_;  // the mark of the last exchange
};

}  // namespace grapevine::gossip
