// Goal: status, members, divergence and repair ask every member, say who is missing, and exit as
// scripts expect. Method: the whole program against two nodes in this process that tell what they
// are told to tell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tools/fake_node.h"
#include "tests/tools/program.h"

namespace grapevine::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

class AdminCommandsTest : public testing::Test {
 protected:
  AdminCommandsTest() {
    members_are({first_.record(), second_.record()});
    first_.tell_partitions(partitions(9));
    second_.tell_partitions(partitions(9));
  }

  void members_are(const std::vector<gossip::MemberRecord>& members) {
    first_.tell_members(members);
    second_.tell_members(members);
  }
  // Somebody who does not listen any more.
  static gossip::MemberRecord absent() {
    gossip::MemberRecord record;
    record.id = {3};
    record.name = "n3";
    record.client_address = "127.0.0.1:1";
    return record;
  }
  // Both partitions, which both nodes own, after so many writes.
  static std::vector<FakeNode::Partition> partitions(std::uint64_t writes) {
    std::vector<FakeNode::Partition> both;
    for (std::uint32_t i = 0; i < 2; ++i) {
      gossip::PartitionState state;
      state.partition = {i};
      state.clock.add(model::DotRange{ActorId{0x1'00001}, 1, writes});
      state.root = {{5, 0}, 10, 0};
      both.push_back({state, {{1}, {2}}});
    }
    return both;
  }
  Ran run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--endpoints", first_.endpoint()});
    return ran(arguments);
  }

  FakeNode first_{{1}, "n1"};
  FakeNode second_{{2}, "n2"};
};

TEST_F(AdminCommandsTest, DivergenceOfEqualReplicasIsZero) {
  const Ran one = run({"divergence"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("provably equal: 2 replicas, 2 partitions, 20 keys\n"));
}

TEST_F(AdminCommandsTest, DivergenceCountsTheMissingWritesOfBothPartitions) {
  second_.tell_partitions(partitions(7));
  const Ran one = run({"divergence"});
  EXPECT_EQ(one.code, 1);
  EXPECT_THAT(one.out, HasSubstr("data equal, clocks not yet: 4 writes missing\n"));
  const auto pair = nlohmann::json::parse(run({"divergence", "--json"}).out)["pairs"][0];
  EXPECT_EQ(pair["missing_right"], 4);
  EXPECT_EQ(pair["in_flight"], 0);
  EXPECT_EQ(pair["oldest_missing_ms"], 1'500);
}

TEST_F(AdminCommandsTest, DivergenceWithAMemberOutOfReachIsNeverZero) {
  members_are({first_.record(), second_.record(), absent()});
  const Ran one = run({"divergence"});
  EXPECT_EQ(one.code, 3);
  EXPECT_THAT(one.out, HasSubstr("not proven: n3 cannot be reached"));
  EXPECT_THAT(one.out, Not(HasSubstr("provably equal")));
}

TEST_F(AdminCommandsTest, DivergenceWithAPartitionThatNobodyTellsOfIsNeverZero) {
  for (FakeNode* node : {&first_, &second_}) {
    auto one_only = partitions(9);
    one_only.pop_back();
    node->tell_partitions(one_only);
  }
  EXPECT_EQ(run({"divergence"}).code, 1);
}

TEST_F(AdminCommandsTest, DivergenceWatchedEndsWhenTheReplicasAreEqual) {
  const Ran one = run({"divergence", "--watch"});
  EXPECT_EQ(one.code, 0);
  EXPECT_EQ(one.out, "provably equal: 2 replicas, 2 partitions, 20 keys\n");
}

TEST_F(AdminCommandsTest, AnotherNodeAtAMembersAddressIsNotTakenForIt) {
  gossip::MemberRecord moved = absent();
  moved.client_address = second_.endpoint();
  members_are({first_.record(), second_.record(), moved});
  const Ran one = run({"divergence"});
  EXPECT_EQ(one.code, 3);
  EXPECT_THAT(one.out, HasSubstr("another node answers there (n2)"));
}

TEST_F(AdminCommandsTest, TheFirstEndpointThatAnswersIsAsked) {
  const Ran one = ran({"divergence", "--endpoints", "127.0.0.1:1," + first_.endpoint()});
  EXPECT_EQ(one.code, 0) << one.err;
}

TEST_F(AdminCommandsTest, StatusHasARowForEachMemberEvenIfItIsAway) {
  members_are({absent(), second_.record(), first_.record()});
  const Ran one = run({"status"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("n1    00000000001  up"));
  EXPECT_THAT(one.out, HasSubstr("n3    00000000003  does not answer"));
  EXPECT_THAT(one.out, HasSubstr("cluster grapevine: replication factor 3, 2 partitions\n"));
  const auto object = nlohmann::json::parse(run({"status", "--json"}).out);
  EXPECT_EQ(object["nodes"][0]["keys"], 7);
  EXPECT_EQ(object["nodes"][2]["reachable"], false);
}

TEST_F(AdminCommandsTest, MembersAreSortedByName) {
  members_are({second_.record(), first_.record()});
  const auto list = nlohmann::json::parse(run({"members", "--json"}).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["name"], "n1");
  EXPECT_EQ(list[1]["client_address"], second_.endpoint());
  EXPECT_THAT(run({"members"}).out, HasSubstr(second_.endpoint()));
}

TEST_F(AdminCommandsTest, RepairIsDoneWhenAllWereProvenEqual) {
  second_.repair_as(true, 1'234);
  const Ran one = run({"repair"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("n2        1 of 1 peer        1,234"));
}

TEST_F(AdminCommandsTest, RepairThatDidNotFinishIsNotDone) {
  second_.repair_as(false, 0);
  const Ran one = run({"repair"});
  EXPECT_EQ(one.code, 1);
  EXPECT_THAT(one.err, HasSubstr("not every pair was proven equal"));
}

TEST_F(AdminCommandsTest, RepairNamesTheMemberThatItCouldNotReach) {
  members_are({first_.record(), second_.record(), absent()});
  const Ran one = run({"repair"});
  EXPECT_EQ(one.code, 3);
  EXPECT_THAT(one.err, HasSubstr("n3 (cannot connect to 127.0.0.1:1"));
}

TEST_F(AdminCommandsTest, BenchDoesAsManyOperationsAsAsked) {
  const auto object = nlohmann::json::parse(run({"bench", "--op", "put", "--count", "500", "--keys",
                                                 "50", "--outstanding", "7", "--json"})
                                                .out);
  EXPECT_EQ(object["puts"], 500);
  EXPECT_EQ(object["errors"], 0);
  EXPECT_LE(object["latency_us"]["min"], object["latency_us"]["p50"]);
  EXPECT_EQ(first_.writes(), 500u);
  for (const auto& [key, values] : first_.data()) EXPECT_EQ(key.substr(0, 6), "bench/");
  EXPECT_LE(first_.data().size(), 50u);
  EXPECT_THAT(run({"bench", "--op", "get", "--count", "10"}).out, HasSubstr("10 gets"));
}

TEST_F(AdminCommandsTest, BenchCountsErrorsAndExitsByTheFirst) {
  first_.judge_by([](const std::string&) { return wire::Code::REFUSED; });
  const Ran one = run({"bench", "--op", "put", "--count", "20"});
  EXPECT_EQ(one.code, 4);
  EXPECT_THAT(one.err, HasSubstr("20 errors; the first: the node's own words"));
}

TEST_F(AdminCommandsTest, BackupIsOfTheEndpointsNodeAlone) {
  const Ran one = run({"backup", "/b", "--keep", "3", "--rate", "2KiB"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("n1"));
  EXPECT_THAT(one.out, HasSubstr("2.0 KiB"));
  EXPECT_THAT(one.out, HasSubstr("/b/n1\n"));
  EXPECT_THAT(one.out, Not(HasSubstr("n2")));
  const auto rows = nlohmann::json::parse(run({"backup", "/b", "--keep", "3", "--json"}).out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["backup"], 4);
  EXPECT_EQ(rows[0]["files_new"], 4);
  EXPECT_EQ(rows[0]["files_shared"], 6);
}

TEST_F(AdminCommandsTest, BackupOfAllIsOfEveryMemberAndSaysWhoIsMissing) {
  EXPECT_EQ(nlohmann::json::parse(run({"backup", "/b", "--all", "--json"}).out).size(), 2U);
  members_are({first_.record(), second_.record(), absent()});
  const Ran one = run({"backup", "/b", "--all", "--json"});
  EXPECT_EQ(one.code, 3);
  EXPECT_EQ(nlohmann::json::parse(one.out).size(), 2U);
  EXPECT_THAT(one.err, HasSubstr("not backed up: n3"));
}

TEST_F(AdminCommandsTest, BackupThatANodeRefusesIsExitFourAndNamesIt) {
  first_.refuse_backups();
  const Ran one = run({"backup", "/b"});
  EXPECT_EQ(one.code, 4);
  EXPECT_THAT(one.err, HasSubstr("n1"));
  EXPECT_THAT(one.err, HasSubstr("a backup is under way"));
}

TEST_F(AdminCommandsTest, BackupNeedsAnAbsolutePath) {
  const Ran one = run({"backup", "here"});
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("absolute path"));
}

TEST_F(AdminCommandsTest, BackupsAreListedOldestFirst) {
  const Ran one = run({"backup", "/b", "--list"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("1970-01-02T00:00:00Z"));
  EXPECT_LT(one.out.find("1970-01-02"), one.out.find("1970-01-03"));
  EXPECT_EQ(nlohmann::json::parse(run({"backup", "/b", "--list", "--all", "--json"}).out).size(),
            4U);
  EXPECT_EQ(run({"backup", "/b", "--list", "--keep", "2"}).code, 2);
}

}  // namespace
}  // namespace grapevine::tools
