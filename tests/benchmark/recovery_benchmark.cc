// How soon three nodes are provably equal after one of them missed 20,000 changes: 60,000 keys, an
// outage, 16,000 of them changed and 4,000 deleted meanwhile.
//
//   recovery_delta_seconds    the node returns while the others remember what it missed: delta pull
//   recovery_digest_seconds   all three are restarted, so no dot log remembers anything: digest pull
//
// Counted from the moment when the returning node is started, its start included, until `grapevine
// divergence` says provably equal.
#include <cstdlib>
#include <string>
#include <vector>

#include "grapevine/client.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "tests/benchmark/bench.h"
#include "tests/cluster/cluster.h"

namespace grapevine::benchmark {
namespace {

constexpr std::size_t kKeys = 60'000;
constexpr std::size_t kChanged = 16'000;
constexpr std::size_t kDeleted = 4'000;

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

double recover(bool forget, std::chrono::seconds outage) {
  cluster_test::Cluster cluster(3);
  cluster.start_all();
  Random random(5);
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < kKeys; ++i)
    operations.push_back(Put{key_of(i), random_bytes(random, 100)});
  execute(*cluster.client_of(0), std::move(operations));
  cluster.wait_until_equal(std::chrono::seconds(60));

  cluster.kill_hard(2);
  operations.clear();
  for (std::size_t i = 0; i < kChanged + kDeleted; ++i) {
    const std::string key = key_of(i * 3);
    if (i < kChanged) {
      operations.push_back(Put{key, random_bytes(random, 100)});
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

}  // namespace
}  // namespace grapevine::benchmark

// recovery_benchmark [SECONDS OF OUTAGE]
int main(int argc, char** argv) {
  const std::chrono::seconds outage(argc > 1 ? std::atoi(argv[1]) : 30);
  grapevine::benchmark::report("recovery_delta_seconds",
                               grapevine::benchmark::recover(false, outage), "s");
  grapevine::benchmark::report("recovery_digest_seconds",
                               grapevine::benchmark::recover(true, outage), "s");
}
