// What exchanges say to each other. Values; the wire form is rpc/'s business.
//
// Every request has exactly one answer, or fails. An exchange has one initiator; what the responder
// lacks it pulls in an exchange of its own, which the initiator's states start (push-pull).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gossip/replica.h"
#include "gossip/summary.h"
#include "storage/base/ids.h"
#include "storage/model/clock.h"
#include "storage/model/digest.h"
#include "storage/model/sketch.h"
#include "storage/model/token.h"

namespace grapevine::gossip {

// All partitions that the sender believes both own, together.
using SummaryRequest = Summary;

// One partition in two bytes of the hashes of root digest and clock: whether it is worth looking at.
struct Fingerprint {
  PartitionId partition;
  std::uint16_t print = 0;
};

struct SummaryReply {
  bool equal = false;  // the same data under the same clocks: the pair is proven equal
  std::vector<Fingerprint>
      fingerprints;  // when not equal: the responder's, of all it owns together with the initiator
};

// All shared partitions together, where few keys may differ (comparison.h): what this replica lacks
// in the slots that the cells, or these slots, name.
struct CompareRequest {
  Summary summary;                       // nothing where it is known not to be equal
  std::uint64_t dots = 0;                // that the sender knows in all of them; 0 with slots
  std::vector<model::SketchCell> cells;  // of the sketch of all
  std::vector<model::Slot> slots;        // instead of cells; sorted
};
enum class CompareVerdict : std::uint8_t {
  kEqual,        // the pair is proven equal
  kEntries,      // summary, entries, in_flight, left
  kTooFewCells,  // dots, probes
  kPulling,      // the responder lacks something, and begins an exchange of its own
  kUnlike,       // too much differs, or nothing that keys explain: fingerprints
};
struct CompareReply {
  CompareVerdict verdict = CompareVerdict::kUnlike;
  Summary summary;  // of the moment of the entries
  std::vector<KeyedEntry> entries;
  std::uint64_t in_flight = 0;    // keys left out: their direct replication is on its way
  std::vector<model::Slot> left;  // the byte limit cut the answer: ask for these again
  std::uint64_t dots = 0;
  std::string probes;
  std::vector<Fingerprint> fingerprints;
};

// The whole state of a partition, without data. Only of a view does the whole root travel: else it
// is the low half of the sum, and how many entries are not quiet.
struct PartitionState {
  PartitionId partition;
  model::Clock clock;
  model::DigestShare root;
  // In a StatesReply: the sender's log most likely names all that the request's clock lacks. In a
  // request: it names something, perhaps all.
  bool log_reaches = true;

  bool has_root_of(const PartitionState& other) const { return root.sum.low == other.root.sum.low; }
};

// "These are mine; tell me yours." The responder starts an exchange of its own where it lacks
// something, unless this is one.
struct StatesRequest {
  std::vector<PartitionState> states;
  std::string probes;    // of their sketches together (storage/model/sketch.h)
  bool in_turn = false;  // the sender is the responder of an exchange that these belong to
};
struct StatesReply {
  std::vector<PartitionState>
      states;  // of the same partitions; one that the responder does not own is left out
  std::uint64_t slots = 0;  // about so many slots differ in all; 0: it cannot tell
};

// R4: the entries of these dots.
struct DeltaRequest {
  PartitionId partition;
  std::vector<model::DotRange> dots;
};
struct DeltaReply {
  std::vector<KeyedEntry> entries;  // as many as fit into the byte limit, in order of dot
  std::uint64_t in_flight = 0;  // dots too young to be sent: their direct replication is on its way
  bool log_reaches = true;      // false: the log cannot name every dot; digest pull instead
  bool more = false;  // the byte limit cut the answer: ask again for what is still missing
};

// R5 and R6, against a frozen view that OpenView makes and that lives until the exchange drops it.
struct OpenViewRequest {
  PartitionId partition;
};
struct OpenViewReply {
  PartitionState state;
};
// The digests of the 16 parts of each range.
struct SplitRequest {
  std::vector<model::TokenRange> ranges;
};
struct SplitReply {
  // One for each range: 16 shares, or none where the view's tree does not resolve the parts.
  std::vector<std::vector<model::DigestShare>> parts;
};
// "Here is all that I hold in this range (by hash); give me what you hold differently, and what you
// hold and I do not."
struct PullRequest {
  model::TokenRange range;
  std::vector<Item> items;               // without keys, sorted by key hash
  std::optional<std::string> after_key;  // goes on after this key of an earlier answer
};
struct PullReply {
  std::vector<KeyedEntry>
      entries;  // differing or missing over there, and every one that is not quiet
  std::vector<std::uint64_t>
      absent;  // key hashes of the request that the view does not hold (first answer only)
  std::optional<std::string>
      resume_after;  // the byte limit cut the answer: ask again after this key
};
// The entries of these keys in the view (the second pull of R5).
struct FetchRequest {
  std::vector<std::string> keys;
};
struct FetchReply {
  std::vector<KeyedEntry>
      entries;  // one a key, in order; fewer when the byte limit cut: ask again for the rest
};

// "Subtract these cells from your own of these partitions, and give me what you hold in the slots that
// differ"; or, instead of cells, "give me what you hold in these slots". Of the partitions as they
// are now.
struct SketchRequest {
  std::vector<PartitionId> partitions;  // sorted
  std::uint64_t states_hash = 0;        // hash_states of what their states are thought to be
  std::vector<model::SketchCell> cells;
  std::vector<model::Slot> slots;  // sorted
};
struct SketchReply {
  bool decoded = true;  // false: the cells are too few, and all that follows is empty
  std::vector<PartitionState> states;  // of all partitions, unless their hash is as was thought
  std::vector<KeyedEntry> entries;     // all of a slot, slot by slot
  std::vector<model::Slot> absent;     // nothing is stored in these
  std::vector<model::Slot> crowded;    // more keys than kSlotKeysMax
  std::vector<model::Slot> left;       // the byte limit cut the answer: ask for these again
};

// "Read all that you have stored of this partition: is it what your digests say?" An error when it
// is not. Costs the responder a read of the whole partition.
struct AddUpRequest {
  PartitionId partition;
};
struct AddUpReply {};

using ExchangeRequest =
    std::variant<SummaryRequest, StatesRequest, DeltaRequest, OpenViewRequest, SplitRequest,
                 PullRequest, FetchRequest, AddUpRequest, SketchRequest, CompareRequest>;
using ExchangeReply = std::variant<SummaryReply, StatesReply, DeltaReply, OpenViewReply, SplitReply,
                                   PullReply, FetchReply, AddUpReply, SketchReply, CompareReply>;

}  // namespace grapevine::gossip
