// One client against one node on this machine: operations a second and latency with 1, 16 and 256
// puts or gets outstanding, with durability sync and os; keys of 16 bytes, values of 100.
//
//   client_{put,get}_{sync,os}_{1,16,256}        operations a second
//   client_{put,get}_{sync,os}_{1,16,256}_{p50,p99}  latency of one operation, µs
//   client_{put,get}_session_ratio               operations a second without a session against those in
//                                                one; os, 256 outstanding, in turn, medians of five
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
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

constexpr std::size_t kKeys = 100'000;

class Load {
 public:
  Load(Client& client, bool puts, std::size_t outstanding_max,
       std::shared_ptr<Session> session = nullptr)
      : client_(client),
        puts_(puts),
        outstanding_max_(outstanding_max),
        session_(std::move(session)) {}

  // Runs for about `seconds`; returns operations a second.
  double run(double seconds) {
    const Stopwatch watch;
    while (watch.seconds() < seconds) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return outstanding_ < outstanding_max_; });
      ++outstanding_;
      lock.unlock();
      start();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outstanding_ == 0; });
    return static_cast<double>(latencies_.size()) / watch.seconds();
  }
  const std::vector<double>& latencies_us() const { return latencies_; }

 private:
  void start() {
    const std::string key = fmt::format("{:016}", random_.below(kKeys));
    const Stopwatch watch;
    if (puts_) {
      client_.put(
          key, value_, {.session = session_},
          [this, watch](const absl::StatusOr<Written>& written) { done(written.status(), watch); });
    } else {
      client_.get(key, {.session = session_}, [this, watch](const absl::StatusOr<Found>& found) {
        done(found.status(), watch);
      });
    }
  }
  void done(const absl::Status& status, const Stopwatch& watch) {
    GRAPEVINE_CHECK(status.ok(), std::string(text_of(status)).c_str());
    const std::lock_guard lock(mutex_);
    latencies_.push_back(watch.seconds() * 1e6);
    --outstanding_;
    changed_.notify_one();
  }

  Client& client_;
  const bool puts_;
  const std::size_t outstanding_max_;
  const std::shared_ptr<Session> session_;
  Random random_{3};
  const std::string value_ = random_bytes(random_, 100);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t outstanding_ = 0;
  std::vector<double> latencies_;
};

void measure(const std::string& durability, double seconds) {
  cluster_test::Cluster cluster(1, {"--durability", durability});
  cluster.start(0);
  const auto client = cluster.client_of(0);
  for (const bool puts : {true, false}) {
    for (const std::size_t outstanding : {1U, 16U, 256U}) {
      Load load(*client, puts, outstanding);
      const double rate = load.run(seconds);
      const std::string metric =
          fmt::format("client_{}_{}_{}", puts ? "put" : "get", durability, outstanding);
      report(metric, rate, "ops/s");
      report(metric + "_p50", percentile(load.latencies_us(), 0.5), "us");
      report(metric + "_p99", percentile(load.latencies_us(), 0.99), "us");
    }
  }
}

void measure_sessions(double seconds) {
  cluster_test::Cluster cluster(1, {"--durability", "os"});
  cluster.start(0);
  const auto client = cluster.client_of(0);
  for (const bool puts : {true, false}) {
    std::vector<double> without;
    std::vector<double> within;
    for (int i = 0; i < 5; ++i) {
      without.push_back(Load(*client, puts, 256).run(seconds));
      within.push_back(Load(*client, puts, 256, Session::begin()).run(seconds));
    }
    report(fmt::format("client_{}_session_ratio", puts ? "put" : "get"),
           median(without) / median(within), "ratio");
  }
}

}  // namespace
}  // namespace grapevine::benchmark

// client_benchmark [SECONDS A MEASUREMENT]
int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 3.0;
  for (const std::string durability : {"sync", "os"})
    grapevine::benchmark::measure(durability, seconds);
  grapevine::benchmark::measure_sessions(seconds);
}
