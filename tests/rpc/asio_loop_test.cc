// Goal: functions, timers and tasks run on the loop's thread, in order, and their failures are
// heard. Method: a loop on the test's thread, and helper threads that post to it; to be run under
// the thread sanitizer too.
#include "rpc/asio_loop.h"

#include <thread>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class LoopTests : public LoopTest {};

TEST_F(LoopTests, RunsWhatThreadsPostInTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 5'000;
  std::vector<int> seen(kThreads, 0);
  int left = kThreads;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop_.post([&, t, i] { EXPECT_EQ(seen[t]++, i); });
      }
      loop_.post([&] {
        if (--left == 0) loop_.stop();
      });
    });
  }
  loop_.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen, std::vector<int>(kThreads, kPosts));
}

TEST_F(LoopTests, PostedFunctionNeverRunsInsideTheCall) {
  bool ran = false;
  loop_.post([&] {
    loop_.post([&] {
      ran = true;
      loop_.stop();
    });
    EXPECT_FALSE(ran);
  });
  loop_.run();
  EXPECT_TRUE(ran);
}

TEST_F(LoopTests, HelperThreadFulfilsAPromiseThroughPost) {
  auto pair = kj::newPromiseAndFulfiller<int>();
  std::thread helper([&] { loop_.post([&] { pair.fulfiller->fulfill(42); }); });
  EXPECT_EQ(loop_.run_until(kj::mv(pair.promise)), 42);
  helper.join();
}

TEST_F(LoopTests, StopBeforeRunCountsOnce) {
  loop_.stop();
  loop_.run();
  loop_.post([&] { loop_.stop(); });
  loop_.run();
}

TEST_F(LoopTests, StopComesFromAnotherThread) {
  std::thread stopper;
  loop_.post([&] { stopper = std::thread([&] { loop_.stop(); }); });
  loop_.run();
  stopper.join();
}

TEST_F(LoopTests, PromisesMadeByPostedFunctionsGoOnWithoutAnybodyWaiting) {
  loop_.post([&] {
    loop_.spawn(kj::evalLater([] {}).then([&] { return loop_.after(Duration(1)); }).then([&] {
      loop_.stop();
    }));
  });
  loop_.run();
}

TEST_F(LoopTests, FailuresOfTasksAndFunctionsAreReportedAndTheLoopGoesOn) {
  loop_.spawn(
      kj::evalLater([] { kj::throwFatalException(to_exception(absl::DataLossError("first"))); }));
  loop_.post([] { kj::throwFatalException(to_exception(absl::NotFoundError("second"))); });
  loop_.post([&] { loop_.stop(); });
  loop_.run();
  loop_.run_until(loop_.after(Duration(0)));
  ASSERT_EQ(failures_.size(), 2u);
  std::sort(failures_.begin(), failures_.end(),
            [](const auto& a, const auto& b) { return a.code() < b.code(); });
  EXPECT_EQ(failures_[0], absl::NotFoundError("second"));
  EXPECT_EQ(failures_[1], absl::DataLossError("first"));
}

TEST_F(LoopTests, TimersEndInTheirOrderAndNotBeforeTheirTime) {
  using std::chrono::milliseconds;
  const Instant start = loop_.now();
  std::string order;
  auto late = loop_.after(milliseconds(3)).then([&] { order += "c"; });
  auto early = loop_.after(milliseconds(1)).then([&] { order += "a"; }).eagerlyEvaluate(nullptr);
  auto middle = loop_.after(milliseconds(2)).then([&] { order += "b"; }).eagerlyEvaluate(nullptr);
  loop_.run_until(kj::mv(late));
  EXPECT_EQ(order, "abc");
  EXPECT_GE(loop_.now() - start, milliseconds(3));
}

TEST_F(LoopTests, DroppedTimerNeverEnds) {
  bool ended = false;
  {
    const auto dropped =
        loop_.after(Duration(0)).then([&] { ended = true; }).eagerlyEvaluate(nullptr);
  }
  loop_.run_until(loop_.after(std::chrono::milliseconds(1)));
  EXPECT_FALSE(ended);
}

TEST_F(LoopTests, RunUntilThrowsTheFailure) {
  EXPECT_THROW(loop_.run_until(kj::Promise<void>(connection_lost("gone"))), kj::Exception);
}

TEST(Loop, DestroysWhatIsLeftWithoutRunningIt) {
  bool ran = false;
  {
    AsioLoop loop([](const absl::Status&) {});
    auto promise = kj::heap(kj::Promise<void>(kj::NEVER_DONE).attach(kj::heap<int>(1)));
    loop.post([&ran, kept = kj::mv(promise)] { ran = true; });
    loop.spawn(loop.after(std::chrono::hours(1)).then([&ran] { ran = true; }));
    loop.spawn(kj::evalLater([&ran] { ran = true; }));
  }
  EXPECT_FALSE(ran);
}

TEST(Loop, EveryThreadMayHaveItsOwn) {
  const auto one = [] {
    AsioLoop loop([](const absl::Status&) {});
    EXPECT_EQ(loop.run_until(kj::evalLater([] { return 7; })), 7);
  };
  std::thread other(one);
  one();
  other.join();
}

}  // namespace
}  // namespace grapevine::rpc::test
