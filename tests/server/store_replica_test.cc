// Goal: what a peer sends is stored without waiting for the disk, or not at all; what an exchange
// will read is in memory when it is handed its answer. Method: a store whose earlier life left cold
// keys, a disk that flushes when told.
#include "server/store_replica.h"

#include <gtest/gtest.h>

#include "gossip/partition_states.h"
#include "gossip/responder.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

constexpr PartitionId kOnly{0};

class StoreReplicaTest : public ::testing::Test {
 protected:
  explicit StoreReplicaTest(std::size_t memtable_bytes = std::size_t{64} << 20)
      : store_(1, 1, {.written = {{"cold", "old"}}, .memtable_bytes = memtable_bytes, .lost = {}}) {
  }

  static model::KeyedEntry of_peer(std::string_view key, std::uint64_t counter = 1) {
    const model::Dot dot{actor(5), counter};
    return {std::string(key), entry_of({version_of(dot, "new")}), {dot}};
  }
  bool cold(std::string_view key) {
    return storage::is_cold(
        store_->load(key, model::Values::kWith, storage::Reach::kMemory).status());
  }
  // What warm_for calls back, now that the disk has read.
  bool warmed_for(const gossip::ExchangeRequest& request, const gossip::ExchangeReply& reply) {
    bool done = false;
    replica_.warm_for(kOnly, request, reply, [&] { done = true; });
    store_.sync();
    return done;
  }

  MemoryStore store_;
  StoreReplica replica_{*store_, [] { return absl::OkStatus(); }};
};

TEST_F(StoreReplicaTest, NothingOfABatchWithAColdKeyIsStored) {
  const auto received =
      replica_.receive({of_peer("hot", 1), of_peer("cold", 2)}, storage::Reach::kMemory);
  EXPECT_TRUE(storage::is_cold(received.status()));
  EXPECT_TRUE(store_.values("hot").empty());
  EXPECT_TRUE(ok(
      replica_.receive({of_peer("hot", 1), of_peer("cold", 2)}, storage::Reach::kDisk).status()));
  EXPECT_EQ(store_.values("hot"), Strings{"new"});
  EXPECT_EQ(store_.values("cold"), (Strings{"new", "old"}));
}

TEST_F(StoreReplicaTest, TheKeysThatAnAnswerBringsAreWarmed) {
  gossip::DeltaReply delta;
  delta.entries.push_back(of_peer("cold"));
  EXPECT_TRUE(cold("cold"));
  EXPECT_TRUE(warmed_for(gossip::DeltaRequest{}, delta));
  EXPECT_FALSE(cold("cold"));
}

TEST_F(StoreReplicaTest, TheLeavesThatAPullWillListAreWarmed) {
  gossip::OpenViewReply opened;
  opened.state.partition = kOnly;
  EXPECT_TRUE(cold("cold"));
  EXPECT_TRUE(warmed_for(gossip::OpenViewRequest{kOnly}, opened));
  EXPECT_FALSE(cold("cold"));
}

TEST_F(StoreReplicaTest, AnAnswerThatNeedsNothingIsHandedOverAtOnce) {
  bool done = false;
  replica_.warm_for(std::nullopt, gossip::SummaryRequest{}, gossip::SummaryReply{},
                    [&] { done = true; });
  EXPECT_TRUE(done);
  done = false;
  replica_.warm_for(kOnly, gossip::OpenViewRequest{kOnly},
                    gossip::OpenViewReply{gossip::state_of(replica_, kOnly)}, [&] { done = true; });
  EXPECT_TRUE(done);
}

class StalledReplica : public StoreReplicaTest {
 protected:
  StalledReplica() : StoreReplicaTest(std::size_t{64} << 10) { store_.stall(); }
};

TEST_F(StalledReplica, IsOverloadedAndStoresNothing) {
  const auto received = replica_.receive({of_peer("k")}, storage::Reach::kDisk);
  EXPECT_TRUE(absl::IsResourceExhausted(received.status()));
  EXPECT_TRUE(absl::IsResourceExhausted(replica_.merge(kOnly, {of_peer("k")})));
  EXPECT_TRUE(store_.values("k").empty());
  store_.flow_again();
  EXPECT_TRUE(ok(replica_.merge(kOnly, {of_peer("k")})));
  EXPECT_EQ(store_.values("k"), Strings{"new"});
}

}  // namespace
}  // namespace grapevine::server::test
