// Goal: two nodes hold the same whatever befalls one of them, and neither takes from the other what
// its rules forbid (R7, R8). Method: node_scene.h; what a misfortune leaves is put into the stores.
#include "server/node.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/server/node_scene.h"

namespace grapevine::server::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TwoNodesTest : public NodeTest {
 protected:
  TwoNodesTest() {
    first_ = start(config("first"), 1);
    second_ = start(joining("second"), 2);
    wait_until_up();
  }
  ~TwoNodesTest() override {
    if (second_ != nullptr) stop(second_);
    if (first_ != nullptr) stop(first_);
  }

  Config joining(const std::string& name) {
    Config config = this->config(name);
    config.join = {record(*first_).peer_address};
    return config;
  }
  void wait_until_up() {
    run_while_not([&] {
      return first_->cluster().reachable(second_->store().node()) &&
             second_->cluster().reachable(first_->store().node());
    });
    wait_until_ready(*first_);
    wait_until_ready(*second_);
  }
  Client client_of(Node& node) { return Client(loop_, record(node).client_address); }

  std::unique_ptr<Node> first_;
  std::unique_ptr<Node> second_;
};

// Streams and packets between nodes, and clients, over IPv6; or found by the name of a machine.
class AddressesTest : public NodeTest, public testing::WithParamInterface<const char*> {};

TEST_P(AddressesTest, NodesMeetAndServe) {
  const rpc::Address listen{GetParam() == std::string("name") ? "127.0.0.1" : GetParam(), 0};
  if (const auto able = loop_.network().listen(listen, {}); !able.ok()) {
    GTEST_SKIP() << "this machine cannot: " << able.status();
  }
  Config config = this->config("first");
  config.client_listen = config.peer_listen = config.http_listen = listen;
  auto first = start(config, 1);
  config.name = "second";
  config.data_dir += "2";
  rpc::Address seed = address(record(*first).peer_address);
  if (GetParam() == std::string("name")) seed.host = "localhost";
  config.join = {rpc::to_string(seed)};
  auto second = start(config, 2);
  run_while_not([&] {
    return first->cluster().reachable(second->store().node()) &&
           first->cluster().counters().packets_received > 0 &&
           second->cluster().counters().packets_received > 0;
  });
  wait_until_ready(*second);
  Client writer(loop_, record(*first).client_address);
  EXPECT_EQ(code_of(writer.execute(put("k", "v", Consistency::kAll))), absl::StatusCode::kOk);
  EXPECT_EQ(values_of(Client(loop_, record(*second).client_address).execute(get("k"))),
            Strings{"v"});
  stop(second);
  stop(first);
}

INSTANTIATE_TEST_SUITE_P(Each, AddressesTest, testing::Values("127.0.0.1", "::1", "name"),
                         [](const auto& given) {
                           const std::string_view host = given.param;
                           return host == "::1" ? "IPv6" : host == "name" ? "ByName" : "IPv4";
                         });

// A rolling upgrade: one of the two still speaks the protocol before this one.
class TwoVersionsTest : public TwoNodesTest {
 protected:
  TwoVersionsTest() {
    stop(second_);
    second_ = start(older("second"), 2);
    wait_until_up();
  }
  Config older(const std::string& name) {
    Config config = joining(name);
    config.protocol_max = kProtocols.max - 1;
    return config;
  }
  bool proven_equal() const {
    const auto& known = first_->anti_entropy().peers();
    const auto peer = known.find(second_->store().node());
    return peer != known.end() && peer->second.proven_equal.has_value();
  }
};

TEST_F(TwoVersionsTest, EachReadsWritesAndDeletesWhatTheOtherHolds) {
  ASSERT_EQ(record(*second_).protocols.max, kProtocols.max - 1);
  EXPECT_EQ(first_->cluster().protocol_with(second_->store().node()), kProtocols.max - 1);
  Client one = client_of(*first_);
  Client other = client_of(*second_);
  EXPECT_EQ(code_of(one.execute(put("a", "1", Consistency::kAll))), absl::StatusCode::kOk);
  EXPECT_EQ(code_of(other.execute(put("b", "2", Consistency::kAll))), absl::StatusCode::kOk);
  EXPECT_EQ(values_of(other.execute(get("a", Consistency::kAll))), Strings{"1"});
  EXPECT_EQ(values_of(one.execute(get("b", Consistency::kAll))), Strings{"2"});
  EXPECT_EQ(code_of(other.execute(put("a", "3", Consistency::kAll))), absl::StatusCode::kOk);
  EXPECT_EQ(values_of(one.execute(get("a", Consistency::kAll))), Strings{"3"});
}

TEST_F(TwoVersionsTest, EachPullsWhatItMissedByLogAndByDigests) {
  for (const bool forgets : {false, true}) {
    for (std::unique_ptr<Node>* const away : {&second_, &first_}) {
      const bool is_older = away == &second_;
      const Config config = is_older ? older("second") : this->config("first");
      Node& stays = is_older ? *first_ : *second_;
      stop(*away);
      Client client = client_of(stays);
      for (int i = 0; i < 40; ++i) {
        const std::string key = fmt::format("{} {} {}", forgets, is_older, i);
        ASSERT_EQ(code_of(client.execute(put(key, "v", Consistency::kOne))), absl::StatusCode::kOk);
      }
      if (forgets) stays.store().forget_dot_logs();
      Config again = config;
      again.join = {record(stays).peer_address};
      *away = start(again, is_older ? 2 : 1);
      wait_until_up();
      run_while_not(
          [&] { return (*away)->store().statistics().keys == stays.store().statistics().keys; });
    }
  }
  run_while_not([&] { return proven_equal(); });
}

TEST_F(TwoNodesTest, WhatOneAcknowledgesTheOtherHas) {
  EXPECT_EQ(code_of(client_of(*first_).execute(put("k", "v"))), absl::StatusCode::kOk);
  const auto held = second_->store().load("k", model::Values::kWith);
  ASSERT_TRUE(ok(held.status()));
  EXPECT_EQ(held->versions.at(0).value, "v");
  EXPECT_EQ(values_of(client_of(*second_).execute(get("k"))), Strings{"v"});
}

TEST_F(TwoNodesTest, ARestartedNodeComparesClocksBeforeItWritesAndKeepsItsActor) {
  dot_of(client_of(*second_).execute(put("k", "v")));
  const ActorId actor = second_->store().actor();
  stop(second_);
  second_ = start(joining("second"), 3);
  EXPECT_NE(second_->not_ready_because(), "");
  const auto early = loop_.run_until(second_->coordination().execute(
      {put("k", "w", Consistency::kOne), get("k", Consistency::kOne)}, true,
      std::chrono::seconds(1)));
  EXPECT_EQ(code_of(early.at(0)), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(early.at(0)), HasSubstr("comparing clocks"));
  EXPECT_EQ(values_of(early.at(1)), Strings{"v"});
  wait_until_up();
  EXPECT_EQ(second_->store().actor(), actor);
  EXPECT_EQ(code_of(client_of(*second_).execute(put("k", "x"))), absl::StatusCode::kOk);
}

TEST_F(TwoNodesTest, ARestoredNodeComparesClocksThoughItIsANewActor) {
  dot_of(client_of(*second_).execute(put("k", "old")));
  const std::string backups = (root_ / "backups").string();
  const auto made = loop_.run_until(second_->backups().make(backups, 0, 0));
  ASSERT_TRUE(ok(made.status()));
  const model::Dot lost = dot_of(client_of(*second_).execute(put("k", "new")));
  stop(second_);
  std::filesystem::remove_all(root_ / "second");
  storage::RestoreOptions restore;
  restore.backup_directory = made->directory;
  restore.data_directory = (root_ / "second").string();
  ASSERT_TRUE(ok(storage::restore_backup(restore).status()));
  second_ = start(joining("second"), 3);
  EXPECT_EQ(second_->store().node(), lost.actor.node());
  EXPECT_GE(second_->store().actor().epoch(), lost.actor.epoch() + storage::kEpochJump);
  EXPECT_THAT(second_->not_ready_because(), HasSubstr("comparing clocks"));
  wait_until_up();
  // What it had written after the backup is with the other, and comes back.
  run_while_not([&] {
    const auto entry = second_->store().load("k", model::Values::kWith);
    return entry.ok() && !entry->versions.empty() && entry->versions[0].value == "new";
  });
  EXPECT_EQ(second_->store().load("k", model::Values::kWith)->versions[0].dot, lost);
}

// What a power loss leaves: a delete reached the other node, its predecessor nobody, and the node
// that made both remembers neither.
TEST_F(TwoNodesTest, AGapThatAForgottenWriteLeavesIsClosed) {
  const std::string key = "k";
  const model::Dot kept = dot_of(client_of(*second_).execute(put(key, "v")));
  const model::Dot above_gap{kept.actor, kept.counter + 2};
  model::KeyedEntry deleted{"{k}other", entry_of({}, {above_gap}), {above_gap}};
  ASSERT_TRUE(ok(first_->replica().receive({deleted}, storage::Reach::kDisk).status()));
  const PartitionId partition = first_->store().partitioning().of(key);
  run_while_not([&] {
    return second_->store().actor().epoch() > kept.actor.epoch() &&
           first_->store().live(partition).clock().closed(kept.actor) &&
           second_->store().live(partition).clock().closed(kept.actor) &&
           first_->store().statistics().unquiet == 0 && second_->store().statistics().unquiet == 0;
  });
  EXPECT_GE(first_->anti_entropy().counters().actors_closed +
                second_->anti_entropy().counters().actors_closed,
            1U);
  EXPECT_EQ(first_->store().live(partition).clock(), second_->store().live(partition).clock());
  EXPECT_EQ(first_->store().statistics().keys, 1U);
  EXPECT_EQ(second_->store().statistics().keys, 1U);
  EXPECT_EQ(values_of(client_of(*first_).execute(get(key))), Strings{"v"});
  EXPECT_EQ(code_of(client_of(*second_).execute(put(key, "w"))), absl::StatusCode::kOk);
  EXPECT_EQ(values_of(client_of(*first_).execute(get(key))), Strings{"w"});
}

// As after a second restore from one backup: the epochs of the first one are later.
TEST_F(TwoNodesTest, AnEpochOfItsOwnThatOthersKnowIsOutlived) {
  const gossip::MemberRecord* const known =
      first_->cluster().members().find(second_->store().node());
  gossip::PushPull news{first_->store().node(), 0, 0, false, {}, {}};
  news.members.push_back({*known, gossip::Belief::kUp, known->incarnation});
  news.members.back().record.epoch += 700;
  const std::uint64_t beyond = known->epoch + 701;
  second_->cluster().on_push_pull(news);
  EXPECT_EQ(second_->store().actor().epoch(), beyond);
  EXPECT_EQ(code_of(client_of(*second_).execute(put("k", "v"))), absl::StatusCode::kOk);
  run_while_not([&] { return record(*second_).epoch == known->epoch; });
  EXPECT_EQ(known->epoch, beyond);
}

TEST_F(TwoNodesTest, WhatAnEndedEpochReplicatesLateIsNotTaken) {
  const ActorId ended = second_->store().actor();
  ASSERT_TRUE(ok(second_->store().renew_actor()));
  run_while_not([&] { return first_->anti_entropy().ended(ended); });
  EXPECT_FALSE(first_->anti_entropy().ended(second_->store().actor()));
  const model::Dot late{ended, 1};
  const model::KeyedEntry entry{"late", entry_of({version_of(late, "v")}), {late}};
  absl::Status refused;
  loop_.run_until(
      PeerLinks(loop_, rpc::test::kAnyPort,
                {[&](wire::Hello::Builder hello) { second_->fill_hello(hello); },
                 [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}})
          .reach(record(*first_).peer_address, std::nullopt)
          .then([&](wire::Peer::Client peer) {
            auto request = peer.replicateRequest();
            write(entry, request.initEntries(1)[0]);
            return request.send().ignoreResult();
          })
          .then([] {}, [&](kj::Exception&& exception) { refused = rpc::to_status(exception); }));
  EXPECT_TRUE(absl::IsAborted(refused)) << refused;
  EXPECT_THAT(std::string(text_of(refused)), HasSubstr("has ended"));
  const auto held = first_->store().load("late", model::Values::kWith);
  ASSERT_TRUE(ok(held.status()));
  EXPECT_TRUE(held->versions.empty());
}

TEST_F(TwoNodesTest, WithoutTheOtherAQuorumIsRefusedAndOneIsServed) {
  const NodeId gone = second_->store().node();
  stop(second_);
  run_while_not([&] { return !first_->cluster().reachable(gone); });
  Client client = client_of(*first_);
  const OperationAnswer refused = client.execute(put("k", "v"));
  EXPECT_EQ(code_of(refused), absl::StatusCode::kUnavailable);
  EXPECT_THAT(text_of_answer(refused), HasSubstr("nothing was written"));
  EXPECT_EQ(code_of(client.execute(put("k", "v", Consistency::kOne))), absl::StatusCode::kOk);
}

TEST_F(TwoNodesTest, ANodeOfAnotherClusterIsKeptOut) {
  Config stranger = joining("stranger");
  stranger.cluster_name = "elsewhere";
  auto node = start(stranger, 4);
  std::string why;
  loop_.run_until(PeerLinks(loop_, rpc::test::kAnyPort,
                            {[&](wire::Hello::Builder hello) { node->fill_hello(hello); },
                             [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}})
                      .reach(record(*first_).peer_address, std::nullopt)
                      .then([](wire::Peer::Client) {},
                            [&](kj::Exception&& refused) {
                              why = rpc::test::text_of(rpc::to_status(refused));
                            }));
  EXPECT_THAT(why, AllOf(HasSubstr("elsewhere"), HasSubstr("--cluster-name")));
  EXPECT_EQ(first_->cluster().members().size(), 2U);
  stop(node);
}

}  // namespace
}  // namespace grapevine::server::test
