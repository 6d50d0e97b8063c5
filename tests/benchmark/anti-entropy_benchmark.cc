// What anti-entropy costs on the wire and in processor time: two whole nodes of the simulation
// (tests/simulation), so that every byte of their streams is counted, and time stands still while
// nothing happens. Keys of 16 bytes, values of 100 that do not compress; what is written is written at
// one node alone, as if the other had missed it.
//
//   idle_round_bytes          what comparing two equal nodes, all partitions, adds to a probe's answer
//   idle_exchanges            in ten minutes: the probes are enough
//   idle_stream_bytes_per_second, idle_member_bytes_per_second   streams and datagrams of one idle node
//   new_replica_overhead      bytes on the wire against the values' bytes: an empty node is filled
//   delta_bytes_per_key       10,000 changed keys, their dots still in the log; entries excluded
//   digest_bytes_per_key_N    N changed keys, no log; entries excluded. The median of 9, 5 and 7 sets of
//                             keys, and the most
//   digest_cpu_us_per_key     10,000 changed keys, both nodes, reading and writing the entries included;
//                             the median of 7
//   digest_own_cpu_us_per_key the same without these: less what it takes to look the same number of keys up
//                             on both sides and to merge them, done by hand in turn with the exchanges
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "gossip/packet.h"
#include "gossip/responder.h"
#include "storage/base/check.h"
#include "tests/benchmark/bench.h"
#include "tests/simulation/network.h"
#include "tests/simulation/simulated_node.h"
#include "tests/simulation/world.h"
#include "tests/storage/lossy_disk.h"

namespace grapevine::benchmark {
namespace {

using simulation::SimulatedNode;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kValueBytes = 100;
constexpr std::size_t kKeysABatch = 1'000;

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

class TwoNodes {
 public:
  TwoNodes() {
    world_.settle_with([this] { disk_.await_idle(); });
    for (std::size_t i = 0; i < 2; ++i) {
      server::Config config;
      config.cache_bytes = std::size_t{2} << 30;
      config.scrub_keys = 0;
      if (i > 0) {
        config.join.push_back(
            fmt::format("{}:{}", SimulatedNode::host_of(0), SimulatedNode::kPeerPort));
      }
      nodes_[i] = std::make_unique<SimulatedNode>(
          world_, network_, disk_, i, config, 1 + i,
          SimulatedNode::Report{[](SimulatedNode&, const absl::Status& status, bool) {
            GRAPEVINE_CHECK(false, std::string(text_of(status)).c_str());
          }});
      nodes_[i]->set_memtable_bytes(std::size_t{64} << 20);
      nodes_[i]->start();
    }
    run_until([this] {
      return nodes_[0]->ready() && nodes_[1]->ready() &&
             nodes_[0]->node().cluster().members().size() == 2 && equal();
    });
  }
  ~TwoNodes() {
    for (auto& node : nodes_) node.reset();
  }

  // At the first node alone.
  void put(std::size_t first, std::size_t count, std::size_t step) {
    storage::Store& store = nodes_[0]->node().store();
    for (std::size_t i = 0; i < count;) {
      auto batch = store.begin();
      GRAPEVINE_CHECK(batch.ok(), "a batch");
      for (std::size_t n = 0; n < kKeysABatch && i < count; ++n, ++i) {
        const std::string key = fmt::format("{:016}", first + i * step);
        const storage::WriteRequest write{key, random_bytes(random_, kValueBytes), std::nullopt,
                                          store.wall_now()};
        GRAPEVINE_CHECK((*batch)->write(write).ok(), "a write");
      }
      GRAPEVINE_CHECK(store.commit(*std::move(batch)).ok(), "a commit");
    }
  }
  void forget_logs() {
    for (auto& node : nodes_) node->node().store().forget_dot_logs();
  }
  // The bytes on the streams until both hold the same under the same clocks.
  double bytes_until_equal() {
    const std::uint64_t before = network_.stream_bytes();
    run_until([this] { return equal(); });
    return static_cast<double>(network_.stream_bytes() - before);
  }
  // What an exchange reads and writes when such keys are pulled (brings their slots into the cache,
  // looks into these on both sides, loads, merges), done without one; in seconds of processor time. Both
  // hold them afterwards.
  double read_and_merge(std::size_t first, std::size_t count, std::size_t step) {
    const storage::Store& store = nodes_[0]->node().store();
    std::map<PartitionId, std::vector<std::string>> keys;
    for (std::size_t i = 0; i < count; ++i) {
      std::string key = fmt::format("{:016}", first + i * step);
      keys[store.partitioning().of(key)].push_back(std::move(key));
    }
    const server::StoreReplica& from = nodes_[0]->node().replica();
    server::StoreReplica& to = nodes_[1]->node().replica();
    const double before = processor_seconds();
    std::size_t warm = 0;
    for (auto& node : nodes_) {
      std::vector<model::TokenRange> ranges;
      for (const auto& [partition, of] : keys) {
        for (const std::string& key : of) {
          ranges.push_back(model::tokens_of(model::slot_of(model::token_of(key))));
        }
      }
      std::sort(ranges.begin(), ranges.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      node->node().store().warm(std::move(ranges), std::nullopt, 2 * count, [&warm] { ++warm; });
    }
    run_until([&warm] { return warm == 2; });
    for (const auto& [partition, of] : keys) {
      std::vector<model::KeyedEntry> entries;
      for (const std::string& key : of) {
        const model::TokenRange tokens = model::tokens_of(model::slot_of(model::token_of(key)));
        for (const server::StoreReplica* side :
             {&from, static_cast<const server::StoreReplica*>(&to)}) {
          const auto items =
              side->live(partition).items(tokens, gossip::kSlotKeysMax, std::nullopt);
          GRAPEVINE_CHECK(items.ok() && !items->empty(), "the items of a slot");
        }
        auto entry = from.live(partition).load(key);
        GRAPEVINE_CHECK(entry.ok(), "an entry");
        std::vector<model::Dot> events;
        for (const model::Version& version : entry->versions) events.push_back(version.dot);
        entries.push_back({key, *std::move(entry), std::move(events)});
      }
      GRAPEVINE_CHECK(to.merge(partition, std::move(entries)).ok(), "a merge");
    }
    return processor_seconds() - before;
  }
  void rest(Duration time) { world_.run_for(time); }
  std::uint64_t exchanges() const {
    return nodes_[0]->node().anti_entropy().counters().exchanges +
           nodes_[1]->node().anti_entropy().counters().exchanges;
  }
  const simulation::Network& network() const { return network_; }

 private:
  bool equal() const {
    const storage::Store& left = nodes_[0]->node().store();
    const storage::Store& right = nodes_[1]->node().store();
    for (std::uint32_t i = 0; i < left.partitioning().count(); ++i) {
      const storage::View& mine = left.live({i});
      const storage::View& theirs = right.live({i});
      if (mine.tree().root().sum != theirs.tree().root().sum || mine.clock() != theirs.clock()) {
        return false;
      }
    }
    return true;
  }
  void run_until(const std::function<bool()>& done) {
    for (int i = 0; i < 100'000; ++i) {
      world_.run_for(milliseconds(20));
      if (done()) return;
    }
    GRAPEVINE_CHECK(false, "the nodes do not become equal");
  }

  simulation::World world_{1};
  simulation::Network network_{world_, 2};
  storage::LossyDisk disk_;
  Random random_{3};
  std::unique_ptr<SimulatedNode> nodes_[2];
};

void run(std::size_t keys) {
  TwoNodes nodes;
  nodes.put(0, keys, 1);
  nodes.forget_logs();
  report("new_replica_overhead",
         nodes.bytes_until_equal() / static_cast<double>(keys * kValueBytes), "ratio");

  nodes.rest(seconds(60));
  const std::uint64_t exchanges = nodes.exchanges();
  const std::uint64_t streams = nodes.network().stream_bytes();
  const std::uint64_t datagrams = nodes.network().datagram_bytes();
  nodes.rest(seconds(600));
  report("idle_round_bytes", static_cast<double>(gossip::encode_message(gossip::Summary{}).size()),
         "bytes");
  report("idle_exchanges", static_cast<double>(nodes.exchanges() - exchanges), "exchanges");
  report("idle_stream_bytes_per_second",
         static_cast<double>(nodes.network().stream_bytes() - streams) / 2 / 600, "bytes/s");
  report("idle_member_bytes_per_second",
         static_cast<double>(nodes.network().datagram_bytes() - datagrams) / 2 / 600, "bytes/s");

  const auto beside_entries = [](double bytes, std::size_t changed) {
    return bytes / static_cast<double>(changed) - static_cast<double>(kKeyBytes + kValueBytes);
  };
  nodes.put(0, 10'000, keys / 10'000);
  nodes.rest(milliseconds(1));
  report("delta_bytes_per_key", beside_entries(nodes.bytes_until_equal(), 10'000), "bytes");
  std::size_t first = 0;
  // It depends on who begins, on whether the links have carried such calls before, and on the keys.
  for (const auto& [changed, times] : {std::pair{1UL, 9}, {100UL, 5}, {10'000UL, 7}}) {
    const std::size_t step = keys / changed / 2;
    std::vector<double> bytes;
    std::vector<double> all_us;    // of processor time a key
    std::vector<double> alone_us;  // reading and merging by hand
    for (int i = 0; i < times; ++i) {
      nodes.rest(seconds(30));
      nodes.put(++first, changed, step);
      nodes.forget_logs();
      const double before = processor_seconds();
      bytes.push_back(beside_entries(nodes.bytes_until_equal(), changed));
      all_us.push_back((processor_seconds() - before) * 1e6 / static_cast<double>(changed));
      if (changed != 10'000) continue;
      nodes.rest(seconds(30));
      nodes.put(++first, changed, step);
      alone_us.push_back(nodes.read_and_merge(first, changed, step) * 1e6 /
                         static_cast<double>(changed));
    }
    report(fmt::format("digest_bytes_per_key_{}", changed), median(bytes), "bytes");
    report(fmt::format("digest_bytes_per_key_{}_most", changed), percentile(bytes, 1), "bytes");
    if (changed != 10'000) continue;
    report("digest_cpu_us_per_key", median(all_us), "us");
    report("digest_own_cpu_us_per_key", median(all_us) - median(alone_us), "us");
  }
}

}  // namespace
}  // namespace grapevine::benchmark

// anti-entropy_benchmark [KEYS]
int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  grapevine::benchmark::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
  return 0;
}
