// Goal: a link is dialled when it is needed, once for all who wait for it, and again when it broke;
// who answers is who was meant. Method: fake peers on ports of their own in the same loop; nothing
// waits but for what happens.
#include "server/peer_links.h"

#include <gmock/gmock.h>

#include "tests/rpc/loop_fixture.h"
#include "tests/server/fake_peer.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr NodeId kPeer{2};

class PeerLinksTest : public rpc::test::LoopTest {
 protected:
  std::unique_ptr<PeerLinks> make_links() {
    return std::make_unique<PeerLinks>(
        loop_, rpc::Address{"127.0.0.1", 0},
        PeerLinks::Handlers{[](wire::Hello::Builder hello) { hello.setCluster("here"); },
                            [this](wire::Hello::Reader) { return verdict_; },
                            [this](NodeId node) { lost_.push_back(node); }});
  }

  // Whether a call gets through to `peer`.
  absl::Status reach(const std::string& address, std::optional<NodeId> expected = kPeer) {
    return outcome(links_->reach(address, expected).then([](wire::Peer::Client peer) {
      return peer.syncRequest().send().ignoreResult();
    }));
  }
  absl::Status outcome(kj::Promise<void> promise) {
    absl::Status status;
    loop_.run_until(
        promise.catch_([&](kj::Exception&& exception) { status = rpc::to_status(exception); }));
    return status;
  }

  absl::Status verdict_;
  std::vector<NodeId> lost_;
  std::unique_ptr<FakePeer> peer_ = std::make_unique<FakePeer>(loop_);
  std::unique_ptr<PeerLinks> links_ = make_links();
};

TEST_F(PeerLinksTest, TheFirstCallDialsAndTheNextOnesUseItsLink) {
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ok(reach(peer_->address())));
  EXPECT_EQ(peer_->conduct().hellos, 1);
  EXPECT_EQ(peer_->connections(), 1U);
}

TEST_F(PeerLinksTest, CallsThatComeWhileItIsDialledWaitForIt) {
  auto both = kj::heapArrayBuilder<kj::Promise<void>>(2);
  both.add(links_->reach(peer_->address(), kPeer).ignoreResult());
  both.add(links_->reach(peer_->address(), std::nullopt).ignoreResult());
  EXPECT_TRUE(ok(outcome(kj::joinPromises(both.finish()))));
  EXPECT_EQ(peer_->conduct().hellos, 1);
}

TEST_F(PeerLinksTest, AnAddressWithoutANodeIsUnavailableUntilOneIsThere) {
  const rpc::Address address = peer_->listens_at();
  peer_.reset();
  const absl::Status status = reach(rpc::to_string(address));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(rpc::test::text_of(status), HasSubstr(rpc::to_string(address)));
  peer_ = std::make_unique<FakePeer>(loop_, address);
  EXPECT_TRUE(ok(reach(rpc::to_string(address))));
  EXPECT_TRUE(lost_.empty()) << "a link that never was cannot be lost";
}

TEST_F(PeerLinksTest, WhatIsNoAddressIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(reach("")));
  EXPECT_TRUE(absl::IsInvalidArgument(reach("nowhere")));
}

TEST_F(PeerLinksTest, ARefusalIsPassedOnWithTheAddress) {
  peer_->conduct().greeting = absl::FailedPreconditionError("is of cluster \"there\"");
  const absl::Status refused = reach(peer_->address());
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(rpc::test::text_of(refused), HasSubstr("cluster \"there\""));
  EXPECT_THAT(rpc::test::text_of(refused), HasSubstr(peer_->address()));
  peer_->conduct().greeting = absl::OkStatus();
  EXPECT_TRUE(ok(reach(peer_->address()))) << "the next call tries again";
}

TEST_F(PeerLinksTest, ThisNodeRefusesToo) {
  verdict_ = absl::FailedPreconditionError("has 8 partitions");
  const absl::Status refused = reach(peer_->address());
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  run_while_not([&] { return peer_->connections() == 0; });
  EXPECT_TRUE(lost_.empty());
}

TEST_F(PeerLinksTest, AnotherNodeThanTheOneMeantIsNotCalled) {
  const absl::Status status = reach(peer_->address(), NodeId{9});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(rpc::test::text_of(status), HasSubstr(to_string(kPeer)));
  EXPECT_TRUE(ok(reach(peer_->address(), kPeer)));
}

TEST_F(PeerLinksTest, ANodeThatDoesNotGreetIsGivenUp) {
  peer_->conduct().silent = true;
  const Instant begun = loop_.now();
  const absl::Status status = reach(peer_->address());
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_GE(loop_.now() - begun, PeerLinks::kGreetTime);
  peer_->conduct().silent = false;
  EXPECT_TRUE(ok(reach(peer_->address())));
}

TEST_F(PeerLinksTest, ADroppedLinkFailsItsCallsIsReportedOnceAndDialledAgain) {
  ASSERT_TRUE(ok(reach(peer_->address())));
  auto under_way = links_->reach(peer_->address(), kPeer).then([](wire::Peer::Client peer) {
    auto request = peer.syncRequest();
    request.setState(bytes_of("?"));
    return request.send().ignoreResult();
  });
  links_->drop(kPeer);
  EXPECT_FALSE(outcome(kj::mv(under_way)).ok());
  run_while_not([&] { return peer_->connections() == 0; });
  EXPECT_THAT(lost_, ElementsAre(kPeer));
  EXPECT_TRUE(ok(reach(peer_->address())));
  EXPECT_EQ(peer_->conduct().hellos, 2);
}

TEST_F(PeerLinksTest, DroppingANodeLeavesTheOthersAlone) {
  FakePeer other(loop_);
  other.conduct().id = NodeId{3};
  ASSERT_TRUE(ok(reach(peer_->address())));
  ASSERT_TRUE(ok(reach(other.address(), NodeId{3})));
  links_->drop(kPeer);
  run_while_not([&] { return peer_->connections() == 0; });
  EXPECT_TRUE(ok(reach(other.address(), NodeId{3})));
  EXPECT_EQ(other.conduct().hellos, 1);
}

TEST_F(PeerLinksTest, APeerThatGoesIsReportedAndFoundAgainWhenItComesBack) {
  const rpc::Address address = peer_->listens_at();
  ASSERT_TRUE(ok(reach(peer_->address())));
  peer_.reset();
  run_while_not([&] { return !lost_.empty(); });
  EXPECT_THAT(lost_, ElementsAre(kPeer));
  EXPECT_TRUE(absl::IsUnavailable(reach(rpc::to_string(address))));
  peer_ = std::make_unique<FakePeer>(loop_, address);
  EXPECT_TRUE(ok(reach(peer_->address())));
}

TEST_F(PeerLinksTest, ALinkTellsHowMuchHasComeOverIt) {
  EXPECT_EQ(links_->bytes_received(peer_->address()), 0U);
  ASSERT_TRUE(ok(reach(peer_->address())));
  const std::uint64_t greeting = links_->bytes_received(peer_->address());
  EXPECT_GT(greeting, 0U);
  ASSERT_TRUE(ok(reach(peer_->address())));
  EXPECT_GT(links_->bytes_received(peer_->address()), greeting);
  links_->drop(kPeer);
  EXPECT_EQ(links_->bytes_received(peer_->address()), 0U);
}

TEST_F(PeerLinksTest, ALinkMayBeDroppedByItsAddress) {
  EXPECT_FALSE(links_->linked(peer_->address()));
  ASSERT_TRUE(ok(reach(peer_->address())));
  EXPECT_TRUE(links_->linked(peer_->address()));
  links_->drop("127.0.0.1:1");
  EXPECT_TRUE(links_->linked(peer_->address()));
  links_->drop(peer_->address());
  EXPECT_FALSE(links_->linked(peer_->address()));
  run_while_not([&] { return !lost_.empty(); });
  EXPECT_THAT(lost_, ElementsAre(kPeer));
}

TEST_F(PeerLinksTest, LinksThatAreGoneReportNothing) {
  ASSERT_TRUE(ok(reach(peer_->address())));
  links_->drop(kPeer);  // takes effect in a turn of its own, which comes too late
  links_.reset();
  run_while_not([&] { return peer_->connections() == 0; });
  EXPECT_TRUE(lost_.empty());
}

}  // namespace
}  // namespace grapevine::server::test
