// Goal: "provably equal" is said only when every owner of every partition was seen, with equal
// digests, equal clocks; all else says what is missing for it. Method: partitions written out by
// hand, and as a property for pairs that are not equal.
#include "tools/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <nlohmann/json.hpp>

namespace grapevine::tools {
namespace {

using gossip::PartitionState;
using testing::HasSubstr;
using testing::Not;

constexpr ActorId kActor{0x1'00001};

// A replica that has seen the writes 1..writes; its data is named by `data`.
PartitionState replica(std::uint64_t writes, std::uint64_t data, std::uint32_t keys,
                       std::uint32_t unquiet = 0) {
  PartitionState state;
  if (writes > 0) state.clock.add(model::DotRange{kActor, 1, writes});
  state.root = {{data, 0}, keys, unquiet};
  return state;
}

ComparedPartition partition_of(std::vector<PartitionState> states) {
  ComparedPartition partition;
  for (std::size_t i = 0; i < states.size(); ++i) partition.states[i] = std::move(states[i]);
  return partition;
}

Divergence divergence_of(const std::vector<ComparedPartition>& partitions,
                         std::vector<std::string> nodes = {"n1", "n2", "n3"}) {
  Divergence divergence;
  divergence.nodes = std::move(nodes);
  for (const auto& partition : partitions) add(partition, divergence);
  return divergence;
}

ComparedPartition equal_partition(std::uint32_t keys = 5) {
  return partition_of({replica(9, 1, keys), replica(9, 1, keys), replica(9, 1, keys)});
}

TEST(Verdict, ThreeEqualReplicasAreProvablyEqual) {
  const Verdict verdict = verdict_of(divergence_of({equal_partition(1'000), equal_partition(234)}));
  EXPECT_EQ(verdict.kind, Verdict::Kind::kEqual);
  EXPECT_EQ(verdict.code, ExitCode::kDone);
  EXPECT_EQ(verdict.text, "provably equal: 3 replicas, 2 partitions, 1,234 keys");
}

TEST(Verdict, ASingleNodeIsEqualToItself) {
  const Verdict verdict = verdict_of(divergence_of({partition_of({replica(9, 1, 5)})}, {"n1"}));
  EXPECT_EQ(verdict.code, ExitCode::kDone);
  EXPECT_EQ(verdict.text, "provably equal: 1 replica, 1 partition, 5 keys");
}

TEST(Verdict, DifferingKeysAreCountedOnceHoweverManyPairsTheyDifferIn) {
  ComparedPartition partition =
      partition_of({replica(9, 1, 5), replica(9, 1, 5), replica(7, 2, 4)});
  partition.differing[{0, 2}] = {{11, "a"}, {12, "b"}};
  partition.differing[{1, 2}] = {{11, "a"}, {12, "b"}};
  const Divergence divergence = divergence_of({partition, equal_partition()});
  EXPECT_EQ(divergence.differing_keys, 2u);
  EXPECT_EQ(divergence.missing_writes, 2u);
  const Verdict verdict = verdict_of(divergence);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kDiverged);
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_EQ(verdict.text, "diverged: 2 differing keys, 2 missing writes");
}

TEST(Verdict, EachSidesMissingWritesAreToldApart) {
  PartitionState left = replica(9, 1, 5);
  left.clock.add(model::DotRange{ActorId{0x2'00001}, 1, 3});
  const Divergence divergence =
      divergence_of({partition_of({left, replica(14, 2, 6)})}, {"n1", "n2"});
  ASSERT_EQ(divergence.pairs.size(), 1u);
  EXPECT_EQ(divergence.pairs[0].missing_left, 5u);
  EXPECT_EQ(divergence.pairs[0].missing_right, 3u);
  EXPECT_EQ(divergence.missing_writes, 8u);
}

TEST(Verdict, EqualDataUnderDifferentClocksIsNoProof) {
  const Verdict verdict = verdict_of(
      divergence_of({partition_of({replica(9, 1, 5), replica(12, 1, 5)})}, {"n1", "n2"}));
  EXPECT_EQ(verdict.kind, Verdict::Kind::kClocksDiffer);
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_EQ(verdict.text, "data equal, clocks not yet: 3 writes missing");
}

TEST(Verdict, AnEntryThatStillCarriesAVectorDoesNotHinderTheProof) {
  const Verdict verdict = verdict_of(
      divergence_of({partition_of({replica(9, 1, 5), replica(9, 1, 5, 1)})}, {"n1", "n2"}));
  EXPECT_EQ(verdict.kind, Verdict::Kind::kEqual);
  EXPECT_EQ(verdict.code, ExitCode::kDone);
}

TEST(Verdict, WritesOnTheirWayAreToldApart) {
  ComparedPartition partition = partition_of({replica(9, 1, 5), replica(7, 2, 4)});
  partition.differing[{0, 1}] = {{11, "a"}, {12, "b"}};
  Divergence divergence = divergence_of({partition}, {"n1", "n2"});
  divergence.pairs[0].in_flight = 2;
  Verdict verdict = verdict_of(divergence);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kInFlight);
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_EQ(verdict.text, "equal but for 2 writes on the way");
  divergence.pairs[0].in_flight = 1;
  EXPECT_EQ(verdict_of(divergence).kind, Verdict::Kind::kDiverged) << "one has been missing longer";
  divergence.pairs[0].in_flight = 2;
  divergence.pairs[0].differing_keys = 3;
  EXPECT_EQ(verdict_of(divergence).kind, Verdict::Kind::kDiverged) << "two writes, three keys";
}

TEST(Verdict, DifferentDataUnderEqualClocksIsCalledDamage) {
  ComparedPartition partition = partition_of({replica(9, 1, 5), replica(9, 2, 5)});
  partition.differing[{0, 1}] = {{11, "a"}};
  const Verdict verdict = verdict_of(divergence_of({partition}, {"n1", "n2"}));
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_THAT(verdict.text,
              HasSubstr("1 partition with equal clocks and different data, which is damage:"));
}

TEST(Verdict, DifferentRootsAreADifferenceEvenIfNoKeyIsFound) {
  const Verdict verdict =
      verdict_of(divergence_of({partition_of({replica(9, 1, 5), replica(8, 2, 5)})}, {"n1", "n2"}));
  EXPECT_EQ(verdict.kind, Verdict::Kind::kDiverged);
}

TEST(Verdict, AMemberOutOfReachPreventsTheProof) {
  Divergence divergence =
      divergence_of({partition_of({replica(9, 1, 5), replica(9, 1, 5)})}, {"n1", "n2"});
  divergence.unreachable.push_back({"n3", "127.0.0.1:4760: connection refused"});
  const Verdict verdict = verdict_of(divergence);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kNotProven);
  EXPECT_EQ(verdict.code, ExitCode::kUnreachable);
  EXPECT_EQ(verdict.text,
            "not proven: n3 cannot be reached (127.0.0.1:4760: connection refused); the 2 replicas "
            "seen are equal");
}

TEST(Verdict, AMemberOutOfReachDoesNotHideADifference) {
  ComparedPartition partition = partition_of({replica(9, 1, 5), replica(7, 2, 4)});
  partition.differing[{0, 1}] = {{11, "a"}};
  Divergence divergence = divergence_of({partition}, {"n1", "n2"});
  divergence.unreachable.push_back({"n3", "gone"});
  const Verdict verdict = verdict_of(divergence);
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_THAT(
      verdict.text,
      HasSubstr("diverged: 1 differing key, 2 missing writes; n3 cannot be reached (gone)"));
}

TEST(Verdict, OneReplicaThatIsLeftProvesNothing) {
  Divergence divergence = divergence_of({partition_of({replica(9, 1, 5)})}, {"n1"});
  divergence.unreachable.push_back({"n2", "gone"});
  const Verdict verdict = verdict_of(divergence);
  EXPECT_EQ(verdict.code, ExitCode::kUnreachable);
  EXPECT_EQ(verdict.text, "not proven: n2 cannot be reached (gone); nothing is left to compare");
}

TEST(Verdict, APartitionThatAnOwnerDoesNotHoldYetPreventsTheProof) {
  ComparedPartition partition = equal_partition();
  partition.incomplete = true;
  const Verdict verdict = verdict_of(divergence_of({partition, equal_partition()}));
  EXPECT_EQ(verdict.kind, Verdict::Kind::kNotProven);
  EXPECT_EQ(verdict.code, ExitCode::kNo);
  EXPECT_EQ(
      verdict.text,
      "not proven: 1 partition not at all of their owners yet; the 3 replicas seen are equal");
}

TEST(Verdict, WithoutAnyReplicaNothingIsProven) {
  EXPECT_EQ(verdict_of(Divergence()).kind, Verdict::Kind::kNotProven);
  EXPECT_NE(verdict_of(Divergence()).code, ExitCode::kDone);
}

RC_GTEST_PROP(VerdictLaw, OneReplicaThatIsNotTheSameEndsTheProof, ()) {
  const auto partitions = *rc::gen::inRange<std::size_t>(1, 6);
  const auto bad = *rc::gen::inRange<std::size_t>(0, partitions);
  const auto which = *rc::gen::inRange<std::size_t>(0, 3);
  const auto how = *rc::gen::inRange(0, 3);
  std::vector<ComparedPartition> all(partitions, equal_partition());
  PartitionState& state = all[bad].states[which];
  if (how == 0) state.root.sum.high = 7;
  if (how == 1) state.clock.add(model::Dot{kActor, 10});
  if (how == 2) state.clock.remove(model::Dot{kActor, 3});
  const Verdict verdict = verdict_of(divergence_of(all));
  RC_ASSERT(verdict.kind != Verdict::Kind::kEqual);
  RC_ASSERT(verdict.code == ExitCode::kNo);
  RC_ASSERT(verdict.text.find("provably equal") == std::string::npos);
}

TEST(Divergence, HasAPairOnlyForNodesThatShareAPartition) {
  ComparedPartition first;
  first.states = {{0, replica(1, 1, 1)}, {2, replica(1, 1, 1)}};
  ComparedPartition second;
  second.states = {{0, replica(1, 1, 1)}, {1, replica(1, 1, 1)}};
  const Divergence divergence = divergence_of({first, second});
  ASSERT_EQ(divergence.pairs.size(), 2u);
  EXPECT_EQ(divergence.pairs[0].right, 1u);
  EXPECT_EQ(divergence.pairs[1].right, 2u);
  EXPECT_EQ(divergence.replicas, 2u);
}

Divergence with_listed_key() {
  ComparedPartition partition = partition_of({replica(9, 1, 5), replica(7, 2, 4)});
  partition.differing[{0, 1}] = {{11, "a\n"}, {12, "b"}};
  Divergence divergence = divergence_of({partition}, {"n1", "n2"});
  divergence.pairs[0].proven_equal_ago = std::chrono::milliseconds(1'500);
  model::Version version;
  version.dot = {kActor, 9};
  version.written = {1'000};
  version.value_bytes = 2'048;
  divergence.listed.push_back({"a\n", {{0, {version}}, {1, {}}}});
  return divergence;
}

TEST(DivergenceText, HasARowForEachPair) {
  EXPECT_EQ(print_pairs(with_listed_key()),
            "LEFT  RIGHT  DIFFERING KEYS  MISSING LEFT  MISSING RIGHT  IN FLIGHT  OLDEST  LAST "
            "PROVEN EQUAL\n"
            "n1    n2                  2             0              2          0       -          "
            "1.5 s ago\n");
  EXPECT_EQ(print_pairs(divergence_of({partition_of({replica(1, 1, 1)})})), "");
}

TEST(DivergenceText, ListsTheVersionsOfEachNodeAndHowManyKeysAreLeftOut) {
  EXPECT_EQ(print_listed(with_listed_key()),
            "a\\x0a\n"
            "  n1  00000000001.1:9  2.0 KiB  1970-01-01T00:00:01.000Z\n"
            "  n2  absent\n"
            "and 1 key more; see --limit\n");
}

TEST(DivergenceJson, CarriesVerdictPairsAndKeys) {
  const auto object = nlohmann::json::parse(print_json(with_listed_key()));
  EXPECT_EQ(object["verdict"], "diverged");
  EXPECT_EQ(object["differing_keys"], 2);
  EXPECT_EQ(object["pairs"][0]["left"], "n1");
  EXPECT_EQ(object["pairs"][0]["missing_right"], 2);
  EXPECT_EQ(object["pairs"][0]["proven_equal_ago_ms"], 1'500);
  EXPECT_EQ(object["differing"][0]["key"], "a\n");
  EXPECT_EQ(object["differing"][0]["replicas"][0]["versions"][0]["bytes"], 2'048);
  EXPECT_TRUE(object["differing"][0]["replicas"][1]["versions"].empty());
}

}  // namespace
}  // namespace grapevine::tools
