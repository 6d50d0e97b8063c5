#include "server/client_service.h"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "rpc/errors.h"
#include "rpc/lateness.h"
#include "server/admin_service.h"
#include "server/node.h"
#include "storage/base/limits.h"
#include "storage/base/planted_flaws.h"

namespace grapevine::server {
namespace {

constexpr Duration kTimeoutDefault = std::chrono::seconds(5);
constexpr Duration kTimeoutMax = std::chrono::minutes(10);

Duration timeout_of(std::uint32_t milliseconds) {
  if (milliseconds == 0) return kTimeoutDefault;
  return std::min<Duration>(std::chrono::milliseconds(milliseconds), kTimeoutMax);
}

void check_batch(capnp::List<wire::Operation>::Reader operations) {
  if (operations.size() > kBatchOperationsMax) {
    kj::throwFatalException(rpc::to_exception(absl::InvalidArgumentError(
        fmt::format("batch: {} operations, the limit is {}; send several", operations.size(),
                    kBatchOperationsMax))));
  }
  std::size_t bytes = 0;
  for (const auto operation : operations) {
    bytes += operation.getKey().size();
    if (operation.isPut()) bytes += operation.getPut().getValue().size();
    if (operation.getSession().isSeen()) bytes += operation.getSession().getSeen().size();
  }
  if (bytes > kBatchBytesMax) {
    kj::throwFatalException(rpc::to_exception(absl::InvalidArgumentError(fmt::format(
        "batch: {} bytes of keys, values and session tokens, the limit is {}; send several", bytes,
        kBatchBytesMax))));
  }
}

template <typename Results>
kj::Promise<void> answer_operations(Node& node, capnp::List<wire::Operation>::Reader operations,
                                    Duration timeout, Results results) {
  rpc::throw_if_error(node.may_serve());
  check_batch(operations);
  std::vector<Operation> asked;
  asked.reserve(operations.size());
  for (const auto operation : operations) asked.push_back(read(operation));
  return node.coordination()
      .execute(std::move(asked), /*may_forward=*/true, timeout)
      .then([results = kj::mv(results)](std::vector<OperationAnswer> answers) mutable {
        fit_answers(answers);
        auto out = results.initResults(static_cast<unsigned>(answers.size()));
        for (unsigned i = 0; i < out.size(); ++i) write(answers[i], out[i]);
      });
}

class ReaderService : public virtual wire::Reader::Server {
 public:
  explicit ReaderService(Node& node) : node_(node) {}

  kj::Promise<void> read(ReadContext context) override {
    const auto params = context.getParams();
    for (const auto operation : params.getOperations()) {
      if (operation.isGet()) continue;
      kj::throwFatalException(rpc::to_exception(absl::FailedPreconditionError(
          "a reader may only get; log in with a credential that may write")));
    }
    return answer_operations(node_, params.getOperations(), timeout_of(params.getTimeoutMs()),
                             context.getResults());
  }

  kj::Promise<void> scan(ScanContext context) override {
    const auto params = context.getParams();
    ScanRequest request;
    request.prefix = view(params.getPrefix());
    request.limit = params.getLimit();
    request.cursor = view(params.getCursor());
    request.values = params.getValues();
    if (request.limit < 1 || request.limit > kScanKeysMax) {
      rpc::throw_if_error(absl::InvalidArgumentError(
          fmt::format("limit: {} keys, a page has 1 to {}", params.getLimit(), kScanKeysMax)));
    }
    rpc::throw_if_error(node_.may_serve());
    auto late = node_.loop().after(timeout_of(params.getTimeoutMs())).then([]() -> ScanPage {
      kj::throwFatalException(rpc::to_exception(
          absl::UnavailableError("the owners did not answer in time; try again")));
    });
    return node_.scanner()
        .page(std::move(request))
        .exclusiveJoin(kj::mv(late))
        .then([context = kj::mv(context)](ScanPage page) mutable {
          auto results = context.getResults();
          results.setCursor(bytes_of(page.cursor));
          write(page.keys, [&](unsigned count) { return results.initItems(count); });
        });
  }

  kj::Promise<void> loads(LoadsContext context) override {
    const std::vector<gossip::MemberRecord> members = node_.cluster().members().all();
    auto nodes = context.getResults().initNodes(static_cast<unsigned>(members.size()));
    for (unsigned i = 0; i < nodes.size(); ++i) {
      nodes[i].setNode(members[i].id.value);
      nodes[i].setBusy(node_.cluster().busy(members[i].id));
    }
    return kj::READY_NOW;
  }

 protected:
  Node& node_;
};

class WriterService final : public wire::Writer::Server, public ReaderService {
 public:
  WriterService(Node& node, const rpc::Lateness& lateness)
      : ReaderService(node), lateness_(lateness) {}

  kj::Promise<void> execute(ExecuteContext context) override {
    const auto params = context.getParams();
    const std::uint64_t sent = GRAPEVINE_FLAW(carries_out_late_requests) ? 0 : params.getSentMs();
    const auto left =
        lateness_.left_of(timeout_of(params.getTimeoutMs()), sent, node_.loop().now());
    rpc::throw_if_error(left.status());
    return answer_operations(node_, params.getOperations(), *left, context.getResults());
  }

 private:
  rpc::Lateness lateness_;
};

class LoginService final : public wire::Login::Server {
 public:
  LoginService(Node& node, const rpc::PeerInfo& peer) : node_(node), peer_(peer) {}

  kj::Promise<void> login(LoginContext context) override {
    const auto params = context.getParams();
    auto results = context.getResults();
    if (params.getProtocol() != wire::PROTOCOL_VERSION) {
      write(absl::FailedPreconditionError(fmt::format(
                "client protocol {} is not spoken here, but {}; use a client of this version",
                params.getProtocol(), wire::PROTOCOL_VERSION)),
            results.initStatus());
      return kj::READY_NOW;
    }
    if (const absl::Status entering = node_.may_enter(); !entering.ok()) {
      write(entering, results.initStatus());
      return kj::READY_NOW;
    }
    spdlog::debug("client {} from {} logged in", view(params.getClientName()),
                  rpc::to_string(peer_.address));
    results.setReader(kj::heap<ReaderService>(node_));
    rpc::Lateness lateness;
    lateness.of(params.getSentMs(), node_.loop().now());
    results.setWriter(kj::heap<WriterService>(node_, lateness));
    results.setAdmin(make_admin(node_));
    node_.fill_info(results.initNode());
    return kj::READY_NOW;
  }

 private:
  Node& node_;
  const rpc::PeerInfo peer_;
};

}  // namespace

wire::Login::Client make_login(Node& node, const rpc::PeerInfo& peer) {
  return kj::heap<LoginService>(node, peer);
}

}  // namespace grapevine::server
