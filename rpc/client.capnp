@0xa3f5d2c1e7b64980;
# Grapevine's client protocol. Any Cap'n Proto RPC implementation is a client: connect to a node's client port
# (4740), bootstrap a Login, log in, and use what it hands out.

using Cxx = import "/capnp/c++.capnp";
using Common = import "common.capnp";
$Cxx.namespace("grapevine::rpc::wire");

const protocolVersion :UInt32 = 1;

interface Login {
  login @0 (protocol :UInt32, clientName :Text, sentMs :UInt64) -> (status :Common.Status, reader :Reader, writer :Writer,
      admin :Admin, node :NodeInfo);
  # Hands out what this connection may do; a capability that is not granted is null. `sentMs`, here and in `execute`: when
  # this was sent, by a clock of the client that never goes back, from any origin; 0: not told. A node that sees by it
  # that a request lay somewhere until its time was over does nothing and answers `unavailable`.
}

struct NodeInfo {
  id @0 :UInt64;
  name @1 :Text;
  cluster @2 :Text;
  version @3 :Text;
  partitions @4 :UInt32;
  replicationFactor @5 :UInt32;
}

enum Consistency {
  quorum @0;   # a majority of the key's owners
  one @1;      # any one owner
  all @2;      # every owner
}

struct Operation {
  key @0 :Data;               # 1 byte to 32 KiB
  consistency @1 :Consistency;
  union {
    get @2 :Void;
    put @3 :Write;
    remove @4 :Write;         # a delete that keeps concurrent writes alive
  }
  session :union {
    none @5 :Void;
    seen @6 :Data;            # what `session` of the results said that came before; empty: a session begins
  }
  # A read shows nothing older than what the session has read of the key or written to it, whichever node answers; if no owner
  # that can be reached has that, `unavailable`. A plain overwrite supersedes all that. Of a `seen` about several keys that
  # counts which is about this one; for other clients than the C++ library it is enough to keep the last result's for each key.

  struct Write {
    value @0 :Data;           # of a put: 0 bytes to 16 MiB
    writeId @1 :UInt64;       # random; the same when the write is retried
    context :union {
      current @2 :Void;       # supersedes what the coordinator knows: a plain overwrite
      seen @3 :Data;          # supersedes exactly what this context has seen; empty: nothing
    }
    ttlMs @4 :UInt64;         # of a put: how long the value lives, up to 100 years; 0: for ever
  }
}

struct Sibling {
  value @0 :Data;
  dot @1 :Common.Dot;
  writtenUnixMs @2 :Int64;
  valueBytes @3 :UInt64;      # also where the value itself is left out
  expiresUnixMs @4 :Int64;    # from then on it reads as deleted; 0: never
}

struct Result {
  union {
    error @0 :Common.Status;
    read @1 :Read;
    written @2 :Written;
  }
  session @3 :Data;              # what the session has now seen of the key; only if the operation told one. Opaque
  struct Read {
    siblings @0 :List(Sibling);  # none: not found. Several: concurrent writes. Sorted by dot.
    context @1 :Data;            # for the next write
  }
  struct Written {
    dot @0 :Common.Dot;
    context @1 :Data;            # covers this write and all that it superseded
  }
}

struct ScanItem {
  key @0 :Data;
  siblings @1 :List(Sibling);    # without values unless they were asked for
}

interface Reader {
  read @0 (operations :List(Operation), timeoutMs :UInt32) -> (results :List(Result));
  # Gets only; a write among them is refused. One result an operation, in order.

  scan @1 (prefix :Data, limit :UInt32, cursor :Data, values :Bool, timeoutMs :UInt32)
      -> (status :Common.Status, items :List(ScanItem), cursor :Data);
  # Keys that begin with `prefix`, in token order; keys that share a hash tag in key order. At most `limit` (1 to
  # 10,000) of them. Go on with the cursor of the answer; an empty one is the end. Keys that stay put while others change
  # are neither skipped nor repeated. Reads one owner of each partition.

  loads @2 () -> (nodes :List(NodeLoad));
  # How busy the members are, as far as the node has heard.

  struct NodeLoad {
    node @0 :UInt64;
    busy @1 :UInt32;               # in rough steps; 0: idle, or it has not said
  }
}

interface Writer extends(Reader) {
  execute @0 (operations :List(Operation), timeoutMs :UInt32, sentMs :UInt64) -> (results :List(Result));
  # Any operations, at most 65,536 and 64 MiB. Each succeeds or fails alone; operations on one key are done in order.
  # The answers have at most 64 MiB, too: reads that do not fit are Unavailable, one that never will ResourceExhausted.
}

struct Reachability {
  node @0 :UInt64;
  reachable @1 :Bool;
  sinceMs @2 :UInt64;               # for how long it has been so
  provenEqualAgoMs @3 :Int64;       # since the pair was last proven equal; -1: never since this node started
}

struct NodeStatus {
  info @0 :NodeInfo;
  ready @1 :Bool;
  notReadyBecause @2 :Text;
  uptimeMs @3 :UInt64;
  epoch @4 :UInt64;
  keys @5 :UInt64;                  # stored entries
  diskBytes @6 :UInt64;
  partitionsOwned @7 :UInt32;
  unquiet @8 :UInt64;               # entries that carry a version vector
  dotLogEntries @9 :UInt64;
  peers @10 :List(Reachability);
  counters @11 :List(Counter);
}

struct Counter {
  name @0 :Text;
  value @1 :UInt64;
}

interface Admin {
  status @0 () -> (status :NodeStatus);
  members @1 () -> (members :List(Common.Member), peers :List(Reachability));

  states @2 () -> (states :List(PartitionOwners));
  # Of every partition that this node owns: clock, root digest, owners.

  openView @3 (partition :UInt32) -> (status :Common.Status, view :Common.ReplicaView, state :Common.PartitionState);
  # For comparing replicas from outside.

  repair @4 (timeoutMs :UInt32) -> (status :Common.Status, report :RepairReport);
  # Runs anti-entropy with every reachable member now, to the end, and says what this node pulled.

  backup @5 (directory :Text, keep :UInt32, bytesPerSecond :UInt64) -> (status :Common.Status, report :BackupReport);
  # The node backs itself up, while it goes on, into directory/NODE-ID on its own machine; the path is absolute. Answers
  # when that is done; the backup goes on when the caller goes. keep: only the newest so many are left, 0: all.
  # bytesPerSecond: 0: no limit. One at a time.

  backupProgress @6 () -> (underWay :Bool, bytesCopied :UInt64);

  backups @7 (directory :Text) -> (status :Common.Status, directory :Text, backups :List(Backup));
  # Those in directory/NODE-ID, oldest first.

  leave @8 (timeoutMs :UInt32) -> (status :Common.Status);
  # The node takes no more writes, is proven equal to every other one that can be reached, gives up its membership, tells
  # the others, and ends. Refused when some partition has no other owner that can be reached; the node then stays.

  remove @9 (node :UInt64) -> (status :Common.Status);
  # Declares a node gone for good: it owns nothing any more, and is refused should it come back. Refused while it answers.

  replace @10 (node :UInt64) -> (status :Common.Status);
  # The same, and the node that is asked takes its place: only what that one owned moves.

  tell @11 (name :Text, payload :Data) -> (status :Common.Status);
  # An event for every node: delivered once in each node's life, within seconds as a rule, in no order. Name: 1 to 64 bytes;
  # payload: at most 1,024. A node tells 16 at once, then one a second.

  events @12 (after :UInt64, timeoutMs :UInt32) -> (events :List(Event), last :UInt64);
  # What has reached this node after event number `after`, as far as it remembers (the last 256); answers when there is
  # any, or when the time is over (at most a minute). `last` is the number to ask on with. A node's numbers begin with 1 in
  # each of its lives; an `after` beyond all of them gets none, at once, and `last`.

  ages @13 (of :List(Dots)) -> (status :Common.Status, ages :List(Age));
  # How long ago these writes came here, as far as the dot log knows. One answer for each, in order.

  struct Dots {
    partition @0 :UInt32;
    dots @1 :List(Common.DotRange);
  }
  struct Age {
    inFlight @0 :UInt64;            # so young that their direct replication is still under way
    oldestMs @1 :Int64;             # -1: the log does not know all of them; the oldest came before those it knows
  }

  struct Event {
    name @0 :Text;
    payload @1 :Data;
    origin @2 :UInt64;              # node id
    sequence @3 :UInt64;            # of the origin: the two name the event
  }

  struct PartitionOwners {
    state @0 :Common.PartitionState;
    owners @1 :List(UInt64);        # node ids
  }
  struct RepairReport {
    peers @0 :UInt32;
    unreachable @1 :UInt32;
    provenEqual @2 :UInt32;
    keysPulled @3 :UInt64;
    bytesPulled @4 :UInt64;
  }
  struct Backup {
    number @0 :UInt32;
    unixSeconds @1 :Int64;
    bytes @2 :UInt64;               # all its files, those that it shares with other backups included
    files @3 :UInt32;
    epoch @4 :UInt64;
  }
  struct BackupReport {
    directory @0 :Text;             # with the node's id
    made @1 :Backup;
    filesNew @2 :UInt32;            # copied; the others were there already
    bytesNew @3 :UInt64;
    deleted @4 :UInt32;             # older backups
    milliseconds @5 :UInt64;
  }
}
