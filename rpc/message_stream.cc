#include "rpc/message_stream.h"

#include <kj/debug.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "rpc/errors.h"

namespace grapevine::rpc {
namespace {

using capnp::word;
using Segments = kj::ArrayPtr<const kj::ArrayPtr<const word>>;

constexpr std::size_t kWordBytes = sizeof(word);

std::uint32_t little_endian(const kj::byte* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

// The sizes of the segments stand behind their number, four bytes each.
std::uint32_t segment_words(const kj::byte* header, std::size_t segment) {
  return little_endian(header + 4 * (segment + 1));
}

// A message in one piece of memory.
class ReceivedMessage final : public capnp::MessageReader {
 public:
  // Takes the sizes from `header`; their sum is what `body` holds behind `skip` words.
  ReceivedMessage(capnp::ReaderOptions limits, kj::Array<word> body, const kj::byte* header,
                  std::size_t segments, std::size_t skip = 0)
      : MessageReader(limits), body_(kj::mv(body)) {
    const word* at = body_.begin() + skip;
    segments_.reserve(segments);
    for (std::size_t i = 0; i < segments; ++i) {
      segments_.emplace_back(at, segment_words(header, i));
      at += segments_.back().size();
    }
  }

  kj::ArrayPtr<const word> getSegment(kj::uint id) override {
    return id < segments_.size() ? segments_[id] : nullptr;
  }

 private:
  const kj::Array<word> body_;
  absl::InlinedVector<kj::ArrayPtr<const word>, 4> segments_;
};

// Readers may look at a message several times (to check it, then to carry it out), and Cap'n Proto
// counts every look.
capnp::ReaderOptions reader_options(std::size_t message_bytes_max) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 8 * (message_bytes_max / kWordBytes);
  return options;
}

}  // namespace

MessageStream::MessageStream(kj::AsyncIoStream& stream, std::string peer,
                             std::size_t message_bytes_max)
    : stream_(stream),
      peer_(std::move(peer)),
      message_bytes_max_(message_bytes_max),
      ended_(nullptr) {
  auto pair = kj::newPromiseAndFulfiller<void>();
  ended_fulfiller_ = kj::mv(pair.fulfiller);
  ended_ = pair.promise.fork();
}

void MessageStream::pause_reading_while(kj::Function<bool()> congested) {
  congested_ = kj::mv(congested);
}

// --- Reading ------------------------------------------------------------------------------------

kj::Promise<MessageStream::Input> MessageStream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd>,
                                                                capnp::ReaderOptions,
                                                                kj::ArrayPtr<word>) {
  return read_when_uncongested();
}

kj::Promise<MessageStream::Input> MessageStream::read_when_uncongested() {
  KJ_IF_MAYBE (congested, congested_) {
    if ((*congested)()) {
      auto pair = kj::newPromiseAndFulfiller<void>();
      paused_ = kj::mv(pair.fulfiller);
      // Only when all events have run does the queue show what was written.
      return pair.promise.then(
          [this] { return kj::evalLast([this] { return read_when_uncongested(); }); });
    }
  }
  return read_message();
}

kj::Promise<MessageStream::Input> MessageStream::read_message() {
  if (!failure_.ok()) return to_exception(failure_);
  auto header = parse_header();
  if (!header.ok()) return refuse(header.status());
  if (header->bytes == 0) return read_more();
  return header->packed ? read_packed(*header) : read_body(*header);
}

// The header of the message at in_begin_, as far as it is here.
absl::StatusOr<MessageStream::Header> MessageStream::parse_header() const {
  Header header;
  const kj::byte* const at = in_.begin() + in_begin_;
  const std::size_t here = in_end_ - in_begin_;
  if (here < Packing::kHeaderBytes) return header;
  if (Packing::is_packed(at)) {
    const Packing::Header packed = Packing::read_header(at);
    header.packed = true;
    header.kind = packed.kind;
    header.body_bytes = packed.bytes;
    if (here >= Packing::kHeaderBytes + packed.bytes) header.bytes = Packing::kHeaderBytes;
    return header;
  }
  if (here < kWordBytes) return header;
  const std::uint64_t segments = std::uint64_t{little_endian(at)} + 1;
  if (segments > kSegmentsMax) {
    return absl::InvalidArgumentError(peer_ + " sent bytes that are no Cap'n Proto message (" +
                                      std::to_string(segments) + " segments, the limit is " +
                                      std::to_string(kSegmentsMax) + "); the connection is closed");
  }
  const std::size_t bytes = (segments + 2) / 2 * kWordBytes;
  if (here < bytes) return header;
  for (std::size_t i = 0; i < segments; ++i) header.body_bytes += segment_words(at, i) * kWordBytes;
  if (header.body_bytes > message_bytes_max_) {
    return absl::InvalidArgumentError(peer_ + " announced a message of " +
                                      std::to_string(header.body_bytes) + " bytes, the limit is " +
                                      std::to_string(message_bytes_max_) +
                                      "; the connection is closed");
  }
  header.bytes = bytes;
  header.segments = segments;
  return header;
}

kj::Promise<MessageStream::Input> MessageStream::read_more() {
  if (in_begin_ != 0) {
    std::memmove(in_.begin(), in_.begin() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  return stream_.tryRead(in_.begin() + in_end_, 1, in_.size() - in_end_)
      .then(
          [this](std::size_t size) {
            if (size == 0) return end_of_input();
            in_end_ += size;
            bytes_received_ += size;
            return read_message();
          },
          [this](kj::Exception&& exception) { return broken(kj::mv(exception)); });
}

kj::Promise<MessageStream::Input> MessageStream::read_body(Header header) {
  auto body = kj::heapArray<word>(header.body_bytes / kWordBytes);
  kj::ArrayPtr<kj::byte> bytes = body.asBytes();
  const kj::byte* const at = in_.begin() + in_begin_;
  const std::size_t here = std::min(bytes.size(), in_end_ - in_begin_ - header.bytes);
  if (here != 0) std::memcpy(bytes.begin(), at + header.bytes, here);
  in_begin_ += header.bytes + here;
  auto message = kj::heap<ReceivedMessage>(reader_options(message_bytes_max_), kj::mv(body), at,
                                           header.segments);
  return read_rest(bytes.slice(here, bytes.size()), kj::mv(message));
}

// In the pieces in which it comes, so that it shows that something does.
kj::Promise<MessageStream::Input> MessageStream::read_rest(kj::ArrayPtr<kj::byte> rest,
                                                           kj::Own<capnp::MessageReader> message) {
  if (rest.size() == 0) return Input(capnp::MessageReaderAndFds{kj::mv(message), nullptr});
  return stream_.tryRead(rest.begin(), 1, rest.size())
      .then(
          [this, rest, read = kj::mv(message)](std::size_t size) mutable -> kj::Promise<Input> {
            if (size == 0) return cut_off();
            bytes_received_ += size;
            return read_rest(rest.slice(size, rest.size()), kj::mv(read));
          },
          [this](kj::Exception&& exception) { return broken(kj::mv(exception)); });
}

// REQUIRES: all of it is here.
kj::Promise<MessageStream::Input> MessageStream::read_packed(Header header) {
  const kj::byte* const at = in_.begin() + in_begin_ + header.bytes;
  auto words = read_packing_.unpack(header.kind, kj::arrayPtr(at, header.body_bytes));
  in_begin_ += header.bytes + header.body_bytes;
  if (packs_back_) packs_ = true;
  if (words.ok()) {
    const kj::byte* const table = words->asBytes().begin();
    const std::size_t segments = std::size_t{little_endian(table)} + 1;
    const std::size_t table_words = segments / 2 + 1;
    std::size_t sum = table_words;  // too large if the table does not end in here
    for (std::size_t i = 0; i < segments && sum <= words->size(); ++i) {
      sum += segment_words(table, i);
    }
    if (segments <= kSegmentsMax && sum == words->size()) {
      auto message = kj::heap<ReceivedMessage>(reader_options(message_bytes_max_),
                                               *std::move(words), table, segments, table_words);
      return Input(capnp::MessageReaderAndFds{kj::mv(message), nullptr});
    }
  }
  return refuse(absl::InvalidArgumentError(
      peer_ + " sent a packed Cap'n Proto message that is malformed; the connection is closed"));
}

kj::Promise<MessageStream::Input> MessageStream::end_of_input() {
  if (in_begin_ != in_end_) return cut_off();
  at_end_ = true;
  ended_fulfiller_->fulfill();
  return Input(nullptr);
}

kj::Promise<MessageStream::Input> MessageStream::refuse(absl::Status why) {
  failure_ = std::move(why);
  const std::string_view text = text_of(failure_);
  return broken(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                              kj::heapString(text.data(), text.size())));
}

kj::Promise<MessageStream::Input> MessageStream::cut_off() {
  return broken(connection_lost(peer_ + " closed the connection in the middle of a message"));
}

kj::Promise<MessageStream::Input> MessageStream::broken(kj::Exception&& exception) {
  if (failure_.ok()) failure_ = to_status(exception);
  ended_fulfiller_->fulfill();
  return kj::mv(exception);
}

// --- Writing ------------------------------------------------------------------------------------

kj::Promise<void> MessageStream::writeMessage(kj::ArrayPtr<const int>, Segments segments) {
  pieces_.clear();
  headers_.clear();
  packed_.clear();
  headers_.reserve(segments.size() + 2);
  append_message(segments);
  return write_gathered();
}

kj::Promise<void> MessageStream::writeMessages(kj::ArrayPtr<Segments> messages) {
  pieces_.clear();
  headers_.clear();
  packed_.clear();
  std::size_t words = 0;
  for (const Segments& segments : messages) words += segments.size() + 2;
  headers_.reserve(words);
  for (const Segments& segments : messages) append_message(segments);
  return write_gathered();
}

// REQUIRES: headers_ has room, because pieces_ points into it.
void MessageStream::append_message(Segments segments) {
  if (packs_ && Packing::unpacked_bytes(segments) <= Packing::kUnpackedMax) {
    return append_packed(segments);
  }
  const std::size_t begin = headers_.size();
  headers_.push_back(static_cast<std::uint32_t>(segments.size() - 1));
  for (const auto& segment : segments)
    headers_.push_back(static_cast<std::uint32_t>(segment.size()));
  if ((headers_.size() - begin) % 2 != 0) headers_.push_back(0);
  for (std::size_t i = begin; i < headers_.size(); ++i) headers_[i] = htole32(headers_[i]);
  pieces_.push_back(kj::arrayPtr(headers_.data() + begin, headers_.size() - begin).asBytes());
  for (const auto& segment : segments) pieces_.push_back(segment.asBytes());
}

void MessageStream::append_packed(Segments segments) {
  kj::VectorOutputStream& packed = packed_.emplace_back(256);
  write_packing_.pack(segments, packed);
  pieces_.push_back(packed.getArray());
}

kj::Promise<void> MessageStream::write_gathered() {
  auto written = stream_.write(kj::arrayPtr(pieces_.data(), pieces_.size()));
  KJ_IF_MAYBE (congested, congested_) {
    if (paused_ != nullptr || (*congested)()) {
      return written.then([this] {
        KJ_IF_MAYBE (paused, paused_) {
          (*paused)->fulfill();
          paused_ = nullptr;
        }
      });
    }
  }
  return written;
}

kj::Maybe<int> MessageStream::getSendBufferSize() {
  int size = 0;
  kj::uint length = sizeof(size);
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                              [&] { stream_.getsockopt(SOL_SOCKET, SO_SNDBUF, &size, &length); })) {
    return nullptr;  // not a socket: Cap'n Proto has a window of its own
  }
  return size;
}

kj::Promise<void> MessageStream::end() {
  stream_.shutdownWrite();
  return kj::READY_NOW;
}

}  // namespace grapevine::rpc
