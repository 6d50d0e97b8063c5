#include "tools/admin.h"

#include <kj/async.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "rpc/asio_loop.h"
#include "rpc/connection.h"
#include "rpc/errors.h"
#include "tools/admin_wire.h"
#include "tools/readable.h"

namespace grapevine::tools {
namespace {

constexpr std::size_t kCallsAtOnce = 64;
constexpr std::size_t kRangesASplit = 512;
constexpr std::uint32_t kItemsAPage = 10'000;
constexpr std::size_t kPartsOfASplit = std::size_t{1} << gossip::RangeDescent::kSplitBits;
constexpr milliseconds kRepairAnswerGrace{2000};

// Errors of a broken connection name the node already.
absl::Status named(const absl::Status& status, const std::string& name,
                   const std::string& address) {
  if (status.ok() || text_of(status).find(address) != std::string_view::npos) return status;
  return {status.code(), fmt::format("{}: {}", name, text_of(status))};
}

// Fails with Unavailable when `promise` is not done in time; `remedy` ends the text.
template <typename T>
kj::Promise<T> within(rpc::Loop& loop, milliseconds timeout, const char* remedy,
                      kj::Promise<T> promise) {
  auto late = loop.after(timeout).then([timeout, remedy]() -> kj::Promise<T> {
    return rpc::to_exception(absl::UnavailableError(
        fmt::format("no answer within {}{}", readable_duration(timeout), remedy)));
  });
  return promise.exclusiveJoin(kj::mv(late));
}

// Turns failure into a value, so that one of many does not end the others.
template <typename T>
kj::Promise<absl::StatusOr<T>> settled(kj::Promise<T> promise) {
  return promise.then(
      [](T value) { return absl::StatusOr<T>(std::move(value)); },
      [](kj::Exception&& exception) { return absl::StatusOr<T>(rpc::to_status(exception)); });
}

template <typename T>
std::vector<T> to_vector(kj::Array<T> array) {
  std::vector<T> values;
  values.reserve(array.size());
  for (T& value : array) values.push_back(std::move(value));
  return values;
}

template <typename T>
kj::Promise<kj::Array<T>> all_of(std::vector<kj::Promise<T>> promises) {
  auto array = kj::heapArrayBuilder<kj::Promise<T>>(promises.size());
  for (auto& promise : promises) array.add(kj::mv(promise));
  return kj::joinPromises(array.finish());
}

}  // namespace

struct Admin::Life {
  explicit Life(milliseconds call_timeout) : timeout(call_timeout) {}

  template <typename T>
  absl::StatusOr<T> wait(kj::Promise<T> promise) {
    return loop.run_until(settled(
        within(loop, timeout, "; try again, or allow more with --timeout", kj::mv(promise))));
  }

  const milliseconds timeout;
  rpc::AsioLoop loop{[](const absl::Status&) {}};  // nothing is spawned on it
};

struct AdminNode::Life {
  Admin::Life& admin;
  rpc::Address address;
  NodeInfo info;
  kj::Own<rpc::Connection> connection;
  kj::Maybe<wire::Admin::Client> calls;

  // "n1 (127.0.0.1:4740)"
  std::string name() const {
    return info.name.empty() ? rpc::to_string(address)
                             : fmt::format("{} ({})", info.name, rpc::to_string(address));
  }
  absl::Status blame(const absl::Status& status) const {
    return named(status, name(), rpc::to_string(address));
  }
  wire::Admin::Client& remote() { return KJ_ASSERT_NONNULL(calls); }

  template <typename T>
  absl::StatusOr<T> wait(kj::Promise<T> promise) {
    absl::StatusOr<T> result = admin.wait(kj::mv(promise));
    if (!result.ok()) return blame(result.status());
    return result;
  }

  kj::Promise<void> log_in();
};

kj::Promise<void> AdminNode::Life::log_in() {
  return admin.loop.network()
      .connect(address, {.timeout = std::min(admin.timeout, Admin::kConnectTimeoutMax), .from = {}})
      .then([this](kj::Own<kj::AsyncIoStream> stream) {
        connection = kj::heap<rpc::Connection>(admin.loop, kj::mv(stream), rpc::PeerInfo{address},
                                               rpc::Connection::Side::kClient, nullptr,
                                               rpc::ConnectionOptions{});
        auto request = connection->bootstrap<wire::Login>().loginRequest();
        request.setProtocol(wire::PROTOCOL_VERSION);
        request.setClientName("grapevine");
        return request.send();
      })
      .then([this](capnp::Response<wire::Login::LoginResults>&& response) {
        rpc::throw_if_error(read(response.getStatus()));
        info = read(response.getNode());
        if (!response.hasAdmin()) {
          rpc::throw_if_error(absl::FailedPreconditionError(
              "does not let this client administrate; use another credential"));
        }
        calls = response.getAdmin();
      });
}

namespace {

// A view at the other end of a connection.
class RemoteView final : public ReplicaView {
 public:
  using Wait = std::function<absl::Status(kj::Promise<void>)>;

  // `wait` runs the loop until the promise is done, and names the node in errors.
  RemoteView(wire::ReplicaView::Client view, gossip::PartitionState state, Wait wait)
      : view_(kj::mv(view)), state_(std::move(state)), wait_(std::move(wait)) {}
  ~RemoteView() noexcept override = default;

  const gossip::PartitionState& state() const override { return state_; }

  absl::StatusOr<std::vector<gossip::RangeDescent::Parts>> split(
      const std::vector<model::TokenRange>& ranges) override {
    std::vector<gossip::RangeDescent::Parts> parts;
    for (std::size_t begin = 0; begin < ranges.size(); begin += kRangesASplit) {
      const std::size_t count = std::min(kRangesASplit, ranges.size() - begin);
      auto request = view_.splitRequest();
      auto out = request.initRanges(static_cast<unsigned>(count));
      for (unsigned i = 0; i < out.size(); ++i) write(ranges[begin + i], out[i]);
      GRAPEVINE_RETURN_IF_ERROR(wait_(request.send().then([&parts, count](auto&& reply) {
        if (reply.getParts().size() != count)
          rpc::throw_if_error(absl::InternalError("answered for other ranges than asked"));
        for (const auto shares : reply.getParts()) {
          gossip::RangeDescent::Parts one;
          for (const auto share : shares) one.push_back(read(share));
          if (!one.empty() && one.size() != kPartsOfASplit) {
            rpc::throw_if_error(
                absl::InternalError("split a range into an impossible number of parts"));
          }
          parts.push_back(std::move(one));
        }
      })));
    }
    return parts;
  }

  absl::StatusOr<std::vector<std::vector<model::Item>>> items(
      const std::vector<model::TokenRange>& ranges) override {
    std::vector<std::vector<model::Item>> all(ranges.size());
    for (std::size_t begin = 0; begin < ranges.size(); begin += kCallsAtOnce) {
      auto calls =
          kj::heapArrayBuilder<kj::Promise<void>>(std::min(kCallsAtOnce, ranges.size() - begin));
      for (std::size_t i = begin; i < std::min(begin + kCallsAtOnce, ranges.size()); ++i) {
        calls.add(items_of(ranges[i], all[i]));
      }
      GRAPEVINE_RETURN_IF_ERROR(wait_(kj::joinPromises(calls.finish())));
    }
    return all;
  }

  absl::StatusOr<std::vector<model::KeyedEntry>> heads(
      const std::vector<std::string>& keys) override {
    std::vector<model::KeyedEntry> entries;
    while (entries.size() < keys.size()) {
      const std::size_t begin = entries.size();
      const std::size_t count = std::min<std::size_t>(kItemsAPage, keys.size() - begin);
      auto request = view_.fetchRequest();
      auto out = request.initKeys(static_cast<unsigned>(count));
      for (unsigned i = 0; i < out.size(); ++i) out.set(i, to_data(keys[begin + i]));
      request.setHeadsOnly(true);
      GRAPEVINE_RETURN_IF_ERROR(wait_(request.send().then([&](auto&& reply) {
        for (const auto entry : reply.getEntries()) {
          entries.push_back(read(entry));
          if (entries.size() > begin + count || entries.back().key != keys[entries.size() - 1]) {
            rpc::throw_if_error(absl::InternalError("answered for other keys than asked"));
          }
        }
        if (entries.size() == begin)
          rpc::throw_if_error(absl::InternalError("answered for no key"));
      })));
    }
    return entries;
  }

 private:
  // Adds page after page to `found`, which must outlive the promise.
  kj::Promise<void> items_of(const model::TokenRange& range, std::vector<model::Item>& found) {
    auto request = view_.itemsRequest();
    write(range, request.initRange());
    request.setLimit(kItemsAPage);
    request.setResumes(!found.empty());
    if (!found.empty()) request.setAfterKey(to_data(found.back().key));
    return request.send().then([this, range, &found](auto&& reply) -> kj::Promise<void> {
      for (const auto item : reply.getItems()) found.push_back(read(item));
      if (!reply.getMore()) return kj::READY_NOW;
      if (reply.getItems().size() == 0)
        return rpc::to_exception(absl::InternalError("has more keys, but does not tell"));
      return items_of(range, found);
    });
  }

  wire::ReplicaView::Client view_;
  const gossip::PartitionState state_;
  const Wait wait_;
};

}  // namespace

AdminNode::AdminNode(std::unique_ptr<Life> life) : life_(std::move(life)) {}

AdminNode::~AdminNode() = default;

const NodeInfo& AdminNode::info() const {
  return life_->info;
}

absl::StatusOr<NodeStatus> AdminNode::status() {
  return life_->wait(life_->remote().statusRequest().send().then(
      [](auto&& reply) { return read(reply.getStatus()); }));
}

namespace {

// The answer of a call that says no more than a status.
template <typename Request>
kj::Promise<bool> done(Request request) {
  return request.send().then([](auto&& reply) {
    rpc::throw_if_error(read(reply.getStatus()));
    return true;
  });
}

}  // namespace

absl::Status AdminNode::leave(milliseconds wait) {
  auto request = life_->remote().leaveRequest();
  request.setTimeoutMs(static_cast<std::uint32_t>(wait.count()));
  const auto left = life_->admin.loop.run_until(settled(within(
      life_->admin.loop, wait + kRepairAnswerGrace,
      "; see grapevine members whether it has left, else try again", done(kj::mv(request)))));
  return life_->blame(left.status());
}

absl::Status AdminNode::remove(NodeId node) {
  auto request = life_->remote().removeRequest();
  request.setNode(node.value);
  return life_->wait(done(kj::mv(request))).status();
}

absl::Status AdminNode::replace(NodeId node) {
  auto request = life_->remote().replaceRequest();
  request.setNode(node.value);
  return life_->wait(done(kj::mv(request))).status();
}

absl::Status AdminNode::tell(const std::string& name, const std::string& payload) {
  auto request = life_->remote().tellRequest();
  request.setName(name);
  request.setPayload(
      kj::arrayPtr(reinterpret_cast<const kj::byte*>(payload.data()), payload.size()));
  return life_->wait(done(kj::mv(request))).status();
}

absl::StatusOr<EventBatch> AdminNode::events(std::uint64_t after, milliseconds wait) {
  auto request = life_->remote().eventsRequest();
  request.setAfter(after);
  request.setTimeoutMs(static_cast<std::uint32_t>(wait.count()));
  auto answer = request.send().then([](auto&& reply) {
    EventBatch batch;
    for (const auto event : reply.getEvents()) {
      const auto payload = event.getPayload();
      batch.events.push_back({to_string(event.getName()),
                              std::string(payload.asChars().begin(), payload.size()),
                              {event.getOrigin()},
                              event.getSequence()});
    }
    batch.last = reply.getLast();
    return batch;
  });
  auto batch = life_->admin.loop.run_until(
      settled(within(life_->admin.loop, wait + life_->admin.timeout, "", kj::mv(answer))));
  if (!batch.ok()) return life_->blame(batch.status());
  return batch;
}

absl::StatusOr<MemberList> AdminNode::members() {
  return life_->wait(life_->remote().membersRequest().send().then([](auto&& reply) {
    MemberList list;
    for (const auto member : reply.getMembers()) list.members.push_back(read(member));
    list.peers = read(reply.getPeers());
    return list;
  }));
}

absl::StatusOr<std::vector<OwnedPartition>> AdminNode::states() {
  return life_->wait(life_->remote().statesRequest().send().then([](auto&& reply) {
    auto states = read(reply.getStates());
    rpc::throw_if_error(states.status());
    return *std::move(states);
  }));
}

absl::StatusOr<std::vector<DotAges>> AdminNode::ages(const std::vector<PartitionDots>& of) {
  auto request = life_->remote().agesRequest();
  auto out = request.initOf(static_cast<unsigned>(of.size()));
  for (unsigned i = 0; i < out.size(); ++i) {
    out[i].setPartition(of[i].partition.value);
    auto dots = out[i].initDots(static_cast<unsigned>(of[i].dots.size()));
    for (unsigned n = 0; n < dots.size(); ++n) {
      dots[n].setActor(of[i].dots[n].actor.value);
      dots[n].setFirst(of[i].dots[n].first);
      dots[n].setLast(of[i].dots[n].last);
    }
  }
  return life_->wait(request.send().then([count = of.size()](auto&& reply) {
    rpc::throw_if_error(read(reply.getStatus()));
    std::vector<DotAges> ages;
    for (const auto from : reply.getAges()) {
      DotAges& age = ages.emplace_back();
      age.in_flight = from.getInFlight();
      if (from.getOldestMs() >= 0) age.oldest = milliseconds(from.getOldestMs());
    }
    if (ages.size() != count) {
      rpc::throw_if_error(absl::InternalError("answered for other writes than were asked for"));
    }
    return ages;
  }));
}

absl::StatusOr<NodeBackups> AdminNode::backups(const std::string& directory) {
  auto request = life_->remote().backupsRequest();
  request.setDirectory(directory);
  return life_->wait(request.send().then([](auto&& reply) {
    rpc::throw_if_error(read(reply.getStatus()));
    NodeBackups backups{.directory = to_string(reply.getDirectory()), .backups = {}};
    for (const auto backup : reply.getBackups()) backups.backups.push_back(read(backup));
    return backups;
  }));
}

absl::StatusOr<std::vector<std::unique_ptr<ReplicaView>>> AdminNode::open_views(
    const std::vector<PartitionId>& partitions) {
  const auto wait = [this](kj::Promise<void> promise) {
    return life_->wait(promise.then([] { return true; })).status();
  };
  std::vector<kj::Promise<std::unique_ptr<ReplicaView>>> opening;
  for (const PartitionId partition : partitions) {
    auto request = life_->remote().openViewRequest();
    request.setPartition(partition.value);
    opening.push_back(
        request.send().then([wait, partition](auto&& reply) -> std::unique_ptr<ReplicaView> {
          rpc::throw_if_error(read(reply.getStatus()));
          auto state = read(reply.getState());
          rpc::throw_if_error(state.status());
          if (state->partition != partition)
            rpc::throw_if_error(absl::InternalError("opened another partition than asked"));
          return std::make_unique<RemoteView>(reply.getView(), *std::move(state), wait);
        }));
  }
  auto opened = life_->wait(all_of(std::move(opening)));
  if (!opened.ok()) return opened.status();
  return to_vector(*std::move(opened));
}

Admin::Admin(milliseconds timeout) : life_(std::make_unique<Life>(timeout)) {}

Admin::~Admin() = default;

std::vector<absl::StatusOr<std::unique_ptr<AdminNode>>> Admin::connect(
    const std::vector<std::string>& endpoints) {
  using Dialled = std::unique_ptr<AdminNode::Life>;
  std::vector<absl::StatusOr<Dialled>> dialled;
  std::vector<kj::Promise<absl::StatusOr<bool>>> logins;
  for (const std::string& endpoint : endpoints) {
    auto address = rpc::parse_address(endpoint);
    if (!address.ok()) {
      dialled.push_back(address.status());
      logins.push_back(absl::StatusOr<bool>(false));
      continue;
    }
    auto node = std::make_unique<AdminNode::Life>(AdminNode::Life{.admin = *life_,
                                                                  .address = *std::move(address),
                                                                  .info = {},
                                                                  .connection = {},
                                                                  .calls = {}});
    logins.push_back(settled(within(life_->loop, std::min(life_->timeout, kConnectTimeoutMax), "",
                                    node->log_in().then([] { return true; }))));
    dialled.push_back(std::move(node));
  }
  const auto results = to_vector(life_->loop.run_until(all_of(std::move(logins))));
  std::vector<absl::StatusOr<std::unique_ptr<AdminNode>>> nodes;
  for (std::size_t i = 0; i < dialled.size(); ++i) {
    if (!dialled[i].ok()) {
      nodes.push_back(dialled[i].status());
    } else if (!results[i].ok()) {
      nodes.push_back((*dialled[i])->blame(results[i].status()));
    } else {
      nodes.push_back(std::unique_ptr<AdminNode>(new AdminNode(*std::move(dialled[i]))));
    }
  }
  return nodes;
}

std::vector<absl::StatusOr<NodeRepair>> Admin::repair(const std::vector<AdminNode*>& nodes,
                                                      milliseconds wait) {
  std::vector<kj::Promise<absl::StatusOr<NodeRepair>>> calls;
  for (AdminNode* node : nodes) {
    auto request = node->life_->remote().repairRequest();
    request.setTimeoutMs(static_cast<std::uint32_t>(wait.count()));
    kj::Promise<NodeRepair> answer = request.send().then([](auto&& reply) {
      const absl::Status status = read(reply.getStatus());
      // Unavailable: not finished in time, which the report says too.
      if (!status.ok() && !absl::IsUnavailable(status)) rpc::throw_if_error(status);
      const auto report = reply.getReport();
      return NodeRepair{.finished = status.ok(),
                        .peers = report.getPeers(),
                        .unreachable = report.getUnreachable(),
                        .proven_equal = report.getProvenEqual(),
                        .keys_pulled = report.getKeysPulled(),
                        .bytes_pulled = report.getBytesPulled()};
    });
    calls.push_back(settled(
        within(life_->loop, wait + kRepairAnswerGrace, "; run repair again", kj::mv(answer))));
  }
  auto results = to_vector(life_->loop.run_until(all_of(std::move(calls))));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) results[i] = nodes[i]->life_->blame(results[i].status());
  }
  return results;
}

namespace {

// Asks again and again how far the node is; fails when it does not answer.
kj::Promise<NodeBackup> watch_backup(rpc::Loop& loop, milliseconds timeout,
                                     wire::Admin::Client node,
                                     std::function<void(std::uint64_t)> on_bytes) {
  return loop.after(Admin::kProgressInterval)
      .then([&loop, timeout, node]() mutable {
        return within(loop, timeout, " while it backs itself up; see its log, it may go on",
                      node.backupProgressRequest().send().then(
                          [](auto&& reply) { return reply.getBytesCopied(); }));
      })
      .then([&loop, timeout, node, on_bytes](std::uint64_t bytes) mutable {
        on_bytes(bytes);
        return watch_backup(loop, timeout, node, on_bytes);
      });
}

}  // namespace

std::vector<absl::StatusOr<NodeBackup>> Admin::back_up(
    const std::vector<AdminNode*>& nodes, const BackupRequest& request,
    const std::function<void(std::uint64_t bytes)>& on_progress) {
  std::vector<std::uint64_t> copied(nodes.size());
  std::vector<kj::Promise<absl::StatusOr<NodeBackup>>> calls;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    auto call = nodes[i]->life_->remote().backupRequest();
    call.setDirectory(request.directory);
    call.setKeep(request.keep);
    call.setBytesPerSecond(request.bytes_per_second);
    kj::Promise<NodeBackup> answer = call.send().then([](auto&& reply) {
      rpc::throw_if_error(read(reply.getStatus()));
      return read(reply.getReport());
    });
    calls.push_back(settled(answer.exclusiveJoin(
        watch_backup(life_->loop, life_->timeout, nodes[i]->life_->remote(),
                     [&copied, &on_progress, i](std::uint64_t bytes) {
                       copied[i] = bytes;
                       on_progress(std::accumulate(copied.begin(), copied.end(), std::uint64_t{0}));
                     }))));
  }
  auto results = to_vector(life_->loop.run_until(all_of(std::move(calls))));
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) results[i] = nodes[i]->life_->blame(results[i].status());
  }
  return results;
}

void Admin::pause(milliseconds time) {
  life_->loop.run_until(life_->loop.after(time));
}

}  // namespace grapevine::tools
