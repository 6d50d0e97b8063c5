// How soon a write is to be read elsewhere: three real nodes on loopback, each owning every key.
//
//   write_visible_ms_p50, _p99   from the moment when node 1 has acknowledged a put at consistency one,
//                                until node 2 and node 3 both serve it at consistency one; each is
//                                asked again and again, one call after the other. 0: they do so already
//                                when the acknowledgement comes, but for the time of one call
//
// visibility_benchmark [PUTS]
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "grapevine/client.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "tests/benchmark/bench.h"
#include "tests/cluster/cluster.h"

namespace grapevine::benchmark {
namespace {

// Asks nodes for a key until each of them has it.
class Readers {
 public:
  explicit Readers(std::vector<std::unique_ptr<Client>> nodes) : nodes_(std::move(nodes)) {}

  void await(const std::string& key) {
    waiting_ = nodes_.size();
    for (const auto& node : nodes_) ask(*node, key);
    std::unique_lock lock(mutex_);
    all_.wait(lock, [this] { return waiting_ == 0; });
  }

 private:
  void ask(Client& node, const std::string& key) {
    node.get(key, {.consistency = Consistency::kOne},
             [this, &node, key](const absl::StatusOr<Found>& found) {
               GRAPEVINE_CHECK(found.ok(), std::string(text_of(found.status())).c_str());
               if (!found->found()) return ask(node, key);
               const std::lock_guard lock(mutex_);
               if (--waiting_ == 0) all_.notify_one();
             });
  }

  std::vector<std::unique_ptr<Client>> nodes_;
  std::mutex mutex_;
  std::condition_variable all_;
  std::size_t waiting_ = 0;  // guarded by mutex_ while calls are under way
};

void run(std::size_t puts) {
  cluster_test::Cluster cluster(3);
  cluster.start_all();
  const auto writer = cluster.client_of(0);
  std::vector<std::unique_ptr<Client>> others;
  for (const std::size_t node : {1U, 2U}) others.push_back(cluster.client_of(node));
  Readers readers(std::move(others));
  Random random(11);
  std::vector<double> milliseconds;
  for (std::size_t i = 0; i < puts; ++i) {
    const std::string key = fmt::format("key-{:06}", i);
    const auto written =
        writer->put(key, random_bytes(random, 100), {.consistency = Consistency::kOne});
    GRAPEVINE_CHECK(written.ok(), std::string(text_of(written.status())).c_str());
    const Stopwatch watch;
    readers.await(key);
    milliseconds.push_back(watch.seconds() * 1e3);
  }
  report("write_visible_ms_p50", percentile(milliseconds, 0.5), "ms");
  report("write_visible_ms_p99", percentile(milliseconds, 0.99), "ms");
}

}  // namespace
}  // namespace grapevine::benchmark

int main(int argc, char** argv) {
  grapevine::benchmark::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 5'000);
  return 0;
}
