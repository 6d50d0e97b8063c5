// Goal: work is done elsewhere, one after another, and reported on the loop, in order; nothing is
// reported to what is gone. Method: a real thread beside the test's loop; its work waits where a
// test must look at it under way.
#include "server/disk_thread.h"

#include <atomic>
#include <condition_variable>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::server {
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

// Stops the disk thread inside a work until it is let go.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

TEST_F(DiskThreadTest, TheDestructorWaitsForTheWorkUnderWayAndReportsNothing) {
  Gate gate;
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
  auto disk = std::make_unique<DiskThread>(loop_);
  disk->run([] {}, [] { ADD_FAILURE() << "reported to nobody"; });
  disk->run([&] { gate.pass(); }, [] { ADD_FAILURE() << "reported to nobody"; });
  gate.wait_until_reached();  // the first work is done, and its report waits in the loop
  gate.open();
  disk.reset();
  loop_.run_until(loop_.after(Duration(1)));
}

}  // namespace
}  // namespace grapevine::server
