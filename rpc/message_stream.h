// Cap'n Proto messages over a byte stream, from a peer that is not trusted.
//
// Resource. Reads in large pieces and cuts them into messages; one that is there already costs no
// wait and no event. A message is refused before memory is taken for it when it announces more than
// message_bytes_max or more than kSegmentsMax segments (garbage nearly always does). After a
// refusal nothing more is read, and failure() says why.
//
// Between nodes small messages may be packed (packing.h). Whoever reads takes both; who writes them is
// told that the other side does.
//
// Bounds: kInputBytes of buffer, and one message of at most message_bytes_max.
// Not promised: that what a message says makes sense; Cap'n Proto checks that as it is read.
// Owner: Connection; the thread of its loop.
#pragma once

#include <capnp/serialize-async.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/io.h>

#include <deque>
#include <string>
#include <vector>

#include "rpc/packing.h"
#include "storage/base/status.h"

namespace grapevine::rpc {

class MessageStream final : public capnp::MessageStream {
 public:
  static constexpr std::size_t kInputBytes = std::size_t{64} * 1024;
  static constexpr std::size_t kSegmentsMax = 512;  // what Cap'n Proto itself accepts

  // `peer` names the other side in errors. `stream` must outlive this.
  MessageStream(kj::AsyncIoStream& stream, std::string peer, std::size_t message_bytes_max);

  // From now on small messages are packed: the peer is known to understand it.
  void pack() { packs_ = true; }
  // From the first packed message of the peer on: so it understands them.
  void pack_back() { packs_back_ = true; }

  // While `congested` says true, nothing is read. It is asked before each message, and again after
  // each write.
  void pause_reading_while(kj::Function<bool()> congested);

  // Why reading ended: InvalidArgument when the peer sent what it must not, Unavailable when the
  // connection broke or was cut off. Ok while reading goes on, and after an end between two
  // messages.
  const absl::Status& failure() const { return failure_; }
  bool at_end() const { return at_end_; }
  // Also of a message of which only a part has come.
  std::uint64_t bytes_received() const { return bytes_received_; }

  // Done when reading has ended, for whatever reason.
  kj::Promise<void> on_end() { return ended_.addBranch(); }

  using capnp::MessageStream::tryReadMessage;
  using capnp::MessageStream::writeMessage;
  using capnp::MessageStream::writeMessages;
  // Reads with its own limits: `options` and `scratch` are not used.
  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override;
  kj::Promise<void> end() override;

 private:
  using Input = kj::Maybe<capnp::MessageReaderAndFds>;
  // The sizes at the front of a message.
  struct Header {
    std::size_t bytes = 0;  // of itself; 0: not all of it is here yet
    std::size_t segments = 0;
    std::size_t body_bytes = 0;  // of a packed one: as they stand in the stream
    bool packed = false;
    std::size_t kind = 0;  // of a packed one
  };

  kj::Promise<Input> read_when_uncongested();
  kj::Promise<Input> read_message();
  kj::Promise<Input> read_more();
  kj::Promise<Input> read_body(Header header);
  kj::Promise<Input> read_packed(Header header);
  kj::Promise<Input> read_rest(kj::ArrayPtr<kj::byte> rest, kj::Own<capnp::MessageReader> message);
  kj::Promise<Input> end_of_input();
  kj::Promise<Input> refuse(absl::Status why);
  kj::Promise<Input> cut_off();
  kj::Promise<Input> broken(kj::Exception&& exception);
  absl::StatusOr<Header> parse_header() const;
  void append_message(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments);
  void append_packed(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments);
  kj::Promise<void> write_gathered();

  kj::AsyncIoStream& stream_;
  const std::string peer_;
  const std::size_t message_bytes_max_;
  bool packs_ = false;
  bool packs_back_ = false;
  Packing read_packing_;
  Packing write_packing_;

  kj::Array<kj::byte> in_ = kj::heapArray<kj::byte>(kInputBytes);
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::uint64_t bytes_received_ = 0;
  bool at_end_ = false;
  absl::Status failure_;
  kj::Own<kj::PromiseFulfiller<void>> ended_fulfiller_;
  kj::ForkedPromise<void> ended_;

  kj::Maybe<kj::Function<bool()>> congested_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>>
      paused_;  // a read waits until something was written

  // The write under way; KJ has one at a time.
  std::vector<std::uint32_t> headers_;
  std::vector<kj::ArrayPtr<const kj::byte>> pieces_;
  std::deque<kj::VectorOutputStream> packed_;
};

}  // namespace grapevine::rpc
