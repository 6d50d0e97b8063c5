// Goal: the presets are within their bounds, what is not is named, and the formulas give what the
// papers say.
#include "gossip/swim_options.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grapevine::gossip {
namespace {

using namespace std::chrono_literals;
using ::testing::StartsWith;

TEST(SwimOptions, PresetsAreWithinTheirBounds) {
  EXPECT_TRUE(SwimOptions::local().check().ok());
  EXPECT_TRUE(SwimOptions::lan().check().ok());
  EXPECT_TRUE(SwimOptions::wan().check().ok());
}

TEST(SwimOptions, TheKnobThatIsOutOfItsBoundsIsNamed) {
  const std::pair<std::string, std::function<void(SwimOptions&)>> wrong[] = {
      {"probe_interval", [](SwimOptions& options) { options.probe_interval = 1ms; }},
      {"probe_timeout", [](SwimOptions& options) { options.probe_timeout = 501ms; }},
      {"indirect_probes", [](SwimOptions& options) { options.indirect_probes = 17; }},
      {"suspicion_multiplier", [](SwimOptions& options) { options.suspicion_multiplier = 0; }},
      {"health_max", [](SwimOptions& options) { options.health_max = 0; }},
      {"gossip_fanout", [](SwimOptions& options) { options.gossip_fanout = 0; }},
      {"packet_bytes_max", [](SwimOptions& options) { options.packet_bytes_max = 1401; }},
  };
  for (const auto& [knob, spoil] : wrong) {
    SwimOptions options;
    spoil(options);
    EXPECT_THAT(std::string(options.check().message()),
                StartsWith("membership option " + knob + " must be "));
  }
}

TEST(SwimOptions, FormulasGrowWithTheLogarithmOfTheMembers) {
  const SwimOptions options;
  EXPECT_EQ(options.suspicion_min(9), 4s);
  EXPECT_EQ(options.suspicion_min(999), 12s);
  EXPECT_EQ(options.suspicion_max(9), 24s);
  EXPECT_EQ(options.transmissions(3), options.transmissions_min);
  EXPECT_EQ(options.transmissions(99), 12U);
  EXPECT_EQ(options.transmissions(999), 18U);
}

TEST(SwimOptions, AllTogetherProbeTheDownAtABoundedRate) {
  const SwimOptions options;
  EXPECT_EQ(options.down_probe_period(0), options.join_interval);
  EXPECT_EQ(options.down_probe_period(5), options.down_probe_interval);
  EXPECT_EQ(options.down_probe_period(1000), options.down_probe_interval * 100);
}

TEST(SwimOptions, LoadsOfManyComeSeldomer) {
  const SwimOptions options;
  EXPECT_EQ(options.load_period(3), options.load_interval);
  EXPECT_GT(options.load_period(1000), 100s);
}

}  // namespace
}  // namespace grapevine::gossip
