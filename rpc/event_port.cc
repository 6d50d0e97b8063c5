#include "rpc/event_port.h"

#include <algorithm>
#include <asio/post.hpp>

#include "storage/base/check.h"

namespace grapevine::rpc {

AsioEventPort::Driven::Driven(AsioEventPort& port) : port_(port) {
  GRAPEVINE_CHECK(!port.in_turn_ && !port.driven_, "waiting inside an event of the same loop");
  port_.driven_ = true;
}

AsioEventPort::Driven::~Driven() {
  port_.end_turn();
  port_.driven_ = false;
  if (port_.loop_->isRunnable()) port_.setRunnable(true);
}

void AsioEventPort::attach(kj::EventLoop& loop, kj::WaitScope& wait_scope) {
  loop_ = &loop;
  wait_scope_ = &wait_scope;
}

void AsioEventPort::at_turn_end(TurnEnd& hook) {
  hooks_.push_back(&hook);
  setRunnable(true);  // a turn of no events still has an end
}

void AsioEventPort::forget(TurnEnd& hook) {
  std::replace(hooks_.begin(), hooks_.end(), &hook, static_cast<TurnEnd*>(nullptr));
}

bool AsioEventPort::wait() {
  end_turn();
  if (!loop_->isRunnable()) {
    if (io_.stopped()) io_.restart();
    io_.run_one();
  }
  return woken_.exchange(false);
}

bool AsioEventPort::poll() {
  // Inside a turn the io_context is on the stack already; KJ only wants to know about other threads
  // then.
  if (!in_turn_) {
    end_turn();
    if (io_.stopped()) io_.restart();
    io_.poll();
  }
  return woken_.exchange(false);
}

void AsioEventPort::setRunnable(bool runnable) {
  if (!runnable || in_turn_ || driven_ || scheduled_) return;
  scheduled_ = true;
  schedule();
}

void AsioEventPort::wake() const {
  woken_ = true;
  schedule();
}

void AsioEventPort::schedule() const {
  asio::post(io_, [port = const_cast<AsioEventPort*>(this)] { port->turn(); });
}

void AsioEventPort::turn() {
  scheduled_ = false;
  if (driven_) return;
  in_turn_ = true;
  if (woken_) {
    wait_scope_->poll();
  } else {
    loop_->run(kTurnEventsMax);
  }
  end_turn();
  in_turn_ = false;
  if (loop_->isRunnable()) setRunnable(true);
}

void AsioEventPort::end_turn() {
  for (std::size_t i = 0; i < hooks_.size(); ++i) {
    if (hooks_[i] != nullptr) hooks_[i]->turn_ended();
  }
  hooks_.clear();
}

}  // namespace grapevine::rpc
