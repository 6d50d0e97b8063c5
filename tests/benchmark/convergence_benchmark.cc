// How membership does at 3 to 1,000 members while no, one in twenty and one in five packets are
// lost: rounds until a change of a record, a rumour and a joiner are known to all, against
// log2 n + ln n; how soon a killed member is found; how often a living one is taken for down; bytes
// a member sends while nothing happens. All in virtual time, from one seed.
//
//   convergence_benchmark [--plot FILE] [--members-max N]
//
// A round is one gossip_interval. (What a member hears while it has nothing else to tell it tells
// on at once, so several hops fit into one.) FILE (build/release/convergence.svg) shows the share
// of members that know a change after so many rounds.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/benchmark/bench.h"
#include "tests/benchmark/plot.h"
#include "tests/gossip/member_records.h"
#include "tests/gossip/swim_network.h"

namespace grapevine::benchmark {
namespace {

using namespace gossip;
using namespace std::chrono_literals;

constexpr double kPlottedRounds = 20;
constexpr Duration kStep = 10ms;
// What is not known to all by then waits for the next push-pull: it was missed.
constexpr Duration kGossipEnds = 6s;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double bound(std::size_t n) {
  return std::log2(static_cast<double>(n)) + std::log(static_cast<double>(n));
}

std::string name_of(std::string_view metric, std::size_t n, double loss) {
  return fmt::format("{}_n{}_loss{:.0f}", metric, n, loss * 100);
}

struct Spread {
  std::vector<double> rounds;  // until the last member knew, of those that gossip brought to all
  std::size_t missed = 0;
  std::vector<double> share;  // who knows after each step, summed over all

  void report(std::string_view metric, std::size_t n, double loss) const {
    const std::size_t all = rounds.size() + missed;
    if (!rounds.empty()) {
      benchmark::report(name_of(fmt::format("{}_rounds_p50", metric), n, loss), median(rounds),
                        "rounds");
      benchmark::report(name_of(fmt::format("{}_rounds_max", metric), n, loss),
                        percentile(rounds, 1), "rounds");
    }
    benchmark::report(name_of(fmt::format("{}_missed", metric), n, loss),
                      static_cast<double>(missed) / static_cast<double>(all), "share");
  }
};

class Trial {
 public:
  Trial(std::size_t n, double loss, const SwimOptions& options = SwimOptions::lan())
      : n_(n), options_(options), network_(n, options, {.loss = loss}), random_(n) {
    network_.start_acquainted(n);
    network_.run(30s);
  }

  SwimNetwork& network() { return network_; }
  std::uint64_t anyone() { return 1 + random_.below(n_); }

  // `knows`: whether a member knows; what all knew after kGossipEnds or a push-pull counts once.
  void follow(Spread& spread, const std::function<bool(const SwimNetwork::Node&)>& knows) {
    const double per_step = 1 / static_cast<double>(network_.nodes().size());
    bool all = false;
    std::size_t step = 0;
    for (Duration passed{0}; passed < kGossipEnds; passed += kStep, ++step) {
      if (spread.share.size() <= step) spread.share.push_back(0);
      const auto count = all ? static_cast<std::ptrdiff_t>(network_.nodes().size())
                             : std::count_if(network_.nodes().begin(), network_.nodes().end(),
                                             [&](const auto& node) { return knows(*node.second); });
      spread.share[step] += static_cast<double>(count) * per_step;
      if (!all && count == static_cast<std::ptrdiff_t>(network_.nodes().size())) {
        all = true;
        spread.rounds.push_back(seconds(passed) / seconds(options_.gossip_interval));
      }
      network_.run(kStep);
    }
    if (!all) ++spread.missed;
  }

  void change(Spread& spread) {
    const std::uint64_t id = anyone();
    MemberRecord record = network_.at(id).self();
    const std::uint32_t weight = ++record.weight;
    network_.at(id).change_self(record, network_.now());
    network_.settle(id);
    follow(spread, [&](const SwimNetwork::Node& node) {
      return node.swim.members().find(NodeId{id})->weight >= weight;
    });
  }

  void rumour(Spread& spread) {
    const std::uint64_t id = anyone();
    const auto told = network_.at(id).tell("benchmark", "rumour", network_.now());
    network_.settle(id);
    if (!told.ok()) return;
    follow(spread, [&](const SwimNetwork::Node& node) {
      return node.swim.self().id == NodeId{id} ||
             std::any_of(node.rumours.begin(), node.rumours.end(),
                         [&](const Rumour& rumour) { return rumour.id == *told; });
    });
  }

  void join(Spread& spread) {
    const std::uint64_t id = n_ + ++joined_;
    network_.start(member(id), {member(anyone()).peer_address});
    follow(spread, [&](const SwimNetwork::Node& node) {
      return node.swim.up(NodeId{id}) && node.swim.members().size() >= n_ + joined_;
    });
  }

  // Of each survivor the seconds until it took a killed member for down.
  std::vector<double> detections() {
    const std::uint64_t id = anyone();
    const MemberRecord record = network_.at(id).self();
    const std::size_t before = network_.verdicts().size();
    network_.kill(id);
    const Instant killed = network_.now();
    network_.run_until([&] { return network_.all_believe(id, false); }, 5min, 100ms);
    std::vector<double> times;
    for (std::size_t i = before; i < network_.verdicts().size(); ++i) {
      const SwimNetwork::Verdict& verdict = network_.verdicts()[i];
      if (!verdict.up && verdict.of == NodeId{id}) times.push_back(seconds(verdict.at - killed));
    }
    MemberRecord next = record;
    ++next.incarnation;
    network_.start(next, {member(id == 1 ? 2 : 1).peer_address});
    network_.run(20s);
    return times;
  }

 private:
  const std::size_t n_;
  const SwimOptions options_;
  SwimNetwork network_;
  Random random_;
  std::size_t joined_ = 0;
};

std::size_t trials(std::size_t n) {
  return n >= 1000 ? 3 : n >= 100 ? 60 : 300;
}

Line line_of(const Spread& spread, std::size_t n, std::size_t count) {
  Line line{fmt::format("{} members", n), {}, bound(n)};
  const double per_round = seconds(SwimOptions().gossip_interval) / seconds(kStep);
  for (std::size_t step = 0; step < spread.share.size(); ++step) {
    const double round = static_cast<double>(step) / per_round;
    if (round > kPlottedRounds) break;
    line.points.emplace_back(round, spread.share[step] / static_cast<double>(count));
  }
  return line;
}

void measure_spread(std::size_t n, double loss, Panel& panel) {
  Trial trial(n, loss);
  Spread change;
  Spread rumour;
  Spread join;
  for (std::size_t i = 0; i < trials(n); ++i) {
    trial.change(change);
    trial.rumour(rumour);
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(trials(n), 10); ++i) trial.join(join);
  change.report("record", n, loss);
  rumour.report("rumour", n, loss);
  join.report("join", n, loss);
  panel.lines.push_back(line_of(change, n, trials(n)));
}

void measure_single_partner(std::size_t n, Panel& panel) {
  SwimOptions options;
  options.gossip_fanout = 1;
  Trial trial(n, 0, options);
  Spread change;
  for (std::size_t i = 0; i < trials(n); ++i) trial.change(change);
  change.report("record_one_partner", n, 0);
  panel.lines.push_back(line_of(change, n, trials(n)));
}

void measure_detection(std::size_t n, double loss) {
  Trial trial(n, loss);
  std::vector<double> times;
  for (std::size_t i = 0; i < std::max<std::size_t>(trials(n) / 6, 3); ++i) {
    for (const double time : trial.detections()) times.push_back(time);
  }
  report(name_of("detection_p50", n, loss), median(times), "s");
  report(name_of("detection_p99", n, loss), percentile(times, 0.99), "s");
}

void measure_quiet(std::size_t n, double loss) {
  Trial trial(n, loss);
  SwimNetwork& network = trial.network();
  network.run(30s);
  const auto before = network.traffic();
  const Instant began = network.now();
  const Duration time = n >= 1000 ? Duration(2min) : n >= 100 ? Duration(30min) : Duration(10h);
  network.run(time);
  const auto& after = network.traffic();
  const double member_seconds = seconds(time) * static_cast<double>(n);
  report(name_of("false_positives_per_member_hour", n, loss),
         static_cast<double>(network.down_verdicts_since(began)) / member_seconds * 3600, "1/h");
  report(name_of("member_bytes_per_second", n, loss),
         static_cast<double>(after.packet_bytes + after.stream_bytes - before.packet_bytes -
                             before.stream_bytes) /
             member_seconds,
         "B/s");
  report(name_of("member_packets_per_second", n, loss),
         static_cast<double>(after.packets - before.packets) / member_seconds, "1/s");
}

int run(const std::string& path, std::size_t members_max) {
  Plot plot("Who knows a change of a record; dashed: log2 n + ln n rounds", "gossip rounds",
            "share of members", kPlottedRounds);
  Panel single{"one partner a round, nothing lost", {}};
  for (const double loss : {0.0, 0.05, 0.2}) {
    Panel panel{fmt::format("{:.0f} % of packets lost", loss * 100), {}};
    for (const std::size_t n : {3U, 10U, 100U, 1000U}) {
      if (n > members_max) continue;
      if (loss == 0) {
        report(fmt::format("bound_rounds_n{}", n), bound(n), "rounds");
        measure_single_partner(n, single);
      }
      measure_spread(n, loss, panel);
      measure_detection(n, loss);
      measure_quiet(n, loss);
    }
    plot.add(std::move(panel));
  }
  plot.add(std::move(single));
  measure_quiet(5, 0);
  if (!plot.write(path)) {
    fmt::print(stderr, "cannot write {}; choose another file with --plot\n", path);
    return 1;
  }
  fmt::print("plot: {}\n", path);
  return 0;
}

}  // namespace
}  // namespace grapevine::benchmark

int main(int argc, char** argv) {
  std::string path = "build/release/convergence.svg";
  std::size_t members_max = 1000;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--plot") path = argv[i + 1];
    if (flag == "--members-max") members_max = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return grapevine::benchmark::run(path, members_max);
}
