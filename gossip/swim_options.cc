#include "gossip/swim_options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "gossip/packet.h"

namespace grapevine::gossip {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kLoadReportBytes = 16;

Duration times(Duration duration, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * factor));
}

double log10_of(std::size_t n) {
  return std::log10(static_cast<double>(n) + 1);
}

absl::Status out_of_bounds(const std::string& knob, const std::string& bounds) {
  return absl::InvalidArgumentError("membership option " + knob + " must be " + bounds);
}

}  // namespace

SwimOptions SwimOptions::local() {
  SwimOptions options;
  options.probe_interval = milliseconds(500);
  options.probe_timeout = milliseconds(200);
  options.suspicion_multiplier = 3;
  options.refused_time = milliseconds(200);
  options.gossip_interval = milliseconds(50);
  options.push_pull_interval = seconds(10);
  options.join_interval = milliseconds(200);
  options.down_probe_interval = milliseconds(500);
  return options;
}

SwimOptions SwimOptions::wan() {
  SwimOptions options;
  options.probe_interval = seconds(5);
  options.probe_timeout = milliseconds(2'500);
  options.suspicion_multiplier = 6;
  options.refused_time = seconds(2);
  options.gossip_interval = milliseconds(500);
  options.gossip_fanout = 4;
  options.gossip_to_gone = seconds(60);
  options.push_pull_interval = seconds(60);
  options.down_probe_interval = seconds(10);
  options.load_interval = seconds(5);
  return options;
}

absl::Status SwimOptions::check() const {
  const Duration shortest = milliseconds(1);
  if (probe_interval < milliseconds(10)) return out_of_bounds("probe_interval", "at least 10 ms");
  if (probe_timeout < shortest || probe_timeout * 2 > probe_interval) {
    return out_of_bounds("probe_timeout", "at least 1 ms and at most half of probe_interval");
  }
  if (indirect_probes > 16) return out_of_bounds("indirect_probes", "at most 16");
  if (!(suspicion_multiplier >= 1)) return out_of_bounds("suspicion_multiplier", "at least 1");
  if (!(suspicion_max_multiplier >= 1)) {
    return out_of_bounds("suspicion_max_multiplier", "at least 1");
  }
  if (confirmations > 16) return out_of_bounds("confirmations", "at most 16");
  if (refused_time < shortest) return out_of_bounds("refused_time", "at least 1 ms");
  if (health_max < 1 || health_max > 64) return out_of_bounds("health_max", "from 1 to 64");
  if (!(spread_multiplier >= 1)) return out_of_bounds("spread_multiplier", "at least 1");
  if (transmissions_min < 1 || transmissions_min > 64) {
    return out_of_bounds("transmissions_min", "from 1 to 64");
  }
  if (gossip_interval < shortest) return out_of_bounds("gossip_interval", "at least 1 ms");
  if (gossip_fanout < 1 || gossip_fanout > 16)
    return out_of_bounds("gossip_fanout", "from 1 to 16");
  if (push_pull_interval < milliseconds(100)) {
    return out_of_bounds("push_pull_interval", "at least 100 ms");
  }
  if (join_interval < milliseconds(10)) return out_of_bounds("join_interval", "at least 10 ms");
  if (seed_interval < join_interval) {
    return out_of_bounds("seed_interval", "at least join_interval");
  }
  if (down_probe_interval < milliseconds(10)) {
    return out_of_bounds("down_probe_interval", "at least 10 ms");
  }
  if (load_bytes_per_second < 1) return out_of_bounds("load_bytes_per_second", "at least 1");
  if (packet_bytes_max < 200 || packet_bytes_max > kPacketBytesMax) {
    return out_of_bounds("packet_bytes_max", "from 200 to 1400");
  }
  return absl::OkStatus();
}

Duration SwimOptions::suspicion_min(std::size_t n) const {
  return times(probe_interval, suspicion_multiplier * log10_of(n));
}

Duration SwimOptions::suspicion_max(std::size_t n) const {
  return times(suspicion_min(n), suspicion_max_multiplier);
}

std::uint32_t SwimOptions::transmissions(std::size_t n) const {
  return std::max(transmissions_min,
                  static_cast<std::uint32_t>(std::ceil(spread_multiplier * log10_of(n))));
}

Duration SwimOptions::down_probe_period(std::size_t members_up) const {
  if (members_up == 0) return join_interval;
  return times(down_probe_interval, std::max(1.0, static_cast<double>(members_up) / 10));
}

Duration SwimOptions::load_period(std::size_t n) const {
  const double bytes = kLoadReportBytes * static_cast<double>(n) * transmissions(n);
  return std::max(load_interval, times(seconds(1), bytes / load_bytes_per_second));
}

Duration SwimOptions::sync_after_check_period(std::size_t n) const {
  return times(probe_interval, std::max(1.0, static_cast<double>(n) / 16));
}

}  // namespace grapevine::gossip
