// KJ's event loop on top of Asio's: the io_context is the only loop that waits.
//
// Resource. Two modes, never nested:
//   turns    the owner runs the io_context; as soon as KJ has events, one turn of its loop is posted there
//   driven   kj::Promise::wait() is on the stack and runs the io_context through wait() and poll()
//
// A turn runs at most kTurnEventsMax events before sockets and timers get theirs. When KJ's queue
// is empty, those who asked by at_turn_end are told, before anything waits: that is where streams
// send what the turn wrote.
//
// Owner: Loop. One thread, except wake().
#pragma once

#include <kj/async.h>

#include <asio/io_context.hpp>
#include <atomic>
#include <vector>

namespace grapevine::rpc {

class AsioEventPort final : public kj::EventPort {
 public:
  static constexpr kj::uint kTurnEventsMax = 4'096;

  // Told once, at the end of the turn in which it asked.
  class TurnEnd {
   public:
    virtual void turn_ended() = 0;

   protected:
    ~TurnEnd() = default;
  };

  // Driven mode while it lives. REQUIRES: no turn is on the stack.
  class Driven {
   public:
    explicit Driven(AsioEventPort& port);
    ~Driven();
    Driven(const Driven&) = delete;
    Driven& operator=(const Driven&) = delete;

   private:
    AsioEventPort& port_;
  };

  explicit AsioEventPort(asio::io_context& io) : io_(io) {}

  // To be called once, before the first event. Both must outlive the port's last turn.
  void attach(kj::EventLoop& loop, kj::WaitScope& wait_scope);

  // `hook` must live until it is told or has called forget.
  void at_turn_end(TurnEnd& hook);
  void forget(TurnEnd& hook);

  bool wait() override;
  bool poll() override;
  void setRunnable(bool runnable) override;
  void wake() const override;  // any thread

 private:
  void schedule() const;
  void turn();
  void end_turn();

  asio::io_context& io_;
  kj::EventLoop* loop_ = nullptr;
  kj::WaitScope* wait_scope_ = nullptr;
  std::vector<TurnEnd*> hooks_;
  bool scheduled_ = false;  // a turn is posted and has not begun
  bool in_turn_ = false;
  bool driven_ = false;
  mutable std::atomic<bool> woken_{false};
};

}  // namespace grapevine::rpc
