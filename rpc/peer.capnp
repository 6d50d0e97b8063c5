@0xc86e0f94a1d75b23;
# What nodes say to each other, on the peer port (4741). A connection bootstraps a Greeting; after a mutual hello
# it hands out the Peer.

using Cxx = import "/capnp/c++.capnp";
using Common = import "common.capnp";
using Client = import "client.capnp";
$Cxx.namespace("grapevine::rpc::wire");

struct Hello {
  cluster @0 :Text;
  partitions @1 :UInt32;
  replicationFactor @2 :UInt32;
  member @3 :Common.Member;
  sentMs @4 :UInt64;           # by the sender's clock that never goes back; 0: not told
  keyPrints @5 :List(UInt64);  # of the cluster's keys that the sender has (rpc/seal.h), that it seals with first
  process @6 :UInt64;          # drawn by the process: tells two under one node id apart
  uptimeMs @7 :UInt64;
}

interface Greeting {
  hello @0 (me :Hello) -> (status :Common.Status, you :Hello, peer :Peer);
  # Refused, with a status that says why on both sides, when cluster name, key, partitions, replication factor or protocol
  # version do not fit, or when the caller was removed from the cluster. Of two processes under one node id the younger one ends.
}

interface Peer {
  sync @0 (state :Data) -> (state :Data);
  # Push-pull of what is known of the members, and of the rumours (gossip/README.md, Push-pull). No bytes: no push-pull,
  # and none in the answer; a sign of life is all that is asked for.

  actorTops @1 (actor :UInt64) -> (tops :List(UInt64));
  # The highest counter of this actor that each partition's clock here holds (0: none), by partition: lets a node that
  # starts see whether it forgot dots it issued.

  replicate @2 (entries :List(Common.KeyedEntry)) -> ();
  # Joins the entries, all or none; answered when they are durable here.

  read @3 (keys :List(Data), headsOnly :Bool) -> (results :List(ReadResult));
  # The filled entries of these keys, in order.

  forward @4 (operations :List(Client.Operation), timeoutMs :UInt32, sentMs :UInt64)
      -> (results :List(Client.Result));
  # Coordinates operations of a node that does not own their keys. Never forwarded again; not done when it lay somewhere
  # until its time was over (`sentMs`, as in Hello).

  forwardScan @5 (partition :UInt32, prefix :Data, limit :UInt32, afterKey :Data, resumes :Bool, values :Bool)
      -> (status :Common.Status, items :List(Client.ScanItem), more :Bool, lastSeen :Data);

  summary @6 (summary :Summary) -> (equal :Bool, fingerprints :Data);
  states @7 (states :Data, probes :Data, inTurn :Bool) -> (states :Data, slots :UInt64);
  # Fingerprints, states and slots as gossip/states_codec.h has them, probes and cells as storage/model/sketch.h.
  delta @8 (partition :UInt32, dots :List(Common.DotRange)) -> (status :Common.Status,
      entries :Data, inFlight :UInt64, logReaches :Bool, more :Bool);
  # `entries` as storage/model/entries_codec.h has them.
  openView @9 (partition :UInt32) -> (status :Common.Status, view :Common.ReplicaView,
      state :Common.PartitionState);

  addUp @10 (partition :UInt32) -> (status :Common.Status);
  # Reads every stored entry of the partition: OK when they are what the digests say. Takes as long as reading them; the
  # caller drops the call to give up.

  sketch @11 (partitions :List(UInt32), statesHash :UInt64, cells :Data, slots :Data)
      -> (status :Common.Status, undecoded :Bool, states :Data, entries :Data, absent :Data, crowded :Data, left :Data);
  # Either cells or slots. States: none when their hash is statesHash.

  compare @12 (summary :Summary, dots :UInt64, cells :Data, slots :Data)
      -> (status :Common.Status, verdict :Verdict, summary :Summary, dots :UInt64, entries :Data, inFlight :UInt64,
          left :Data, probes :Data, fingerprints :Data);
  # All that both own, as gossip/comparison.h says. Cells or slots.

  enum Verdict {
    unlike @0;        # fingerprints
    equal @1;
    entries @2;       # summary, entries, inFlight, left
    tooFewCells @3;   # dots, probes
    pulling @4;       # what the one who answers lacks, in an exchange of its own
  }
  struct ReadResult {
    status @0 :Common.Status;
    entry @1 :Common.Entry;
  }
  struct Summary {
    rootsLow @0 :UInt64;
    rootsHigh @1 :UInt64;
    clocks @2 :UInt64;
  }
}
