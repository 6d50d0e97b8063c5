// Goal: states, fingerprints and slots come out as they went in, take as little room as is claimed,
// and every other byte gets a Status.
#include "gossip/states_codec.h"

#include <map>
#include <set>
#include <tuple>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/model/generators.h"

namespace grapevine::gossip {
namespace {

bool equal(const PartitionState& a, const PartitionState& b) {
  return a.partition == b.partition && a.clock == b.clock && a.root.sum.low == b.root.sum.low &&
         a.root.unquiet == b.root.unquiet && a.log_reaches == b.log_reaches;
}

rc::Gen<std::vector<PartitionState>> any_states() {
  return rc::gen::map(
      rc::gen::container<std::map<std::uint32_t, std::tuple<model::Clock, std::uint64_t, bool>>>(
          rc::gen::inRange<std::uint32_t>(0, 65'536),
          rc::gen::tuple(rc::gen::arbitrary<model::Clock>(), rc::gen::arbitrary<std::uint64_t>(),
                         rc::gen::arbitrary<bool>())),
      [](const auto& drawn) {
        std::vector<PartitionState> states;
        for (const auto& [partition, rest] : drawn) {
          const auto& [clock, root, reaches] = rest;
          states.push_back({PartitionId{partition},
                            clock,
                            {{root, 0}, 0, static_cast<std::uint32_t>(root >> 40)},
                            reaches});
        }
        return states;
      });
}

RC_GTEST_PROP(StatesCodec, StatesComeBack, ()) {
  const std::vector<PartitionState> states = *any_states();
  const std::string bytes = encode_states(states);
  const auto decoded = decode_states(bytes);
  RC_ASSERT(decoded.ok());
  RC_ASSERT(std::equal(decoded->begin(), decoded->end(), states.begin(), states.end(), equal));
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 20) {
    RC_ASSERT(!decode_states(bytes.substr(0, cut)).ok());
  }
  RC_ASSERT(!decode_states(bytes + '\0').ok());
}

TEST(StatesCodec, TheLargestCountersAndMarkersComeBack) {
  PartitionState state{PartitionId{65'535}, {}, {}, true};
  state.clock.add(model::DotRange{ActorId{1}, 1, model::kCounterMax});
  state.clock.add(model::DotRange{ActorId{2}, model::kCounterMax, model::kCounterMax});
  state.clock.add(model::DotRange{ActorId{3}, 1, model::kCounterMax / 2 + 1});
  state.clock.close(NodeId{7}, 9);
  const auto decoded = decode_states(encode_states({state}));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->at(0).clock, state.clock);
}

TEST(StatesCodec, AStateOfThreeActorsTakesAboutEighteenBytes) {
  std::vector<PartitionState> states;
  for (std::uint32_t i = 0; i < 64; ++i) {
    PartitionState& state = states.emplace_back();
    state.partition = {i};
    state.root.sum.low = ~std::uint64_t{i};
    for (std::uint64_t node = 1; node <= 3; ++node) {
      state.clock.add(model::DotRange{ActorId::of(NodeId{node << 30}, 1), 1, 5'000 + i});
    }
  }
  EXPECT_LE(encode_states(states).size(), 64 * 18 + 32U);
}

TEST(StatesCodec, WhetherTheLogReachesIsNoPartOfTheHash) {
  std::vector<PartitionState> states(2);
  states[1].partition = {5};
  const std::uint64_t before = hash_states(states);
  states[0].log_reaches = false;
  EXPECT_EQ(hash_states(states), before);
  states[0].root.sum.low = 1;
  EXPECT_NE(hash_states(states), before);
}

RC_GTEST_PROP(StatesCodec, FingerprintsAndSlotsComeBack,
              (const std::set<std::uint16_t>& partitions, const std::set<std::uint32_t>& drawn)) {
  std::vector<Fingerprint> prints;
  for (const std::uint16_t partition : partitions) {
    prints.push_back({PartitionId{partition}, static_cast<std::uint16_t>(partition * 7)});
  }
  const auto decoded = decode_fingerprints(encode_fingerprints(prints));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(decoded->size() == prints.size());
  for (std::size_t i = 0; i < prints.size(); ++i) {
    RC_ASSERT((*decoded)[i].partition == prints[i].partition);
    RC_ASSERT((*decoded)[i].print == prints[i].print);
  }
  const std::vector<model::Slot> slots(drawn.begin(), drawn.end());
  const auto read = decode_slots(encode_slots(slots));
  RC_ASSERT(read.ok());
  RC_ASSERT(*read == slots);
}

TEST(StatesCodec, FingerprintsOfAllPartitionsTakeTwoBytesEach) {
  std::vector<Fingerprint> prints;
  for (std::uint32_t i = 0; i < 64; ++i) prints.push_back({PartitionId{i}, 1});
  EXPECT_LE(encode_fingerprints(prints).size(), 64 * 2 + 4U);
}

TEST(StatesCodec, WhatCannotBeIsRefused) {
  using namespace std::string_literals;
  // One run of more partitions than there can be; runs beyond the last partition.
  EXPECT_FALSE(decode_fingerprints("\x01\x00\xff\xff\x7f"s).ok());
  EXPECT_FALSE(decode_fingerprints("\x01\xff\xff\x7f\x00\x01\x01"s).ok());
  EXPECT_FALSE(decode_slots("\x01\xff\xff\xff\xff\x10"s).ok());
  EXPECT_FALSE(decode_slots("\x7f"s).ok());
  // Actors out of order.
  std::string two("\x02", 1);
  two += std::string(8, '\x02') + std::string(8, '\x01') + '\0';
  EXPECT_FALSE(decode_states(two).ok());
}

}  // namespace
}  // namespace grapevine::gossip
