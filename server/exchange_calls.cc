#include "server/exchange_calls.h"

#include <utility>

#include "gossip/states_codec.h"
#include "rpc/errors.h"
#include "server/wire.h"
#include "storage/model/entries_codec.h"

namespace grapevine::server {
namespace {

[[noreturn]] void fail(const absl::Status& status) {
  kj::throwFatalException(rpc::to_exception(status));
}

std::vector<model::KeyedEntry> read_entries(capnp::List<wire::KeyedEntry>::Reader in) {
  std::vector<model::KeyedEntry> entries;
  entries.reserve(in.size());
  for (const auto from : in) {
    auto entry = read(from);
    if (!entry.ok()) fail(entry.status());
    entries.push_back(*std::move(entry));
  }
  return entries;
}

template <typename Value>
Value decoded(absl::StatusOr<Value> value) {
  if (!value.ok()) fail(value.status());
  return *std::move(value);
}

std::vector<model::KeyedEntry> read_entries(capnp::Data::Reader in) {
  return decoded(model::decode_entries(view(in)));
}

void write(const gossip::SketchRequest& request,
           capnp::Request<wire::Peer::SketchParams, wire::Peer::SketchResults>& out) {
  auto partitions = out.initPartitions(static_cast<unsigned>(request.partitions.size()));
  for (unsigned i = 0; i < partitions.size(); ++i) partitions.set(i, request.partitions[i].value);
  out.setStatesHash(request.states_hash);
  std::string cells;
  model::encode_cells(request.cells, cells);
  out.setCells(bytes_of(cells));
  if (!request.slots.empty()) out.setSlots(bytes_of(gossip::encode_slots(request.slots)));
}

void write(const gossip::CompareRequest& request,
           capnp::Request<wire::Peer::CompareParams, wire::Peer::CompareResults>& out) {
  server::write(request.summary, out.initSummary());
  out.setDots(request.dots);
  std::string cells;
  model::encode_cells(request.cells, cells);
  if (!cells.empty()) out.setCells(bytes_of(cells));
  if (!request.slots.empty()) out.setSlots(bytes_of(gossip::encode_slots(request.slots)));
}

gossip::CompareReply read_compared(wire::Peer::CompareResults::Reader in) {
  gossip::CompareReply reply;
  switch (in.getVerdict()) {
    case wire::Peer::Verdict::UNLIKE:
      reply.fingerprints = decoded(gossip::decode_fingerprints(view(in.getFingerprints())));
      break;
    case wire::Peer::Verdict::EQUAL: reply.verdict = gossip::CompareVerdict::kEqual; break;
    case wire::Peer::Verdict::ENTRIES:
      reply.verdict = gossip::CompareVerdict::kEntries;
      reply.summary = read(in.getSummary());
      reply.entries = read_entries(in.getEntries());
      reply.in_flight = in.getInFlight();
      if (in.hasLeft()) reply.left = decoded(gossip::decode_slots(view(in.getLeft())));
      break;
    case wire::Peer::Verdict::TOO_FEW_CELLS:
      reply.verdict = gossip::CompareVerdict::kTooFewCells;
      reply.dots = in.getDots();
      reply.probes = view(in.getProbes());
      break;
    case wire::Peer::Verdict::PULLING: reply.verdict = gossip::CompareVerdict::kPulling; break;
  }
  return reply;  // unlike, where the peer says what this node does not know
}

gossip::PartitionState read_state(wire::PartitionState::Reader in) {
  return decoded(read(in));
}

template <typename Results>
std::size_t bytes_in(const Results& in) {
  return in.totalSize().wordCount * sizeof(capnp::word);
}

}  // namespace

ExchangeCalls::ExchangeCalls(wire::Peer::Client peer, OnEntries on_entries)
    : peer_(kj::mv(peer)), on_entries_(std::move(on_entries)) {}

kj::Promise<gossip::ExchangeReply> ExchangeCalls::make(std::optional<PartitionId> partition,
                                                       const gossip::ExchangeRequest& request) {
  using gossip::ExchangeReply;
  if (const auto* summary = std::get_if<gossip::SummaryRequest>(&request)) {
    auto call = peer_.summaryRequest();
    write(*summary, call.initSummary());
    return call.send().then([](auto&& in) -> ExchangeReply {
      gossip::SummaryReply reply;
      reply.equal = in.getEqual();
      reply.fingerprints = decoded(gossip::decode_fingerprints(view(in.getFingerprints())));
      return reply;
    });
  }
  if (const auto* compare = std::get_if<gossip::CompareRequest>(&request)) {
    auto call = peer_.compareRequest();
    write(*compare, call);
    return call.send().then([on_entries = on_entries_](auto&& in) -> ExchangeReply {
      if (const absl::Status status = read(in.getStatus()); !status.ok()) fail(status);
      on_entries(bytes_in(in));
      return read_compared(in);
    });
  }
  if (const auto* states = std::get_if<gossip::StatesRequest>(&request)) {
    auto call = peer_.statesRequest();
    call.setStates(bytes_of(gossip::encode_states(states->states)));
    call.setProbes(bytes_of(states->probes));
    call.setInTurn(states->in_turn);
    return call.send().then([](auto&& in) -> ExchangeReply {
      return gossip::StatesReply{decoded(gossip::decode_states(view(in.getStates()))),
                                 in.getSlots()};
    });
  }
  if (const auto* sketch = std::get_if<gossip::SketchRequest>(&request)) {
    auto call = peer_.sketchRequest();
    write(*sketch, call);
    return call.send().then([on_entries = on_entries_](auto&& in) -> ExchangeReply {
      if (const absl::Status status = read(in.getStatus()); !status.ok()) fail(status);
      on_entries(bytes_in(in));
      gossip::SketchReply reply;
      reply.decoded = !in.getUndecoded();
      if (!reply.decoded) return reply;
      reply.states = decoded(gossip::decode_states(view(in.getStates())));
      reply.entries = read_entries(in.getEntries());
      reply.absent = decoded(gossip::decode_slots(view(in.getAbsent())));
      reply.crowded = decoded(gossip::decode_slots(view(in.getCrowded())));
      reply.left = decoded(gossip::decode_slots(view(in.getLeft())));
      return reply;
    });
  }
  if (const auto* delta = std::get_if<gossip::DeltaRequest>(&request)) {
    auto call = peer_.deltaRequest();
    call.setPartition(delta->partition.value);
    write(delta->dots, [&](unsigned count) { return call.initDots(count); });
    return call.send().then([on_entries = on_entries_](auto&& in) -> ExchangeReply {
      if (const absl::Status status = read(in.getStatus()); !status.ok()) fail(status);
      on_entries(bytes_in(in));
      gossip::DeltaReply reply;
      reply.entries = read_entries(in.getEntries());
      reply.in_flight = in.getInFlight();
      reply.log_reaches = in.getLogReaches();
      reply.more = in.getMore();
      return reply;
    });
  }
  if (const auto* open = std::get_if<gossip::OpenViewRequest>(&request)) {
    auto call = peer_.openViewRequest();
    call.setPartition(open->partition.value);
    return call.send().then([views = views_, of = open->partition](auto&& in) -> ExchangeReply {
      if (const absl::Status status = read(in.getStatus()); !status.ok()) fail(status);
      views->emplace(of, in.getView());
      return gossip::OpenViewReply{read_state(in.getState())};
    });
  }
  if (const auto* add_up = std::get_if<gossip::AddUpRequest>(&request)) {
    auto call = peer_.addUpRequest();
    call.setPartition(add_up->partition.value);
    return call.send().then([](auto&& in) -> ExchangeReply {
      if (const absl::Status status = read(in.getStatus()); !status.ok()) fail(status);
      return gossip::AddUpReply{};
    });
  }
  const auto view = partition.has_value() ? views_->find(*partition) : views_->end();
  if (view == views_->end()) {
    return rpc::to_exception(absl::InternalError("a view was asked before it was opened"));
  }
  return make(view->second, request);
}

kj::Promise<gossip::ExchangeReply> ExchangeCalls::make(
    wire::ReplicaView::Client view, const gossip::ExchangeRequest& request) const {
  using gossip::ExchangeReply;
  if (const auto* split = std::get_if<gossip::SplitRequest>(&request)) {
    auto call = view.splitRequest();
    write(split->ranges, [&](unsigned count) { return call.initRanges(count); });
    return call.send().then([](auto&& in) -> ExchangeReply {
      gossip::SplitReply reply;
      for (const auto parts : in.getParts()) {
        auto& shares = reply.parts.emplace_back();
        for (const auto share : parts) shares.push_back(read(share));
      }
      return reply;
    });
  }
  if (const auto* pull = std::get_if<gossip::PullRequest>(&request)) {
    auto call = view.pullRequest();
    write(pull->range, call.initRange());
    call.setItems(bytes_of(model::encode_hashes(pull->items)));
    call.setResumes(pull->after_key.has_value());
    if (pull->after_key.has_value()) call.setAfterKey(bytes_of(*pull->after_key));
    return call.send().then([on_entries = on_entries_](auto&& in) -> ExchangeReply {
      on_entries(bytes_in(in));
      gossip::PullReply reply;
      reply.entries = read_entries(in.getEntries());
      for (const std::uint64_t hash : in.getAbsent()) reply.absent.push_back(hash);
      if (in.getMore()) reply.resume_after = std::string(server::view(in.getResumeAfter()));
      return reply;
    });
  }
  const auto& fetch = std::get<gossip::FetchRequest>(request);
  auto call = view.fetchRequest();
  auto keys = call.initKeys(static_cast<unsigned>(fetch.keys.size()));
  for (unsigned i = 0; i < keys.size(); ++i) keys.set(i, bytes_of(fetch.keys[i]));
  return call.send().then([on_entries = on_entries_](auto&& in) -> ExchangeReply {
    on_entries(bytes_in(in));
    return gossip::FetchReply{read_entries(in.getEntries())};
  });
}

}  // namespace grapevine::server
