// How soon three nodes are provably equal after one of them was away, killed, and at what cost.
//
//   recovery_delta_seconds    20,000 of 60,000 keys were changed or deleted meanwhile, and the others
//                             remember what it missed: delta pull
//   recovery_digest_seconds   the same, all three restarted, so no dot log remembers anything: digest
//                             pull
//   recover_seconds           all of 100,000 keys were changed meanwhile (delta pull), all of them in one
//                             network namespace of their own, so that the kernel counts
//   recover_bytes_ratio       of that recovery: bytes of the peer ports' packets, TCP and UDP, with
//                             their IP headers (packet filter, loopback's MTU), over the keys' and
//                             values' own. Needs root and nft
//
// Counted from the moment when the returning node is started, its start included, until `grapevine
// divergence` says provably equal; of recover_seconds it is asked once the nodes' own proofs
// (`grapevine status`) are there.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "grapevine/client.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "tests/benchmark/bench.h"
#include "tests/cluster/cluster.h"
#include "tests/network/namespace.h"

namespace grapevine::benchmark {
namespace {

constexpr std::size_t kKeys = 60'000;
constexpr std::size_t kChanged = 16'000;
constexpr std::size_t kDeleted = 4'000;
constexpr std::size_t kAllChanged = 100'000;
constexpr std::size_t kValueBytes = 100;

std::string key_of(std::size_t i) {
  return fmt::format("key-{:06}", i);
}

void execute(Client& client, std::vector<Operation> operations) {
  for (std::size_t at = 0; at < operations.size(); at += 5000) {
    const auto end =
        operations.begin() + static_cast<std::ptrdiff_t>(std::min(at + 5000, operations.size()));
    const auto results =
        client.execute({operations.begin() + static_cast<std::ptrdiff_t>(at), end});
    for (const auto& result : results) {
      GRAPEVINE_CHECK(result.ok(), std::string(text_of(result.status())).c_str());
    }
  }
}

void put_all(Client& client, std::size_t keys, Random& random) {
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < keys; ++i) {
    operations.push_back(Put{key_of(i), random_bytes(random, kValueBytes)});
  }
  execute(client, std::move(operations));
}

double recover(bool forget, std::chrono::seconds outage) {
  cluster_test::Cluster cluster(3);
  cluster.start_all();
  Random random(5);
  put_all(*cluster.client_of(0), kKeys, random);
  cluster.wait_until_equal(std::chrono::seconds(60));

  cluster.kill_hard(2);
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < kChanged + kDeleted; ++i) {
    const std::string key = key_of(i * 3);
    if (i < kChanged) {
      operations.push_back(Put{key, random_bytes(random, kValueBytes)});
    } else {
      operations.push_back(Remove{key});
    }
  }
  execute(*cluster.client_of(0), std::move(operations));
  cluster.process(0).wait_for_line("a line that never comes", outage);
  if (forget) {
    cluster.stop(0);
    cluster.stop(1);
    cluster.start(0);
    cluster.start(1);
  }
  const Stopwatch watch;
  cluster.start(2);
  cluster.wait_until_equal(std::chrono::seconds(120));
  return watch.seconds();
}

// ---- all keys changed, all bytes counted

class CountingNetwork {
 public:
  CountingNetwork() {
    inside_.run({"nft", "-f", "-"},
                "table inet count {\n"
                "  counter peers { }\n"
                "  chain sent {\n"
                "    type filter hook output priority 0;\n"
                "    tcp sport 4741 counter name peers\n"
                "    tcp dport 4741 counter name peers\n"
                "    udp dport 4741 counter name peers\n"
                "  }\n"
                "}\n");
  }
  std::vector<cluster_test::Place> places(std::size_t nodes) const {
    std::vector<cluster_test::Place> places;
    for (std::size_t node = 1; node <= nodes; ++node) {
      places.push_back({fmt::format("127.0.0.{}", node), inside_.descriptor()});
    }
    return places;
  }
  double bytes() const {
    const std::string all = inside_.run({"nft", "list", "counter", "inet", "count", "peers"});
    const std::string_view before = "bytes ";
    const std::size_t at = all.find(before);
    GRAPEVINE_CHECK(at != std::string::npos, "nft tells its counters");
    return std::stod(all.substr(at + before.size()));
  }

 private:
  network_test::Namespace inside_;
};

// Whether both others have proven themselves equal to node 3 in this life of it.
bool proven(const cluster_test::Cluster& cluster, double seconds) {
  const auto status = cluster.grapevine(0, {"status", "--json"});
  const auto told = nlohmann::json::parse(status.out);
  std::size_t pairs = 0;
  for (const auto& pair : told.at("pairs")) {
    const auto& ago = pair.at("proven_equal_ago_ms");
    if (pair.at("left") != "node3" && pair.at("right") != "node3") continue;
    pairs += !ago.is_null() && ago.get<double>() < seconds * 1e3 ? 1 : 0;
  }
  return pairs == 2;
}

double recover_all(cluster_test::Cluster& cluster, const CountingNetwork* counting) {
  cluster.start_all();
  Random random(6);
  put_all(*cluster.client_of(0), kAllChanged, random);
  cluster.wait_until_equal(std::chrono::seconds(60));
  cluster.kill_hard(2);
  put_all(*cluster.client_of(0), kAllChanged, random);
  // "A member cannot be reached, and what can be is equal."
  while (cluster.grapevine(0, {"divergence"}).exit_code != 3) {
  }
  const double before = counting == nullptr ? 0 : counting->bytes();
  const Stopwatch watch;
  cluster.start(2);
  while (!proven(cluster, watch.seconds()) || cluster.grapevine(0, {"divergence"}).exit_code != 0) {
    GRAPEVINE_CHECK(watch.seconds() < 120, "the nodes do not become equal");
  }
  const double seconds = watch.seconds();
  if (counting != nullptr) {
    const double own = static_cast<double>(kAllChanged * (key_of(0).size() + kValueBytes));
    report("recover_bytes_ratio", (counting->bytes() - before) / own, "ratio");
  }
  return seconds;
}

void measure_recover_all() {
  std::string missing = network_test::missing_for_namespaces();
  if (missing.empty()) missing = network_test::missing_program("nft", "nftables");
  if (!missing.empty()) {
    std::fprintf(stderr, "recover_bytes_ratio is not measured: %s\n", missing.c_str());
    cluster_test::Cluster cluster(3);
    report("recover_seconds", recover_all(cluster, nullptr), "s");
    return;
  }
  const CountingNetwork counting;
  cluster_test::Cluster cluster(counting.places(3));
  report("recover_seconds", recover_all(cluster, &counting), "s");
}

}  // namespace
}  // namespace grapevine::benchmark

// recovery_benchmark [SECONDS OF OUTAGE [delta | digest | all]]
int main(int argc, char** argv) {
  const std::chrono::seconds outage(argc > 1 ? std::atoi(argv[1]) : 30);
  const std::string only = argc > 2 ? argv[2] : "";
  using namespace grapevine::benchmark;
  if (only.empty() || only == "delta")
    report("recovery_delta_seconds", recover(false, outage), "s");
  if (only.empty() || only == "digest") {
    report("recovery_digest_seconds", recover(true, outage), "s");
  }
  if (only.empty() || only == "all") measure_recover_all();
}
