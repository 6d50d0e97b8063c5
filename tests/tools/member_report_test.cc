// Goal: a node's state and the pairs' standing read as what they are; a pair that was never proven
// equal is named. Method: members written out by hand.
#include "tools/member_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace grapevine::tools {
namespace {

using std::chrono::milliseconds;

MemberReport member(std::uint64_t id, std::vector<SeenPeer> peers) {
  MemberReport report;
  report.record.id = {id};
  report.record.name = "n" + std::to_string(id);
  report.status.emplace();
  report.status->peers = std::move(peers);
  return report;
}

SeenPeer peer(std::uint64_t id, std::optional<milliseconds> proven) {
  return {.node = {id}, .reachable = true, .since = milliseconds(0), .proven_equal_ago = proven};
}

TEST(StateText, SaysSinceWhenANodeIsAway) {
  gossip::MemberRecord record;
  SeenPeer seen{.node = {1},
                .reachable = false,
                .since = milliseconds(5'000),
                .proven_equal_ago = std::nullopt};
  EXPECT_EQ(state_text(record, false, &seen), "unreachable for 5.0 s");
  EXPECT_EQ(state_text(record, true, &seen), "up, but not for its peers for 5.0 s");
  seen.reachable = true;
  EXPECT_EQ(state_text(record, true, &seen), "up");
  EXPECT_EQ(state_text(record, false, &seen), "does not answer");
  EXPECT_EQ(state_text(record, true, nullptr), "up");
  record.state = gossip::MemberState::kRemoved;
  EXPECT_EQ(state_text(record, false, &seen), "removed");
}

TEST(ProvenPairs, TakeTheMoreRecentWordOfTheTwo) {
  const auto pairs = proven_pairs({member(1, {peer(2, milliseconds(900)), peer(3, std::nullopt)}),
                                   member(2, {peer(1, milliseconds(300)), peer(3, std::nullopt)}),
                                   member(3, {peer(1, milliseconds(700)), peer(2, std::nullopt)})});
  EXPECT_THAT(pairs, testing::ElementsAre(ProvenPair{"n1", "n2", milliseconds(300)},
                                          ProvenPair{"n1", "n3", milliseconds(700)},
                                          ProvenPair{"n2", "n3", std::nullopt}));
}

TEST(ProvenPairs, LeaveOutMembersThatOwnNothing) {
  MemberReport gone = member(2, {});
  gone.record.state = gossip::MemberState::kLeft;
  EXPECT_THAT(proven_pairs({member(1, {}), gone}), testing::IsEmpty());
}

TEST(ProvenPairs, KeepAMemberThatDoesNotAnswer) {
  MemberReport silent = member(2, {});
  silent.status.reset();
  EXPECT_THAT(proven_pairs({member(1, {peer(2, milliseconds(5))}), silent}),
              testing::ElementsAre(ProvenPair{"n1", "n2", milliseconds(5)}));
}

TEST(DivergenceLine, SaysHowLongAgoTheOldestProofIs) {
  EXPECT_EQ(divergence_line({}), "one replica, nothing to compare");
  EXPECT_EQ(divergence_line({{"a", "b", milliseconds(1'200)}}),
            "the pair was proven equal within the last 1.2 s");
  EXPECT_EQ(divergence_line({{"a", "b", milliseconds(1'200)},
                             {"a", "c", milliseconds(400)},
                             {"b", "c", milliseconds(3)}}),
            "all 3 pairs were proven equal, each within the last 1.2 s");
}

TEST(DivergenceLine, NamesThePairsWithoutAProof) {
  EXPECT_EQ(
      divergence_line({{"a", "b", std::nullopt}, {"a", "c", milliseconds(400)}}),
      "1 pair not proven equal since the nodes started: a-b; 1 other within the last 400.0 ms");
  EXPECT_EQ(divergence_line({{"a", "b", std::nullopt}}),
            "1 pair not proven equal since the nodes started: a-b");
}

}  // namespace
}  // namespace grapevine::tools
