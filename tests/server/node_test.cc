// Goal: a node starts, serves, stops and starts again with what it had; whatever is in its way is
// one clear error, and leaves its directory alone. Method: one node (node_scene.h).
#include "server/node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include <gmock/gmock.h>

#include "storage/base/limits.h"
#include "tests/server/node_scene.h"

namespace grapevine::server::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// ---- one node

TEST_F(NodeTest, ANodeAloneIsReadyAtOnceAndServesItsClients) {
  auto node = start(config("n"));
  EXPECT_EQ(node->not_ready_because(), "");
  Client client(loop_, record(*node).client_address);
  const auto login = client.login();
  EXPECT_TRUE(ok(read(login.getStatus())));
  EXPECT_EQ(login.getNode().getId(), node->store().node().value);
  EXPECT_EQ(login.getNode().getPartitions(), 8U);
  const auto answers = loop_.run_until(client.begin({put("k", "v"), get("k"), get("nothing")}));
  EXPECT_EQ(dot_of(answers.at(0)).actor, node->store().actor());
  EXPECT_EQ(values_of(answers.at(1)), Strings{"v"});
  EXPECT_TRUE(values_of(answers.at(2)).empty());
  stop(node);
}

TEST_F(NodeTest, TellsItsClientsHowBusyTheNodesAre) {
  auto node = start(config("n"));
  Client client(loop_, record(*node).client_address);
  auto reader = client.login().getReader();
  constexpr std::uint32_t kQueued = 64'000;
  std::uint32_t said = 0;
  // The node's own measurement comes once a second, and may come in between.
  while (said < kQueued / 64) {
    gossip::Load load;
    load.queue_depth = kQueued;
    node->cluster().set_load(load);
    const auto answer = loop_.run_until(reader.loadsRequest().send());
    ASSERT_EQ(answer.getNodes().size(), 1U);
    EXPECT_EQ(answer.getNodes()[0].getNode(), node->store().node().value);
    said = answer.getNodes()[0].getBusy();
  }
  EXPECT_EQ(said, kQueued / 64);
  stop(node);
}

TEST_F(NodeTest, AfterACleanStopTheDataAndTheActorAreAsBefore) {
  auto node = start(config("n"));
  const ActorId actor = node->store().actor();
  dot_of(Client(loop_, record(*node).client_address).execute(put("k", "v")));
  stop(node);
  node = start(config("n"), 2);
  EXPECT_EQ(node->store().actor(), actor);
  EXPECT_EQ(node->not_ready_because(), "") << "a node that never had company compares with nobody";
  Client client(loop_, record(*node).client_address);
  EXPECT_EQ(values_of(client.execute(get("k"))), Strings{"v"});
  EXPECT_EQ(dot_of(client.execute(put("k", "w"))).counter, 2U);
  stop(node);
}

TEST_F(NodeTest, StoppingAnswersWhatIsUnderWayAndTakesNoMore) {
  auto node = start(config("n"));
  const std::string address = record(*node).client_address;
  Client client(loop_, address);
  auto under_way = client.begin({put("k", "v")});
  stop(node);
  // Either it was taken, then it is there; or it was not, then the client was told.
  bool acknowledged = false;
  loop_.run_until(under_way.then(
      [&](std::vector<OperationAnswer> answers) {
        acknowledged = code_of(answers.at(0)) == absl::StatusCode::kOk;
      },
      [](kj::Exception&&) {}));
  EXPECT_THROW(Client(loop_, address), kj::Exception);
  node = start(config("n"));
  if (acknowledged) {
    EXPECT_EQ(values_of(Client(loop_, record(*node).client_address).execute(get("k"))),
              Strings{"v"});
  }
  stop(node);
}

TEST_F(NodeTest, WithoutACleanStopNothingAcknowledgedIsLostAndNothingOfTheOldNodeIsLeftOnTheLoop) {
  auto node = start(config("n"));
  const ActorId actor = node->store().actor();
  dot_of(Client(loop_, record(*node).client_address).execute(put("k", "v")));
  node.reset();
  loop_.run_until(loop_.after(2 * Node::kUpkeepInterval));  // when its timers would have rung
  node = start(config("n"), 2);
  EXPECT_EQ(node->store().actor(), actor) << "the same boot: the kernel has every write";
  Client client(loop_, record(*node).client_address);
  EXPECT_EQ(values_of(client.execute(get("k"))), Strings{"v"});
  EXPECT_EQ(dot_of(client.execute(put("k", "w"))).counter, 2U);
  stop(node);
}

TEST_F(NodeTest, AClientOfAnotherProtocolIsRefused) {
  auto node = start(config("n"));
  {
    Client client(loop_, record(*node).client_address);
    const auto login = client.login(wire::PROTOCOL_VERSION + 1);
    EXPECT_TRUE(absl::IsFailedPrecondition(read(login.getStatus())));
    EXPECT_FALSE(login.hasWriter());
  }
  stop(node);
}

TEST_F(NodeTest, AReaderDoesNotWriteAndBatchesAndPagesHaveLimits) {
  auto node = start(config("n"));
  {
    Client client(loop_, record(*node).client_address);
    auto write_as_reader = client.login().getReader().readRequest();
    write(put("k", "v"), write_as_reader.initOperations(1)[0]);
    EXPECT_TRUE(absl::IsFailedPrecondition(
        rpc::to_status(failure_of(write_as_reader.send().ignoreResult()))));

    std::vector<Operation> many(kBatchOperationsMax + 1, get("k"));
    EXPECT_TRUE(absl::IsInvalidArgument(
        rpc::to_status(failure_of(client.begin(std::move(many)).ignoreResult()))));

    for (const std::uint32_t limit : {0U, 10'001U}) {
      auto scan = client.login().getReader().scanRequest();
      scan.setLimit(limit);
      EXPECT_TRUE(absl::IsInvalidArgument(rpc::to_status(failure_of(scan.send().ignoreResult()))));
    }
  }
  stop(node);
}

// ---- while the store opens

// RocksDB stays in the opening of the directory until release(): it opens CURRENT, which is a pipe.
class HeldDirectory {
 public:
  explicit HeldDirectory(std::string directory) : current_(std::move(directory) + "/CURRENT") {
    EXPECT_EQ(std::rename(current_.c_str(), (current_ + ".held").c_str()), 0);
    EXPECT_EQ(mkfifo(current_.c_str(), 0600), 0);
  }
  void release() {
    const int writer = open(current_.c_str(), O_WRONLY);  // waits for RocksDB
    EXPECT_GE(writer, 0);
    EXPECT_EQ(std::rename((current_ + ".held").c_str(), current_.c_str()), 0);
    std::ifstream file(current_);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(::write(writer, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(writer);
  }

 private:
  const std::string current_;
};

class OpeningTest : public NodeTest {
 protected:
  // A directory with one key, which is held.
  OpeningTest() {
    auto node = start(config("n"));
    actor_ = node->store().actor();
    dot_of(Client(loop_, record(*node).client_address).execute(put("k", "v")));
    stop(node);
    held_.emplace(config("n").data_dir);
  }
  std::string get_http(const Node& node, const std::string& path) {
    auto stream = dial(node.http_address());
    write_text(*stream, "GET " + path + " HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
    std::string answer;
    while (!answer.ends_with("}\n")) answer += read_text(*stream, 1);
    return answer;
  }

  ActorId actor_;
  std::optional<HeldDirectory> held_;
};

TEST_F(OpeningTest, HttpAnswersAndWhoeverKnocksIsToldToComeAgain) {
  auto node = begin(config("n"));
  EXPECT_TRUE(node->opening());
  EXPECT_THAT(get_http(*node, "/health/live"), HasSubstr("200 OK"));
  EXPECT_THAT(
      get_http(*node, "/health/ready"),
      AllOf(HasSubstr("503"), HasSubstr("opening the data directory: 0 % of the keys read")));
  EXPECT_THAT(get_http(*node, "/status"), AllOf(HasSubstr("503"), HasSubstr("opening")));
  {
    Client client(loop_, rpc::to_string(node->client_address()));
    const auto login = client.login();
    const absl::Status refused = read(login.getStatus());
    EXPECT_TRUE(absl::IsUnavailable(refused));
    EXPECT_THAT(std::string(text_of(refused)), HasSubstr("starting"));
    EXPECT_FALSE(login.hasWriter());
    std::string why;
    loop_.run_until(PeerLinks(loop_, rpc::test::kAnyPort,
                              {[](wire::Hello::Builder) {},
                               [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}})
                        .reach(rpc::to_string(node->peer_address()), std::nullopt)
                        .then([](wire::Peer::Client) {},
                              [&](kj::Exception&& exception) {
                                why = rpc::test::text_of(rpc::to_status(exception));
                              }));
    EXPECT_THAT(why, HasSubstr("starting"));
    held_->release();
    EXPECT_TRUE(ok(loop_.run_until(node->opened())));
    EXPECT_TRUE(ok(read(client.login().getStatus()))) << "the same connection";
    EXPECT_EQ(values_of(client.execute(get("k"))), Strings{"v"});
  }
  EXPECT_THAT(get_http(*node, "/health/ready"), HasSubstr("200 OK"));
  stop(node);
}

TEST_F(OpeningTest, AStopMeanwhileIsCleanAndTheActorStays) {
  auto node = begin(config("n"));
  auto opened = node->opened();
  auto stopped = node->stop();
  held_->release();
  loop_.run_until(kj::mv(stopped));
  EXPECT_TRUE(absl::IsCancelled(loop_.run_until(kj::mv(opened))));
  node.reset();
  node = start(config("n"));
  EXPECT_EQ(node->store().actor(), actor_);
  stop(node);
}

TEST_F(OpeningTest, ANodeThatGoesMeanwhileLeavesTheDirectoryToTheNextOne) {
  auto node = begin(config("n"));
  held_->release();
  node.reset();
  node = start(config("n"));
  EXPECT_EQ(node->store().actor(), actor_);
  stop(node);
}

// ---- backups

TEST_F(NodeTest, BacksItselfUpIntoAFolderOfItsOwnAndListsWhatIsThere) {
  auto node = start(config("n"));
  {
    Client client(loop_, record(*node).client_address);
    dot_of(client.execute(put("k", "v")));
    auto admin = client.login().getAdmin();
    const auto backup = [&](const std::string& directory) {
      auto request = admin.backupRequest();
      request.setDirectory(directory);
      return loop_.run_until(request.send());
    };
    const auto list = [&](const std::string& directory) {
      auto request = admin.backupsRequest();
      request.setDirectory(directory);
      return loop_.run_until(request.send());
    };
    EXPECT_TRUE(absl::IsInvalidArgument(read(backup("relative").getStatus())));
    EXPECT_TRUE(absl::IsInvalidArgument(read(list("relative").getStatus())));
    const std::string directory = (root_ / "backups").string();
    EXPECT_TRUE(absl::IsNotFound(read(list(directory).getStatus())));
    const auto made = backup(directory);
    ASSERT_TRUE(ok(read(made.getStatus())));
    const std::string folder = directory + "/" + to_string(node->store().node());
    EXPECT_EQ(std::string(view(made.getReport().getDirectory())), folder);
    EXPECT_EQ(made.getReport().getMade().getNumber(), 1U);
    EXPECT_EQ(made.getReport().getMade().getEpoch(), node->store().actor().epoch());
    EXPECT_GT(made.getReport().getBytesNew(), 0U);
    EXPECT_TRUE(std::filesystem::is_directory(folder));
    const auto listed = list(directory);
    ASSERT_EQ(listed.getBackups().size(), 1U);
    EXPECT_EQ(listed.getBackups()[0].getBytes(), made.getReport().getMade().getBytes());
  }
  stop(node);
}

// ---- what is in the way of a start

TEST_F(NodeTest, APortInUseIsNamedWithItsFlagAndTheDirectoryIsLeftAlone) {
  auto holder = listen();
  const rpc::Address taken = holder->address();
  for (const char* flag : {"--client-listen", "--peer-listen", "--http-listen"}) {
    Config config = this->config("n");
    (std::string(flag) == "--client-listen" ? config.client_listen
     : std::string(flag) == "--peer-listen" ? config.peer_listen
                                            : config.http_listen) = taken;
    EXPECT_THAT(complaint(config), AllOf(HasSubstr(flag), HasSubstr(rpc::to_string(taken))));
    EXPECT_FALSE(std::filesystem::exists(config.data_dir));
  }
}

TEST_F(NodeTest, ADirectoryInUseIsNamed) {
  auto node = start(config("n"));
  EXPECT_THAT(complaint(config("n")), HasSubstr(config("n").data_dir));
  EXPECT_EQ(code_of(Client(loop_, record(*node).client_address).execute(put("k", "v"))),
            absl::StatusCode::kOk)
      << "who has it is not disturbed";
  stop(node);
}

TEST_F(NodeTest, ADirectoryOfAnotherClusterOrOfOtherPartitionsIsNamed) {
  auto node = start(config("n"));
  stop(node);
  Config other = config("n");
  other.cluster_name = "other";
  EXPECT_THAT(complaint(other),
              AllOf(HasSubstr(other.data_dir), HasSubstr("other"), HasSubstr("grapevine")));
  other = config("n");
  other.partitions = 16;
  EXPECT_THAT(complaint(other), AllOf(HasSubstr(other.data_dir), HasSubstr("16"), HasSubstr("8")));
  node = start(config("n"));
  stop(node);
}

TEST_F(NodeTest, AFileInPlaceOfTheDirectoryIsNamed) {
  std::ofstream(root_ / "n") << "x";
  EXPECT_THAT(complaint(config("n")),
              AllOf(HasSubstr(config("n").data_dir), HasSubstr("--data-dir")));
}

TEST_F(NodeTest, ListeningEverywhereNeedsAnAddressToAdvertise) {
  Config config = this->config("n");
  config.insecure = true;
  config.peer_listen.host = "0.0.0.0";
  EXPECT_THAT(complaint(config), HasSubstr("--advertise"));
  config.advertise = "127.0.0.1";
  auto node = start(config);
  EXPECT_THAT(record(*node).peer_address, HasSubstr("127.0.0.1:"));
  stop(node);
}

// ---- who is greeted

// What the node says to a peer that introduces itself as another node would, but for `change`.
class GreetingTest : public NodeTest {
 protected:
  absl::Status greeted(const std::function<void(wire::Hello::Builder)>& change) {
    absl::Status status;
    PeerLinks links(loop_, rpc::test::kAnyPort,
                    {[&](wire::Hello::Builder hello) {
                       node_->fill_hello(hello);
                       hello.getMember().setId(77);
                       hello.setProcess(77);
                       change(hello);
                     },
                     [](wire::Hello::Reader) { return absl::OkStatus(); }, [](NodeId) {}});
    loop_.run_until(
        links.reach(record(*node_).peer_address, std::nullopt)
            .then([](wire::Peer::Client) {},
                  [&](kj::Exception&& exception) { status = rpc::to_status(exception); }));
    return status;
  }

  std::unique_ptr<Node> node_ = start(config("n"));
};

TEST_F(GreetingTest, RangesOfProtocolsThatMeetAreEnough) {
  const auto speaks = [](std::uint32_t min, std::uint32_t max) {
    return [min, max](wire::Hello::Builder hello) {
      hello.getMember().setProtocolMin(min);
      hello.getMember().setProtocolMax(max);
    };
  };
  EXPECT_TRUE(ok(greeted(speaks(1, 1))));
  EXPECT_TRUE(ok(greeted(speaks(1, 3)))) << "a newer one that still speaks the old protocol";
  EXPECT_TRUE(ok(greeted(speaks(2, 3))));
  const absl::Status newer = greeted(speaks(3, 4));
  EXPECT_TRUE(absl::IsFailedPrecondition(newer)) << newer;
  EXPECT_THAT(std::string(text_of(newer)),
              AllOf(HasSubstr("3 to 4"), HasSubstr("1 to 2"), HasSubstr("upgrade the older one")));
  stop(node_);
}

TEST_F(GreetingTest, StrangersAreToldWhatDoesNotFit) {
  const auto why = [&](const std::function<void(wire::Hello::Builder)>& change) {
    const absl::Status refused = greeted(change);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    return std::string(text_of(refused));
  };
  EXPECT_THAT(why([](wire::Hello::Builder hello) { hello.setCluster("orchard"); }),
              AllOf(HasSubstr("orchard"), HasSubstr("--cluster-name")));
  EXPECT_THAT(why([](wire::Hello::Builder hello) { hello.setPartitions(3); }),
              HasSubstr("--partitions"));
  EXPECT_THAT(why([](wire::Hello::Builder hello) { hello.setReplicationFactor(7); }),
              HasSubstr("--replication-factor"));
  EXPECT_THAT(why([](wire::Hello::Builder hello) { hello.initKeyPrints(1).set(0, 5); }),
              HasSubstr("--cluster-key-file"));
  EXPECT_THAT(why([&](wire::Hello::Builder hello) {
                hello.getMember().setId(node_->store().node().value);
              }),
              HasSubstr("was copied"));
  EXPECT_THAT(why([&](wire::Hello::Builder hello) { node_->fill_hello(hello); }),
              HasSubstr("--join"));
  stop(node_);
}

}  // namespace
}  // namespace grapevine::server::test
