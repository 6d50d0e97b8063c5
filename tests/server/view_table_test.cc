// Goal: a view answers from the moment it was opened; it goes with its holder, or after it was
// idle; what is asked of it is hostile. Method: a store in memory; views called as a peer calls
// them, but without a wire between.
#include "server/view_table.h"

#include <gmock/gmock.h>

#include "server/disk_thread.h"
#include "server/store_replica.h"
#include "tests/rpc/loop_fixture.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

class ViewTableTest : public rpc::test::LoopTest {
 protected:
  ~ViewTableTest() override { table_.close_all(); }

  wire::ReplicaView::Client open(PartitionId partition = {0}) {
    auto opened = table_.open(partition);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened->view;
  }

  // The values of `key` as `view` fetches them.
  Strings fetch(wire::ReplicaView::Client& view, std::string_view key, bool heads_only = false) {
    auto request = view.fetchRequest();
    request.initKeys(1).set(0, bytes_of(key));
    request.setHeadsOnly(heads_only);
    const auto reply = loop_.run_until(request.send());
    EXPECT_EQ(reply.getEntries().size(), 1U);
    const auto entry = read(reply.getEntries()[0]);
    EXPECT_TRUE(ok(entry.status()));
    Strings values;
    for (const model::Version& version : entry->entry.versions) {
      EXPECT_EQ(version.has_value, !heads_only);
      values.push_back(version.value);
    }
    return values;
  }

  auto items_request(wire::ReplicaView::Client& view, const model::TokenRange& range,
                     std::uint32_t limit) {
    auto request = view.itemsRequest();
    write(range, request.initRange());
    request.setLimit(limit);
    return request;
  }

  absl::Status status_of(kj::Promise<void> promise) {
    return rpc::to_status(failure_of(kj::mv(promise)));
  }

  MemoryStore store_{1, 2};
  StoreReplica replica_{*store_, [] { return absl::OkStatus(); }};
  DiskThread disk_{loop_};
  ViewTable table_{loop_, disk_, replica_};
};

TEST_F(ViewTableTest, AViewShowsTheMomentWhenItWasOpened) {
  const PartitionId partition = store_->partitioning().of("k");
  store_.put("k", "before");
  auto view = open(partition);
  store_.put("k", "after");
  EXPECT_EQ(fetch(view, "k"), Strings{"before"});
  auto later = open(partition);
  EXPECT_EQ(fetch(later, "k"), Strings{"after"});
}

TEST_F(ViewTableTest, AHolderMayLetGoOfAViewWhenTheTableHasGone) {
  auto table = std::make_unique<ViewTable>(loop_, disk_, replica_);
  std::optional<wire::ReplicaView::Client> held = table->open({0})->view;
  table.reset();
  held.reset();
  loop_.run_until(kj::evalLater([] {}));
}

TEST_F(ViewTableTest, HeadsComeWithoutValues) {
  store_.put("k", "v");
  auto view = open(store_->partitioning().of("k"));
  EXPECT_EQ(fetch(view, "k", /*heads_only=*/true), Strings{""});
}

TEST_F(ViewTableTest, ItemsComeInPages) {
  for (int i = 0; i < 20; ++i) store_.put("{tag}" + std::to_string(i), "v");
  const PartitionId partition = store_->partitioning().of("{tag}");
  auto view = open(partition);
  const model::TokenRange whole = store_->partitioning().range(partition);
  std::set<std::string> keys;
  std::string after;
  for (bool more = true; more;) {
    auto request = items_request(view, whole, 7);
    request.setResumes(!after.empty());
    request.setAfterKey(bytes_of(after));
    const auto reply = loop_.run_until(request.send());
    ASSERT_LE(reply.getItems().size(), 7U);
    for (const auto item : reply.getItems()) {
      after = std::string(server::view(item.getKey()));
      EXPECT_TRUE(keys.insert(after).second) << "twice: " << after;
    }
    more = reply.getMore();
  }
  EXPECT_EQ(keys.size(), 20U);
}

TEST_F(ViewTableTest, APageHasRoomForOneItemWhateverItsLimit) {
  store_.put("k", "v");
  const PartitionId partition = store_->partitioning().of("k");
  auto view = open(partition);
  const auto reply =
      loop_.run_until(items_request(view, store_->partitioning().range(partition), 0).send());
  EXPECT_EQ(reply.getItems().size(), 1U);
}

TEST_F(ViewTableTest, RangesBeyondThePartitionAreRefused) {
  auto view = open({0});
  const model::TokenRange mine = store_->partitioning().range({0});
  const model::TokenRange other = store_->partitioning().range({1});
  for (const model::TokenRange& range :
       {model::TokenRange{}, other, model::TokenRange{mine.last, mine.first}}) {
    EXPECT_TRUE(
        absl::IsInvalidArgument(status_of(items_request(view, range, 10).send().ignoreResult())));
    auto split = view.splitRequest();
    write(range, split.initRanges(1)[0]);
    EXPECT_TRUE(absl::IsInvalidArgument(status_of(split.send().ignoreResult())));
    auto pull = view.pullRequest();
    write(range, pull.initRange());
    EXPECT_TRUE(absl::IsInvalidArgument(status_of(pull.send().ignoreResult())));
  }
}

TEST_F(ViewTableTest, AViewGoesWithItsHolder) {
  {
    auto view = open();
    auto other = open();
    EXPECT_EQ(table_.size(), 2U);
  }
  run_while_not([&] { return table_.size() == 0; });
}

TEST_F(ViewTableTest, AViewThatWasClosedFailsItsCalls) {
  auto view = open();
  table_.close_all();
  EXPECT_EQ(table_.size(), 0U);
  auto request = view.fetchRequest();
  request.initKeys(1).set(0, bytes_of("k"));
  EXPECT_TRUE(absl::IsFailedPrecondition(status_of(request.send().ignoreResult())));
}

TEST_F(ViewTableTest, OnlyAnIdleViewIsClosed) {
  auto kept = open();
  table_.close_idle();
  EXPECT_EQ(table_.size(), 1U);

  ViewTable impatient(loop_, disk_, replica_, Duration::zero());
  {
    const auto opened = impatient.open({0});
    ASSERT_TRUE(opened.ok());
    const Instant then = loop_.now();
    run_while_not([&] { return loop_.now() > then; });
    impatient.close_idle();
    EXPECT_EQ(impatient.size(), 0U);
  }
}

TEST_F(ViewTableTest, TooManyViewsAreRefusedUntilOneGoes) {
  std::vector<wire::ReplicaView::Client> views;
  for (std::size_t i = 0; i < ViewTable::kViewsMax; ++i) views.push_back(open());
  EXPECT_TRUE(absl::IsResourceExhausted(table_.open({0}).status()));
  views.pop_back();
  run_while_not([&] { return table_.size() < ViewTable::kViewsMax; });
  EXPECT_TRUE(ok(table_.open({0}).status()));
}

}  // namespace
}  // namespace grapevine::server::test
