// Goal: work is done elsewhere, one after another, and reported on the loop, in order; nothing is
// reported to what is gone. Method: a real thread beside the test's loop; its work waits where a
// test must look at it under way.
#include "server/disk_thread.h"

#include <atomic>

#include "tests/rpc/loop_fixture.h"
#include "tests/server/scene.h"

namespace grapevine::server::test {
namespace {

class DiskThreadTest : public rpc::test::LoopTest {};

TEST_F(DiskThreadTest, WorkIsDoneElsewhereAndReportedHereInOrder) {
  DiskThread disk(loop_);
  const auto here = std::this_thread::get_id();
  std::vector<int> worked;  // by the disk thread; the report comes after
  std::vector<int> reported;
  for (int i = 0; i < 100; ++i) {
    disk.run(
        [&, i] {
          EXPECT_NE(std::this_thread::get_id(), here);
          worked.push_back(i);
        },
        [&, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          reported.push_back(i);
        });
  }
  loop_.run_until(disk.when_idle());
  EXPECT_EQ(worked.size(), 100U);
  EXPECT_TRUE(std::is_sorted(worked.begin(), worked.end()));
  EXPECT_EQ(reported, worked);
}

TEST_F(DiskThreadTest, NeitherASyncNorAnotherReadWaitsForAReadThatHangs) {
  Gate gate;
  gate.shut();
  DiskThread disk(loop_);
  bool read = false;
  disk.run_read([&] { gate.pass(); }, [&] { read = true; });
  gate.wait_until_reached();
  bool synced = false;
  bool other = false;
  disk.run([] {}, [&] { synced = true; });
  disk.run_read([] {}, [&] { other = true; });
  run_while_not([&] { return synced && other; });
  EXPECT_FALSE(read);
  EXPECT_FALSE(disk.idle());
  gate.open();
  loop_.run_until(disk.when_idle());
  EXPECT_TRUE(read);
  EXPECT_TRUE(disk.idle());
}

TEST_F(DiskThreadTest, NoReadWaitsForASyncThatHangs) {
  Gate gate;
  gate.shut();
  DiskThread disk(loop_);
  disk.run([&] { gate.pass(); }, [] {});
  gate.wait_until_reached();
  bool read = false;
  disk.run_read([] {}, [&] { read = true; });
  run_while_not([&] { return read; });
  gate.open();
  loop_.run_until(disk.when_idle());
}

TEST_F(DiskThreadTest, WhatAWorkHoldsIsGoneBeforeItIsReported) {
  DiskThread disk(loop_);
  const auto held = std::make_shared<int>(0);
  disk.run_read([copy = held] {}, [&] { EXPECT_EQ(held.use_count(), 1); });
  loop_.run_until(disk.when_idle());
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(DiskThreadTest, NothingIsHeldWhenItIsGone) {
  Gate gate;
  gate.shut();
  const auto held = std::make_shared<int>(0);
  auto disk = std::make_unique<DiskThread>(loop_);
  disk->run_read([] {}, [copy = held] {});
  disk->run([&] { gate.pass(); }, [copy = held] {});
  disk->run([copy = held] {}, [copy = held] {});
  gate.wait_until_reached();
  gate.open();
  disk.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(DiskThreadTest, WithoutWorkItIsIdleAtOnce) {
  DiskThread disk(loop_);
  loop_.run_until(disk.when_idle());
}

TEST_F(DiskThreadTest, IdleIsAfterWhatAReportBegan) {
  DiskThread disk(loop_);
  bool second = false;
  disk.run([] {}, [&] { disk.run([] {}, [&] { second = true; }); });
  loop_.run_until(disk.when_idle());
  EXPECT_TRUE(second);
}

TEST_F(DiskThreadTest, TheDestructorWaitsForTheWorkUnderWayAndReportsNothing) {
  Gate gate;
  gate.shut();
  std::atomic<bool> finished = false;
  auto disk = std::make_unique<DiskThread>(loop_);
  disk->run(
      [&] {
        gate.pass();
        finished = true;
      },
      [] { ADD_FAILURE() << "reported to nobody"; });
  disk->run([] {}, [] { ADD_FAILURE() << "reported to nobody"; });
  gate.wait_until_reached();
  std::thread opener([&] { gate.open(); });
  disk.reset();
  opener.join();
  EXPECT_TRUE(finished);
  loop_.run_until(loop_.after(Duration(1)));
}

TEST_F(DiskThreadTest, WhatWasDoneButNotReportedIsReportedToNobody) {
  Gate gate;
  gate.shut();
  auto disk = std::make_unique<DiskThread>(loop_);
  disk->run([] {}, [] { ADD_FAILURE() << "reported to nobody"; });
  disk->run([&] { gate.pass(); }, [] { ADD_FAILURE() << "reported to nobody"; });
  gate.wait_until_reached();  // the first work is done, and its report waits in the loop
  gate.open();
  disk.reset();
  loop_.run_until(loop_.after(Duration(1)));
}

}  // namespace
}  // namespace grapevine::server::test
