#include "server/peer_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "gossip/states_codec.h"
#include "rpc/errors.h"
#include "rpc/lateness.h"
#include "server/node.h"
#include "server/off_loop.h"
#include "storage/base/limits.h"
#include "storage/base/planted_flaws.h"
#include "storage/model/entries_codec.h"

namespace grapevine::server {
namespace {

constexpr std::size_t kReadKeysMax = kBatchOperationsMax;

// Of a request that names what differs by cells, or by slots.
template <typename Params, typename Request>
void read_cells_or_slots(const Params& params, Request& request) {
  auto cells = model::decode_cells(view(params.getCells()));
  rpc::throw_if_error(cells.status());
  request.cells = *std::move(cells);
  if (!params.hasSlots()) return;
  auto slots = gossip::decode_slots(view(params.getSlots()));
  rpc::throw_if_error(slots.status());
  request.slots = *std::move(slots);
}

void write_compared(const gossip::CompareReply& reply, wire::Peer::CompareResults::Builder out) {
  switch (reply.verdict) {
    case gossip::CompareVerdict::kUnlike:
      out.setVerdict(wire::Peer::Verdict::UNLIKE);
      out.setFingerprints(bytes_of(gossip::encode_fingerprints(reply.fingerprints)));
      break;
    case gossip::CompareVerdict::kEqual: out.setVerdict(wire::Peer::Verdict::EQUAL); break;
    case gossip::CompareVerdict::kEntries:
      out.setVerdict(wire::Peer::Verdict::ENTRIES);
      write(reply.summary, out.initSummary());
      out.setEntries(bytes_of(model::encode_entries(reply.entries)));
      out.setInFlight(reply.in_flight);
      if (!reply.left.empty()) out.setLeft(bytes_of(gossip::encode_slots(reply.left)));
      break;
    case gossip::CompareVerdict::kTooFewCells:
      out.setVerdict(wire::Peer::Verdict::TOO_FEW_CELLS);
      out.setDots(reply.dots);
      out.setProbes(bytes_of(reply.probes));
      break;
    case gossip::CompareVerdict::kPulling: out.setVerdict(wire::Peer::Verdict::PULLING); break;
  }
}

class PeerService final : public wire::Peer::Server {
 public:
  PeerService(Node& node, NodeId caller, const rpc::Lateness& lateness)
      : node_(node), caller_(caller), lateness_(lateness) {}

  // Nothing more is done for who was removed, nor by a node that stops: others must not take it for
  // one that has heard them.
  DispatchCallResult dispatchCall(
      std::uint64_t interface, std::uint16_t method,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    rpc::throw_if_error(node_.may_call(caller_));
    return wire::Peer::Server::dispatchCall(interface, method, context);
  }

  kj::Promise<void> sync(SyncContext context) override {
    const std::string_view bytes = view(context.getParams().getState());
    if (bytes.empty()) return kj::READY_NOW;
    const auto call = gossip::decode_push_pull(bytes);
    rpc::throw_if_error(call.status());
    if (call->from != caller_) {
      rpc::throw_if_error(
          absl::InvalidArgumentError(fmt::format("push-pull of node {} over a link of node {}",
                                                 to_string(call->from), to_string(caller_))));
    }
    context.getResults().setState(
        bytes_of(gossip::encode_push_pull(node_.cluster().on_push_pull(*call))));
    return kj::READY_NOW;
  }

  kj::Promise<void> actorTops(ActorTopsContext context) override {
    const auto tops = node_.store().tops(ActorId{context.getParams().getActor()});
    auto out = context.getResults().initTops(static_cast<unsigned>(tops.size()));
    for (unsigned i = 0; i < out.size(); ++i) out.set(i, tops[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> replicate(ReplicateContext context) override {
    std::vector<model::KeyedEntry> entries;
    for (const auto from : context.getParams().getEntries()) {
      auto entry = server::read(from);
      rpc::throw_if_error(entry.status());
      check_not_ended(*entry);
      entries.push_back(*std::move(entry));
    }
    if (GRAPEVINE_FLAW(drops_the_last_of_several) && entries.size() > 1) entries.pop_back();
    context.releaseParams();
    const auto number = node_.replica().receive(entries, storage::Reach::kMemory);
    if (!storage::is_cold(number.status())) return durable(number);
    std::vector<std::string> keys;
    for (const model::KeyedEntry& entry : entries) keys.push_back(entry.key);
    return when_warm(node_.store(), std::move(keys), [this, entries = std::move(entries)] {
      return durable(node_.replica().receive(entries, storage::Reach::kDisk));
    });
  }

  kj::Promise<void> read(ReadContext context) override {
    const auto params = context.getParams();
    const auto keys = params.getKeys();
    if (keys.size() > kReadKeysMax) {
      rpc::throw_if_error(absl::InvalidArgumentError(
          fmt::format("request of a peer: {} keys, the limit is {}", keys.size(), kReadKeysMax)));
    }
    const auto values = params.getHeadsOnly() ? model::Values::kWithout : model::Values::kWith;
    auto results = context.getResults().initResults(keys.size());
    std::vector<unsigned> cold;
    std::vector<std::string> cold_keys;
    for (unsigned i = 0; i < keys.size(); ++i) {
      if (const absl::Status lost = check_complete(node_.store().partitioning().of(view(keys[i])));
          !lost.ok()) {
        write(lost, results[i].initStatus());
        continue;
      }
      const auto entry = node_.store().load(view(keys[i]), values, storage::Reach::kMemory);
      if (storage::is_cold(entry.status())) {
        cold.push_back(i);
        cold_keys.emplace_back(view(keys[i]));
      } else {
        write_loaded(entry, results[i]);
      }
    }
    if (cold.empty()) return kj::READY_NOW;
    return when_warm(node_.store(), std::move(cold_keys),
                     [this, context, cold = std::move(cold), values, results]() mutable {
                       for (const unsigned i : cold) {
                         write_loaded(
                             node_.store().load(view(context.getParams().getKeys()[i]), values),
                             results[i]);
                       }
                     });
  }

  kj::Promise<void> forward(ForwardContext context) override {
    const auto params = context.getParams();
    const std::uint64_t sent = GRAPEVINE_FLAW(carries_out_late_requests) ? 0 : params.getSentMs();
    const auto left = lateness_.left_of(std::chrono::milliseconds(params.getTimeoutMs()), sent,
                                        node_.loop().now());
    rpc::throw_if_error(left.status());
    std::vector<Operation> operations;
    for (const auto operation : params.getOperations())
      operations.push_back(server::read(operation));
    return node_.coordination()
        .execute(std::move(operations), /*may_forward=*/false, *left)
        .then([context](std::vector<OperationAnswer> answers) mutable {
          fit_answers(answers);
          auto results = context.getResults();
          write(answers, [&](unsigned count) { return results.initResults(count); });
        });
  }

  kj::Promise<void> forwardScan(ForwardScanContext context) override {
    const auto params = context.getParams();
    PartitionScan scan;
    scan.partition = known(params.getPartition());
    scan.prefix = view(params.getPrefix());
    scan.limit = std::min<std::size_t>(params.getLimit(), kScanKeysMax);
    if (params.getResumes()) scan.after_key = std::string(view(params.getAfterKey()));
    scan.values = params.getValues();
    rpc::throw_if_error(check_complete(scan.partition));
    return scan_partition(node_.store(), std::move(scan))
        .then([context](PartitionPage page) mutable {
          auto results = context.getResults();
          write(page.keys, [&](unsigned count) { return results.initItems(count); });
          results.setMore(page.more);
          results.setLastSeen(bytes_of(page.last_seen));
        });
  }

  kj::Promise<void> summary(SummaryContext context) override {
    const gossip::SummaryRequest request = server::read(context.getParams().getSummary());
    const auto reply =
        gossip::answer(node_.replica(), node_.cluster().shared_with(caller_), request);
    if (reply.equal) node_.anti_entropy().proven_equal(caller_);
    auto results = context.getResults();
    results.setEqual(reply.equal);
    results.setFingerprints(bytes_of(gossip::encode_fingerprints(reply.fingerprints)));
    return kj::READY_NOW;
  }

  kj::Promise<void> states(StatesContext context) override {
    gossip::StatesRequest request;
    auto theirs = gossip::decode_states(view(context.getParams().getStates()));
    rpc::throw_if_error(theirs.status());
    request.states = *std::move(theirs);
    request.probes = view(context.getParams().getProbes());
    // In turn a node answers for what it has offered, though it owns it no more (handover.h).
    request.in_turn = context.getParams().getInTurn();
    std::erase_if(request.states, [&](const gossip::PartitionState& state) {
      return state.partition.value >= node_.store().partitioning().count() ||
             (!request.in_turn && !node_.cluster().owns(node_.cluster().self(), state.partition));
    });
    std::vector<PartitionId> partitions;
    for (const gossip::PartitionState& state : request.states)
      partitions.push_back(state.partition);
    const gossip::StatesReply reply = gossip::answer(node_.replica(), partitions, request);
    auto results = context.getResults();
    results.setStates(bytes_of(gossip::encode_states(reply.states)));
    results.setSlots(reply.slots);
    if (!request.in_turn) {
      node_.anti_entropy().on_states(caller_, std::move(request.states), reply.slots);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> compare(CompareContext context) override {
    if (node_.cluster().protocol_with(caller_) < 2) {
      rpc::throw_if_error(absl::UnimplementedError("comparing came with protocol 2 between nodes"));
    }
    const auto params = context.getParams();
    gossip::CompareRequest request;
    request.summary = server::read(params.getSummary());
    request.dots = params.getDots();
    read_cells_or_slots(params, request);
    const std::vector<PartitionId> partitions = node_.cluster().shared_with(caller_);
    auto judgement = gossip::judge(node_.replica(), partitions, request, limits_);
    rpc::throw_if_error(judgement.status());
    if (judgement->verdict == gossip::CompareVerdict::kEqual) {
      node_.anti_entropy().proven_equal(caller_);
    } else if (judgement->verdict == gossip::CompareVerdict::kPulling) {
      node_.anti_entropy().on_compared(caller_, {judgement->slots, judgement->dots_apart});
    }
    std::vector<model::TokenRange> ranges;
    if (judgement->verdict == gossip::CompareVerdict::kEntries) {
      ranges = gossip::ranges_of(judgement->slots);
    }
    return when_warm(node_.store(), std::move(ranges), limits_.slots_max * gossip::kSlotKeysMax,
                     [this, context, partitions, judged = *std::move(judgement)]() mutable {
                       const auto reply =
                           gossip::answer(node_.replica(), partitions, judged, limits_now());
                       auto results = context.getResults();
                       write(reply.status(), results.initStatus());
                       if (reply.ok()) write_compared(*reply, results);
                     });
  }

  kj::Promise<void> sketch(SketchContext context) override {
    const auto params = context.getParams();
    gossip::SketchRequest request;
    for (const std::uint32_t partition : params.getPartitions()) {
      request.partitions.push_back(known(partition));
    }
    request.states_hash = params.getStatesHash();
    read_cells_or_slots(params, request);
    auto slots = gossip::slots_of(node_.replica(), request, limits_);
    if (!slots.ok()) {
      write(slots.status(), context.getResults().initStatus());
      return kj::READY_NOW;
    }
    std::vector<model::TokenRange> ranges;
    if (slots->has_value()) ranges = gossip::ranges_of(**slots);
    return when_warm(
        node_.store(), std::move(ranges), limits_.slots_max * gossip::kSlotKeysMax,
        [this, context, request = std::move(request), slots = *std::move(slots)]() mutable {
          const auto reply = gossip::answer(node_.replica(), request, slots, limits_);
          auto results = context.getResults();
          write(reply.status(), results.initStatus());
          if (!reply.ok()) return;
          results.setUndecoded(!reply->decoded);
          if (!reply->decoded) return;
          results.setStates(bytes_of(gossip::encode_states(reply->states)));
          results.setEntries(bytes_of(model::encode_entries(reply->entries)));
          results.setAbsent(bytes_of(gossip::encode_slots(reply->absent)));
          results.setCrowded(bytes_of(gossip::encode_slots(reply->crowded)));
          results.setLeft(bytes_of(gossip::encode_slots(reply->left)));
        });
  }

  kj::Promise<void> delta(DeltaContext context) override {
    const auto params = context.getParams();
    auto dots = server::read(params.getDots());
    rpc::throw_if_error(dots.status());
    gossip::DeltaRequest request{known(params.getPartition()), *std::move(dots)};
    std::vector<std::string> keys = gossip::keys_of(node_.replica(), request, limits_);
    return when_warm(
        node_.store(), std::move(keys),
        [this, context, request = std::move(request)]() mutable {
          const auto reply = gossip::answer(node_.replica(), request, limits_now());
          auto results = context.getResults();
          write(reply.status(), results.initStatus());
          if (!reply.ok()) return;
          results.setEntries(bytes_of(model::encode_entries(reply->entries)));
          results.setInFlight(reply->in_flight);
          results.setLogReaches(reply->log_reaches);
          results.setMore(reply->more);
        },
        limits_.reply_bytes_max);
  }

  kj::Promise<void> openView(OpenViewContext context) override {
    const PartitionId partition = known(context.getParams().getPartition());
    auto opened = node_.views().open(partition);
    auto results = context.getResults();
    write(opened.status(), results.initStatus());
    if (!opened.ok()) return kj::READY_NOW;
    write(gossip::state_of(*opened->frozen, partition), results.initState());
    results.setView(kj::mv(opened->view));
    return kj::READY_NOW;
  }

  kj::Promise<void> addUp(AddUpContext context) override {
    const PartitionId partition = known(context.getParams().getPartition());
    const model::Token first = node_.store().partitioning().range(partition).first;
    return add_up(partition, first).then([context](const absl::Status& status) mutable {
      write(status, context.getResults().initStatus());
    });
  }

 private:
  // The rest of the partition, stretch by stretch, for as long as the caller waits.
  kj::Promise<absl::Status> add_up(PartitionId partition, model::Token from) {
    using Next = absl::StatusOr<std::optional<model::Token>>;
    auto added = kj::newPromiseAndFulfiller<Next>();
    node_.store().add_up(
        partition, from, kKeysAddedUpAtOnce,
        [fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<Next>>>(
             kj::mv(added.fulfiller))](Next next) { (*fulfiller)->fulfill(std::move(next)); });
    return added.promise.then([this, partition](const Next& next) -> kj::Promise<absl::Status> {
      if (!next.ok()) return next.status();
      if (!next->has_value()) return absl::OkStatus();
      return add_up(partition, **next);
    });
  }

  // With what is on its way to the caller at this moment.
  gossip::ResponderLimits limits_now() const {
    gossip::ResponderLimits limits = limits_;
    auto dots = node_.coordination().on_their_way(caller_);
    if (dots.empty()) return limits;
    limits.on_its_way = [dots = std::move(dots)](PartitionId partition, model::Dot dot) {
      return std::binary_search(dots.begin(), dots.end(), std::pair(partition, dot));
    };
    return limits;
  }

  // R9: what this node does not hold of such a partition may well exist.
  absl::Status check_complete(PartitionId partition) const {
    if (!node_.store().suspect(partition)) return absl::OkStatus();
    return absl::UnavailableError(
        "this node has lost entries of the key's partition and is getting them back; ask another "
        "owner");
  }

  // R8: what an actor replicates that has ended, or is closed here, is not taken, hence not
  // acknowledged: the join would drop it.
  void check_not_ended(const model::KeyedEntry& entry) const {
    const PartitionId partition = node_.store().partitioning().of(entry.key);
    for (const model::Dot event : entry.events) {
      const bool closed = node_.store().live(partition).clock().closed(event.actor);
      if (!closed && !node_.anti_entropy().ended(event.actor)) continue;
      rpc::throw_if_error(absl::AbortedError(fmt::format(
          "write of {}, an epoch of the node that has ended: not taken", to_string(event.actor))));
    }
  }

  kj::Promise<void> durable(const absl::StatusOr<storage::CommitNumber>& number) {
    rpc::throw_if_error(number.status());
    auto durable = kj::newPromiseAndFulfiller<void>();
    node_.store().when_durable(*number,
                               [fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<void>>>(
                                    kj::mv(durable.fulfiller))] { (*fulfiller)->fulfill(); });
    return kj::mv(durable.promise);
  }

  static void write_loaded(const absl::StatusOr<model::Entry>& entry,
                           wire::Peer::ReadResult::Builder out) {
    if (entry.ok()) {
      write(*entry, out.initEntry());
    } else {
      write(entry.status(), out.initStatus());
    }
  }

  PartitionId known(std::uint32_t partition) const {
    if (partition >= node_.store().partitioning().count()) {
      rpc::throw_if_error(absl::InvalidArgumentError(
          fmt::format("request of a peer: partition {} does not exist", partition)));
    }
    return {partition};
  }

  static constexpr std::size_t kKeysAddedUpAtOnce = 10'000;

  Node& node_;
  const NodeId caller_;
  rpc::Lateness lateness_;
  const gossip::ResponderLimits limits_;
};

class GreetingService final : public wire::Greeting::Server {
 public:
  explicit GreetingService(Node& node) : node_(node) {}

  kj::Promise<void> hello(HelloContext context) override {
    rpc::throw_if_error(node_.may_enter());
    const auto me = context.getParams().getMe();
    auto results = context.getResults();
    node_.fill_hello(results.initYou());
    const absl::Status status = node_.greet(me);
    write(status, results.initStatus());
    if (!status.ok()) {
      node_.say_refused(status);
      return kj::READY_NOW;
    }
    const gossip::MemberRecord caller = server::read(me.getMember());
    rpc::Lateness lateness;
    lateness.of(me.getSentMs(), node_.loop().now());
    results.setPeer(kj::heap<PeerService>(node_, caller.id, lateness));
    return kj::READY_NOW;
  }

 private:
  Node& node_;
};

}  // namespace

wire::Greeting::Client make_greeting(Node& node) {
  return kj::heap<GreetingService>(node);
}

}  // namespace grapevine::server
