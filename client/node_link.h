// The client's connection to one node: dials, logs in, notices the end, and dials again after a
// pause that grows.
//
//   resting --pause over--> dialling --logged in--> ready
//      ^                        |                     |
//      +------- refused, no answer, connection lost --+
//
// Resource. Bounds: one connection; an attempt takes at most options.connect_timeout; pauses double
// from kPauseMin to kPauseMax and start again after a login. Not promised: that a ready link
// answers.
//
// Owner and thread: the pool; the client's own thread.
#pragma once

#include <kj/async.h>

#include <memory>
#include <optional>
#include <string>

#include "client/wire.h"
#include "rpc/address.h"
#include "rpc/connection.h"
#include "rpc/loop.h"

namespace grapevine::client {

struct LinkOptions {
  Duration connect_timeout = std::chrono::seconds(1);
  std::string client_name;
};

class NodeLink {
 public:
  static constexpr Duration kPauseMin = std::chrono::milliseconds(50);
  static constexpr Duration kPauseMax = std::chrono::seconds(2);
  static constexpr std::uint32_t kProtocolVersion = 1;

  class Observer {
   public:
    virtual void link_ready(NodeLink& link) = 0;
    // An attempt failed, or a ready link was lost; link.why_down() says why.
    virtual void link_down(NodeLink& link) = 0;

   protected:
    ~Observer() = default;
  };

  // `observer` must outlive it.
  NodeLink(rpc::Loop& loop, rpc::Address address, LinkOptions options, Observer& observer);
  NodeLink(const NodeLink&) = delete;
  NodeLink& operator=(const NodeLink&) = delete;

  // Begins to dial. To be called once.
  void start();
  // Closes the connection because the node does not answer; calls under way fail as lost. Dials
  // again later.
  void give_up(std::string why);

  bool ready() const { return reader_.has_value(); }
  // REQUIRES: ready().
  wire::Reader::Client& reader() { return *reader_; }
  // Null when this client may only read, or while the link is not ready.
  wire::Writer::Client* writer() { return writer_.has_value() ? &*writer_ : nullptr; }

  const std::string& name() const { return name_; }  // HOST:PORT
  std::uint64_t node() const { return node_; }       // its id, by its latest login; 0: none yet
  // Why the latest attempt or connection ended; ok before the first end.
  const absl::Status& why_down() const { return why_down_; }

  // Requests under way, and how many of them are overdue: the pool and the batcher count here.
  std::uint32_t requests = 0;
  std::uint32_t requests_overdue = 0;
  std::uint64_t requests_sent = 0;  // ever

 private:
  kj::Promise<void> live();
  kj::Promise<void> attempt();
  kj::Promise<void> log_in(kj::Own<kj::AsyncIoStream> stream);
  void down(absl::Status why);

  rpc::Loop& loop_;
  const rpc::Address address_;
  const std::string name_;
  const LinkOptions options_;
  Observer& observer_;

  absl::Status why_down_;
  Duration pause_ = kPauseMin;
  std::uint64_t node_ = 0;
  kj::Own<rpc::Connection> connection_;
  std::optional<wire::Reader::Client> reader_;
  std::optional<wire::Writer::Client> writer_;
  kj::Own<kj::PromiseFulfiller<void>> given_up_;  // ends the current connection
  kj::Promise<void> life_ = nullptr;
};

}  // namespace grapevine::client
