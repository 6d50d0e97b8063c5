// Goal: what the coordinator wants is carried out: calls reach peers and their answers come back,
// deadlines ring, who lags is told on. Method: a store in memory and a fake peer behind real links,
// in one loop.
#include "server/coordination.h"

#include <gmock/gmock.h>

#include "server/disk_thread.h"
#include "tests/rpc/loop_fixture.h"
#include "tests/server/fake_peer.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Le;

constexpr NodeId kPeer{2};
constexpr NodeId kNowhere{3};

class CoordinationTest : public rpc::test::LoopTest {
 protected:
  CoordinationTest() {
    ring_.owners_of_all = {store_.node(), kPeer};
    peer_.conduct().store = &*peer_store_;
  }
  ~CoordinationTest() override { store_.sync(); }

  std::vector<OperationAnswer> execute(std::vector<Operation> operations,
                                       Duration timeout = std::chrono::seconds(10)) {
    auto answers = coordination_.execute(std::move(operations), true, timeout);
    store_.sync();
    return loop_.run_until(kj::mv(answers));
  }

  MemoryStore store_{1};
  MemoryStore peer_store_{2};
  HandRing ring_{store_.node()};
  FakePeer peer_{loop_};
  PeerLinks links_{loop_,
                   rpc::Address{"127.0.0.1", 0},
                   {[](wire::Hello::Builder) {},
                    [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}}};
  std::vector<NodeId> lagging_;
  int renewals_ = 0;
  Coordination coordination_{
      loop_,
      *store_,
      ring_,
      links_,
      {[this](NodeId node) { return node == kPeer ? peer_.address() : std::string(); },
       [this](NodeId node) { lagging_.push_back(node); }, [this] { ++renewals_; }}};
};

TEST_F(CoordinationTest, AWriteIsReplicatedAndAcknowledged) {
  const auto answers = execute({put("k", "1"), put("l", "2")});
  EXPECT_EQ(code_of(answers.at(0)), StatusCode::kOk);
  EXPECT_EQ(code_of(answers.at(1)), StatusCode::kOk);
  EXPECT_THAT(peer_.conduct().replicated, ElementsAre("k", "l"));
  EXPECT_TRUE(lagging_.empty());
}

TEST_F(CoordinationTest, WhatACallCarriesIsOnItsWayUntilThePeerAnswers) {
  execute({put("k", "1")});
  EXPECT_THAT(coordination_.on_their_way(kPeer), IsEmpty());
  peer_.conduct().holds_back = true;
  const auto answers = execute({put("k", "2"), put("l", "3")}, std::chrono::milliseconds(300));
  ASSERT_NE(code_of(answers.at(0)), StatusCode::kOk);
  const std::vector<Coordination::PlacedDot> carried = coordination_.on_their_way(kPeer);
  ASSERT_EQ(carried.size(), 2U);
  EXPECT_EQ(carried[0].first, store_->partitioning().of("k"));
  EXPECT_EQ(carried[0].second.counter, 2U);
  EXPECT_EQ(carried[1].second.counter, 3U);
  EXPECT_TRUE(std::is_sorted(carried.begin(), carried.end()));
  EXPECT_THAT(coordination_.on_their_way(kNowhere), IsEmpty());
}

TEST_F(CoordinationTest, AReadFetchesWhatOnlyThePeerHas) {
  peer_store_.put("k", "v");
  EXPECT_EQ(values_of(execute({get("k")}).at(0)), Strings{"v"});
  EXPECT_EQ(store_.values("k"), Strings{"v"});
}

TEST_F(CoordinationTest, AForwardCarriesTheTimeThatIsLeft) {
  ring_.owners_of_all = {kPeer};
  const auto answers = execute({put("k", "v"), get("l")}, std::chrono::seconds(10));
  EXPECT_EQ(dot_of(answers.at(0)), (model::Dot{actor(2), 1}));
  EXPECT_EQ(context_of(answers.at(0)), "k");
  EXPECT_TRUE(values_of(answers.at(1)).empty());
  EXPECT_THAT(peer_.conduct().forward_timeouts_ms, ElementsAre(Le(10'000U)));
  EXPECT_GT(peer_.conduct().forward_timeouts_ms[0], 1'000U);
}

TEST_F(CoordinationTest, ADeadlineEndsARequestThatNobodyAnswers) {
  peer_.conduct().holds_back = true;
  const Instant begun = loop_.now();
  const auto answers = execute({put("k", "v"), get("l")}, std::chrono::milliseconds(30));
  EXPECT_GE(loop_.now() - begun, std::chrono::milliseconds(30));
  EXPECT_EQ(code_of(answers.at(0)), StatusCode::kUnknown);
  EXPECT_EQ(code_of(answers.at(1)), StatusCode::kUnavailable);
}

TEST_F(CoordinationTest, AShorterDeadlineThatComesLaterRingsFirst) {
  peer_.conduct().holds_back = true;
  auto slow = coordination_.execute({get("k")}, true, std::chrono::milliseconds(60));
  auto fast = coordination_.execute({get("k")}, true, std::chrono::milliseconds(20));
  const Instant begun = loop_.now();
  loop_.run_until(kj::mv(fast));
  const Duration fast_took = loop_.now() - begun;
  loop_.run_until(kj::mv(slow));
  EXPECT_LT(fast_took, loop_.now() - begun);
}

TEST_F(CoordinationTest, APeerThatCannotBeCalledLags) {
  ring_.owners_of_all = {store_.node(), kPeer, kNowhere};
  EXPECT_EQ(code_of(execute({put("k", "v")}).at(0)), StatusCode::kOk);
  run_while_not([&] { return !lagging_.empty(); });
  EXPECT_THAT(lagging_, ElementsAre(kNowhere));
}

TEST_F(CoordinationTest, AWriteThatThisNodeForgotRenewsItsActor) {
  ASSERT_TRUE(
      ok(peer_store_.receive({"k", entry_of({version_of({store_->actor(), 9}, "v")}), {}})));
  EXPECT_EQ(values_of(execute({get("k")}).at(0)), Strings{"v"});
  EXPECT_EQ(renewals_, 1);
}

TEST_F(CoordinationTest, OverloadIsAnErrorOfTheWhole) {
  peer_.conduct().holds_back = true;
  std::vector<kj::Promise<std::vector<OperationAnswer>>> under_way;
  for (std::size_t i = 0; i < Coordinator::kRequestsMax; ++i) {
    under_way.push_back(coordination_.execute({get("k")}, true, std::chrono::minutes(1)));
  }
  const kj::Exception refused =
      failure_of(coordination_.execute({get("k")}, true, std::chrono::minutes(1)).ignoreResult());
  EXPECT_TRUE(absl::IsResourceExhausted(rpc::to_status(refused)));
}

// ---- a disk that hangs

class HangingDiskTest : public rpc::test::LoopTest {
 protected:
  HangingDiskTest() { ring_.owners_of_all = {store_.node()}; }
  ~HangingDiskTest() override {
    store_.reads().open();
    loop_.run_until(disk_.when_idle());
  }

  kj::Promise<std::vector<OperationAnswer>> execute(Operation operation) {
    std::vector<Operation> operations;
    operations.push_back(std::move(operation));
    return coordination_.execute(std::move(operations), true, std::chrono::seconds(60));
  }

  DiskThread disk_{loop_};
  MemoryStore store_{1, 1, {.written = {{"cold", "v"}}, .executor = &disk_, .lost = {}}};
  HandRing ring_{store_.node()};
  PeerLinks links_{loop_,
                   rpc::Address{"127.0.0.1", 0},
                   {[](wire::Hello::Builder) {},
                    [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}}};
  Coordination coordination_{
      loop_, *store_, ring_, links_, {[](NodeId) { return std::string(); }, [](NodeId) {}, [] {}}};
};

TEST_F(HangingDiskTest, ReadsInMemoryAndDurableWritesGoOnWhileAColdReadHangs) {
  store_.reads().shut();
  bool cold_answered = false;
  auto cold = execute(get("cold"))
                  .then([&](std::vector<OperationAnswer> answers) {
                    cold_answered = true;
                    return answers;
                  })
                  .eagerlyEvaluate(nullptr);
  store_.reads().wait_until_reached();
  EXPECT_EQ(code_of(loop_.run_until(execute(put("hot", "1"))).at(0)), StatusCode::kOk);
  EXPECT_EQ(values_of(loop_.run_until(execute(get("hot"))).at(0)), Strings{"1"});
  EXPECT_FALSE(cold_answered);
  store_.reads().open();
  EXPECT_EQ(values_of(loop_.run_until(kj::mv(cold)).at(0)), Strings{"v"});
}

}  // namespace
}  // namespace grapevine::server::test
