// How soon members notice that one of them is gone, and whether they ever take a living one for gone:
// five real nodes on loopback with --network lan.
//
//   detection_seconds_p50, _p99           a node is killed (-9), its machine lives: until another one
//                                         says so, over all others of all kills
//   detection_stopped_seconds_p50, _p99   the same of one that hangs (SIGSTOP): its connections stay,
//                                         nothing refuses a call
//   false_positives                       verdicts "does not answer" while all five live and two busy
//                                         loops for each processor run beside them, for --load-seconds
//
// detection_benchmark [--kills N] [--load-seconds N]
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/check.h"
#include "tests/benchmark/bench.h"
#include "tests/cluster/cluster.h"

namespace grapevine::benchmark {
namespace {

using cluster_test::Cluster;

constexpr std::size_t kNodes = 5;

// Until each of the others sees it so; how long each took.
std::vector<double> seen(const Cluster& cluster, std::size_t node, bool up) {
  std::vector<double> took(kNodes);
  std::vector<std::thread> watchers;
  for (std::size_t by = 0; by < kNodes; ++by) {
    if (by == node) continue;
    watchers.emplace_back([&, by] {
      took[by] = std::chrono::duration<double>(cluster.wait_until_seen(by, node, up)).count();
    });
  }
  for (std::thread& watcher : watchers) watcher.join();
  took.erase(took.begin() + static_cast<std::ptrdiff_t>(node));
  return took;
}

void add(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

void report_percentiles(const std::string& name, const std::vector<double>& seconds) {
  report(name + "_p50", percentile(seconds, 0.5), "s");
  report(name + "_p99", percentile(seconds, 0.99), "s");
}

void measure_detection(Cluster& cluster, std::size_t kills) {
  std::vector<double> killed;
  std::vector<double> stopped;
  for (std::size_t i = 0; i < kills; ++i) {
    const std::size_t victim = i % kNodes;
    cluster.kill_hard(victim);
    add(killed, seen(cluster, victim, false));
    cluster.start(victim);
    seen(cluster, victim, true);
    for (std::size_t other = 0; other < kNodes; ++other) {
      if (other != victim) cluster.wait_until_seen(victim, other, true);
    }

    cluster.pause(victim);
    add(stopped, seen(cluster, victim, false));
    cluster.resume(victim);
    seen(cluster, victim, true);
  }
  report_percentiles("detection_seconds", killed);
  report_percentiles("detection_stopped_seconds", stopped);
}

std::size_t verdicts(const Cluster& cluster) {
  std::size_t count = 0;
  for (std::size_t node = 0; node < kNodes; ++node) {
    for (const std::string& line : cluster.process(node).lines()) {
      count += line.find(") does not answer") != std::string::npos ? 1 : 0;
    }
  }
  return count;
}

void measure_false_positives(const Cluster& cluster, std::chrono::seconds time) {
  const std::size_t before = verdicts(cluster);
  const auto end = std::chrono::steady_clock::now() + time;
  std::vector<std::thread> loops;
  for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i) {
    loops.emplace_back([end] {
      while (std::chrono::steady_clock::now() < end) {
      }
    });
  }
  for (std::thread& loop : loops) loop.join();
  report("false_positives", static_cast<double>(verdicts(cluster) - before), "verdicts");
  report("false_positives_watched", static_cast<double>(time.count()), "s");
}

}  // namespace
}  // namespace grapevine::benchmark

int main(int argc, char** argv) {
  std::size_t kills = 20;
  long load_seconds = 600;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--kills") kills = std::strtoul(argv[i + 1], nullptr, 10);
    if (flag == "--load-seconds") load_seconds = std::strtol(argv[i + 1], nullptr, 10);
  }
  using namespace grapevine::benchmark;
  grapevine::cluster_test::Cluster cluster(kNodes, {"--network", "lan"});
  cluster.start_all();
  if (kills > 0) measure_detection(cluster, kills);
  if (load_seconds > 0) measure_false_positives(cluster, std::chrono::seconds(load_seconds));
  return 0;
}
