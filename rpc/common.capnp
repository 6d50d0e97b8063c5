@0xd1a7c5f0b8e94c31;
# Words that the client's and the peers' protocols share.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("grapevine::rpc::wire");

enum Code {
  # Why a call or an operation was not done. A new code may appear: treat one you do not know as `internal`.
  ok @0;
  invalidArgument @1;   # bad input or over a limit: the same call can never succeed
  unavailable @2;       # nothing was written: try again, here or elsewhere
  outcomeUnknown @3;    # the write may or may not have happened, and may still spread
  overloaded @4;        # overloaded or full: nothing was written, try again later
  refused @5;           # refused in this state: another cluster, not ready, no permission
  dataLoss @6;          # corruption was noticed
  notFound @7;
  cancelled @8;
  internal @9;
}

struct Status {
  code @0 :Code;
  text @1 :Text;        # one line: what, which, what to do
}

struct Dot {
  # Names one write within one partition.
  actor @0 :UInt64;     # 44 bits node, 20 bits epoch
  counter @1 :UInt64;   # 1, 2, 3, …
}

struct DotRange {
  actor @0 :UInt64;
  first @1 :UInt64;
  last @2 :UInt64;
}

struct VersionVector {
  items @0 :List(Dot);  # actor -> counter, sorted by actor, no counter 0
}

struct Version {
  dot @0 :Dot;
  writtenUnixMs @1 :Int64;  # by the coordinator's clock
  writeId @2 :UInt64;       # the same when a write is retried
  checksum @3 :UInt64;      # xxh3-64 of the value
  valueBytes @4 :UInt64;
  hasValue @5 :Bool;        # false: a head, the value is left out
  value @6 :Data;
  expiresUnixMs @7 :Int64;  # from then on it reads as deleted; 0: never
}

struct Entry {
  versions @0 :List(Version);  # live, sorted by dot
  vector @1 :VersionVector;    # filled
}

struct KeyedEntry {
  key @0 :Data;
  entry @1 :Entry;
  events @2 :List(Dot);
}

struct TokenRange {
  first @0 :UInt64;
  last @1 :UInt64;
}

struct DigestShare {
  # What a range of tokens adds to a digest tree. A sum modulo 2^128.
  sumLow @0 :UInt64;
  sumHigh @1 :UInt64;
  keys @2 :UInt32;
  unquiet @3 :UInt32;
}

struct PartitionState {
  partition @0 :UInt32;
  clock @1 :Data;           # as storage/README.md describes it
  root @2 :DigestShare;
}

struct Item {
  key @0 :Data;             # empty where only hashes travel
  keyHash @1 :UInt64;
  digest @2 :UInt64;
  unquiet @3 :Bool;
}

interface ReplicaView {
  # One partition frozen at one moment: clock, digests and entries fit each other. Costs its node a database snapshot:
  # drop it soon. The node ends views that are idle for a minute.

  split @0 (ranges :List(TokenRange)) -> (parts :List(List(DigestShare)));
  # For each range the digests of its 16 parts, or an empty list where the tree does not resolve them.

  pull @1 (range :TokenRange, items :Data, afterKey :Data, resumes :Bool)
      -> (entries :Data, absent :List(UInt64), resumeAfter :Data, more :Bool);
  # What the view holds in the range that `items` (key hash and digest, 8 bytes each, sorted by hash) do not: differing,
  # missing, or not quiet. `entries` as storage/model/entries_codec.h has them. `absent` names the hashes that the view does not hold. When `more`, ask again with resumes = true and
  # afterKey = resumeAfter.

  fetch @2 (keys :List(Data), headsOnly :Bool) -> (entries :List(KeyedEntry));
  # One entry a key, in order; fewer when the answer would grow too large.

  items @3 (range :TokenRange, limit :UInt32, afterKey :Data, resumes :Bool)
      -> (items :List(Item), more :Bool);
  # The stored keys of the range, in token order.
}

enum MemberState {
  up @0;
  left @1;
  removed @2;
}

struct Member {
  id @0 :UInt64;
  epoch @1 :UInt64;
  name @2 :Text;
  peerAddress @3 :Text;
  clientAddress @4 :Text;
  httpAddress @5 :Text;
  zone @6 :Text;
  weight @7 :UInt32;
  state @8 :MemberState;
  incarnation @9 :UInt64;
  protocolMin @10 :UInt32;
  protocolMax @11 :UInt32;
  version @12 :Text;
  place @13 :UInt64;        # in placement: of the node that this one has replaced; 0: its own
}
