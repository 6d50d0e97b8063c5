#include "rpc/resolve.h"

#include <memory>
#include <optional>

#include "rpc/errors.h"

namespace grapevine::rpc {
namespace {

using Resolver = asio::ip::tcp::resolver;
using Fulfiller = kj::PromiseFulfiller<std::vector<Endpoint>>;

std::optional<Endpoint> numeric(const Address& address) {
  std::error_code error;
  const asio::ip::address ip = asio::ip::make_address(address.host, error);
  if (error) return std::nullopt;
  return Endpoint(ip, address.port);
}

std::string failure(const Address& address) {
  return "cannot find the host '" + address.host + "'";
}

std::vector<Endpoint> endpoints_of(const Resolver::results_type& results) {
  std::vector<Endpoint> endpoints;
  for (const auto& result : results) {
    if (endpoints.size() == kEndpointsMax) break;
    endpoints.push_back(result.endpoint());
  }
  return endpoints;
}

class Lookup {
 public:
  Lookup(Fulfiller& fulfiller, AsioLoop& loop, const Address& address)
      : fulfiller_(std::make_shared<Fulfiller*>(&fulfiller)), resolver_(loop.io()) {
    resolver_.async_resolve(
        address.host, std::to_string(address.port),
        [shared = fulfiller_, action = failure(address)](const std::error_code& error,
                                                         const Resolver::results_type& results) {
          if (*shared == nullptr) return;
          if (error) {
            (*shared)->reject(connection_lost(action, error));
          } else {
            (*shared)->fulfill(endpoints_of(results));
          }
        });
  }
  ~Lookup() { *fulfiller_ = nullptr; }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  const std::shared_ptr<Fulfiller*> fulfiller_;
  Resolver resolver_;
};

}  // namespace

kj::Promise<std::vector<Endpoint>> resolve(AsioLoop& loop, const Address& address) {
  if (const auto endpoint = numeric(address)) return std::vector<Endpoint>{*endpoint};
  return kj::newAdaptedPromise<std::vector<Endpoint>, Lookup>(loop, address);
}

absl::StatusOr<std::vector<Endpoint>> resolve_now(const Address& address) {
  if (const auto endpoint = numeric(address)) return std::vector<Endpoint>{*endpoint};
  asio::io_context io;
  Resolver resolver(io);
  std::error_code error;
  const auto results = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error) return to_status(failure(address), error);
  return endpoints_of(results);
}

Address address_of(const Endpoint& endpoint) {
  return {endpoint.address().to_string(), endpoint.port()};
}

}  // namespace grapevine::rpc
