// Goal: KJ's loop and Asio's share one thread, in both modes, and neither starves the other.
// Method: endless chains of events on one side, timers on the other; calls from other threads
// through KJ's executor.
#include "rpc/event_port.h"

#include <thread>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

class EventPort : public LoopTest {
 protected:
  // KJ events without end.
  kj::Promise<void> chatter() {
    return kj::evalLater([this]() -> kj::Promise<void> {
      ++events_;
      return chatter();
    });
  }

  std::size_t events_ = 0;
};

TEST_F(EventPort, EndlessEventsDoNotStarveTimers) {
  loop_.spawn(chatter());
  loop_.spawn(loop_.after(std::chrono::milliseconds(1)).then([&] { loop_.stop(); }));
  loop_.run();
  EXPECT_GT(events_, 0u);
}

TEST_F(EventPort, EventsLeftByOneModeGoOnInTheOther) {
  std::string order;
  loop_.spawn(
      kj::evalLater([&] { order += "a"; }).then([&] { order += "b"; }).then([&] { loop_.stop(); }));
  loop_.run_until(kj::Promise<void>(kj::READY_NOW));
  loop_.run();
  EXPECT_EQ(order, "ab");
}

TEST_F(EventPort, OtherThreadsReachTheLoopThroughKjsExecutorInBothModes) {
  const kj::Executor& executor = kj::getCurrentThreadExecutor();
  int calls = 0;
  std::thread first([&] {
    executor.executeSync([&] { ++calls; });
    executor.executeSync([&] { loop_.stop(); });
  });
  loop_.run();
  first.join();

  auto done = kj::newPromiseAndFulfiller<void>();
  std::thread second([&] {
    executor.executeSync([&] { ++calls; });
    executor.executeSync([&] { done.fulfiller->fulfill(); });
  });
  loop_.run_until(kj::mv(done.promise));
  second.join();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventPort, TurnEndIsToldOnceAfterTheEventsAndCanBeForgotten) {
  struct Hook final : AsioEventPort::TurnEnd {
    void turn_ended() override { ++told; }
    int told = 0;
  };
  Hook told;
  Hook forgotten;
  loop_.run_until(kj::evalLater([&] {
    loop_.port().at_turn_end(told);
    loop_.port().at_turn_end(forgotten);
    loop_.port().forget(forgotten);
    EXPECT_EQ(told.told, 0);
  }));
  EXPECT_EQ(told.told, 1);
  EXPECT_EQ(forgotten.told, 0);

  loop_.post([&] { loop_.port().at_turn_end(told); });  // outside of any turn
  loop_.spawn(loop_.after(std::chrono::milliseconds(1)).then([&] { loop_.stop(); }));
  loop_.run();
  EXPECT_EQ(told.told, 2);
}

TEST_F(EventPort, WaitingInsideAnEventStopsTheProcess) {
  EXPECT_DEATH(
      loop_.run_until(kj::evalLater([&] { loop_.run_until(kj::Promise<void>(kj::READY_NOW)); })),
      "waiting inside an event");
}

}  // namespace
}  // namespace grapevine::rpc::test
