#include "rpc/stream.h"

#include <kj/debug.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "rpc/errors.h"

namespace grapevine::rpc {
namespace {

using Bytes = kj::ArrayPtr<const kj::byte>;
constexpr std::size_t kPiecesPerSend = 64;  // what Asio puts into one system call

bool would_block(const std::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

// The rest of the life of a socket whose stream is gone: sends what is left, then says that nothing
// more comes, and takes in and drops what the peer still sends until the peer closes too. Without
// that last part the kernel answers the peer's bytes with a reset, which may overtake what was sent.
// Owned by its own callbacks.
class Farewell : public std::enable_shared_from_this<Farewell> {
 public:
  Farewell(Socket socket, std::vector<kj::byte> bytes, std::size_t begin)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        bytes_(std::move(bytes)),
        begin_(begin) {}

  void start() {
    timer_.expires_after(kLingerTime);
    timer_.async_wait([self = shared_from_this()](const std::error_code&) { self->close(); });
    asio::async_write(socket_, asio::buffer(bytes_.data() + begin_, bytes_.size() - begin_),
                      [self = shared_from_this()](const std::error_code& error, std::size_t) {
                        if (error) return self->end();
                        std::error_code ignored;  // the peer is gone then, which drain learns
                        self->socket_.shutdown(Socket::shutdown_send, ignored);
                        self->drain();
                      });
  }

 private:
  void drain() {
    socket_.async_read_some(asio::buffer(dropped_),
                            [self = shared_from_this()](const std::error_code& error, std::size_t) {
                              if (error) return self->end();
                              self->drain();
                            });
  }

  void end() { timer_.cancel(); }

  void close() {
    std::error_code ignored;
    socket_.close(ignored);
  }

  Socket socket_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Socket::executor_type>
      timer_;
  const std::vector<kj::byte> bytes_;
  const std::size_t begin_;
  std::array<kj::byte, 4096> dropped_;
};

class Stream final : public kj::AsyncIoStream, private AsioEventPort::TurnEnd {
 public:
  Stream(AsioEventPort& port, Socket socket);
  ~Stream();
  KJ_DISALLOW_COPY(Stream);

  kj::Promise<size_t> tryRead(void* buffer, size_t bytes_min, size_t bytes_max) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const Bytes> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;
  void getsockopt(int level, int option, void* value, kj::uint* length) override;
  void setsockopt(int level, int option, const void* value, kj::uint length) override;
  void getsockname(struct sockaddr* address, kj::uint* length) override;
  void getpeername(struct sockaddr* address, kj::uint* length) override;

 private:
  // What Asio's callbacks may touch: it outlives the stream until the last of them has run.
  struct Shared {
    Stream* stream;
    std::unique_ptr<kj::byte[]> read_ahead;
  };

  // The read and the write whose promise is not done yet. They leave the stream when the promise is
  // dropped.
  class ReadOperation {
   public:
    ReadOperation(kj::PromiseFulfiller<size_t>& fulfiller, Stream& stream, kj::byte* buffer,
                  size_t got, size_t bytes_min, size_t bytes_max);
    ~ReadOperation();
    KJ_DISALLOW_COPY(ReadOperation);

    kj::PromiseFulfiller<size_t>& fulfiller;
    Stream& stream;
    kj::byte* const buffer;
    size_t got;
    const size_t bytes_min;
    const size_t bytes_max;
  };
  class WriteOperation {
   public:
    WriteOperation(kj::PromiseFulfiller<void>& fulfiller, Stream& stream,
                   std::vector<Bytes> pieces);
    ~WriteOperation();
    KJ_DISALLOW_COPY(WriteOperation);

    kj::PromiseFulfiller<void>& fulfiller;
    Stream& stream;
    std::vector<Bytes> pieces;  // those before `next` are sent
    size_t next = 0;
    bool begun = false;
  };

  void turn_ended() override;

  size_t take(kj::byte* buffer, size_t bytes_max);
  void advance_read();
  void receive();
  void receive_directly();
  void received(const std::error_code& error, size_t size);
  void end_of_input(const std::error_code& error);

  size_t buffered() const { return out_.size() - out_begin_; }
  void append(Bytes piece);
  void send_soon();
  void flush();
  size_t send_once(std::error_code& error);
  void sent(size_t size);
  void absorb();
  void wait_writable();
  void fail_writes(kj::Exception&& exception);
  void watch_for_disconnect();
  bool hung_up();

  AsioEventPort& port_;
  Socket socket_;
  const std::shared_ptr<Shared> shared_;

  ReadOperation* read_ = nullptr;
  size_t in_begin_ = 0;  // read-ahead that nobody has taken yet
  size_t in_end_ = 0;
  bool receiving_ = false;  // Asio has read_ahead
  bool eof_ = false;
  kj::Maybe<kj::Exception> read_error_;

  WriteOperation* write_ = nullptr;  // its bytes come after out_
  std::vector<kj::byte> out_;
  size_t out_begin_ = 0;
  std::vector<asio::const_buffer> gathered_;
  bool hooked_ = false;   // flush at the end of this turn
  bool blocked_ = false;  // waiting until the kernel takes more
  bool shutdown_wanted_ = false;
  kj::Maybe<kj::Exception> write_error_;

  kj::Own<kj::PromiseFulfiller<void>> disconnected_fulfiller_;
  kj::Maybe<kj::ForkedPromise<void>> disconnected_;
};

// --- Life ---------------------------------------------------------------------------------------

Stream::Stream(AsioEventPort& port, Socket socket)
    : port_(port),
      socket_(std::move(socket)),
      shared_(std::make_shared<Shared>(
          Shared{this, std::unique_ptr<kj::byte[]>(new kj::byte[kReadAheadBytes])})) {
  std::error_code ignored;  // a socket that is dead already says so at the first read
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  const int idle_s = 60;
  const int interval_s = 10;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
               sizeof(interval_s));
}

Stream::~Stream() {
  shared_->stream = nullptr;
  if (hooked_) port_.forget(*this);
  if (write_error_ == nullptr && buffered() != 0 && !blocked_) flush();
  const bool peer_done = eof_ || read_error_ != nullptr;
  if (write_error_ == nullptr && (buffered() != 0 || !peer_done)) {
    std::error_code ignored;
    socket_.cancel(ignored);
    std::make_shared<Farewell>(std::move(socket_), std::move(out_), out_begin_)->start();
  }
}

void Stream::turn_ended() {
  hooked_ = false;
  if (!blocked_) flush();
}

// --- Reading ------------------------------------------------------------------------------------

Stream::ReadOperation::ReadOperation(kj::PromiseFulfiller<size_t>& the_fulfiller,
                                     Stream& the_stream, kj::byte* the_buffer, size_t already_got,
                                     size_t the_min, size_t the_max)
    : fulfiller(the_fulfiller),
      stream(the_stream),
      buffer(the_buffer),
      got(already_got),
      bytes_min(the_min),
      bytes_max(the_max) {
  stream.read_ = this;
  stream.receive();
}

Stream::ReadOperation::~ReadOperation() {
  if (stream.read_ == this) stream.read_ = nullptr;
}

kj::Promise<size_t> Stream::tryRead(void* buffer, size_t bytes_min, size_t bytes_max) {
  KJ_REQUIRE(read_ == nullptr, "one read at a time");
  auto* const bytes = static_cast<kj::byte*>(buffer);
  const size_t got = take(bytes, bytes_max);
  if (got >= bytes_min) return got;
  KJ_IF_MAYBE (error, read_error_) {
    return kj::cp(*error);
  }
  if (eof_) return got;
  return kj::newAdaptedPromise<size_t, ReadOperation>(*this, bytes, got, bytes_min, bytes_max);
}

size_t Stream::take(kj::byte* buffer, size_t bytes_max) {
  const size_t size = std::min(bytes_max, in_end_ - in_begin_);
  if (size != 0) std::memcpy(buffer, shared_->read_ahead.get() + in_begin_, size);
  in_begin_ += size;
  return size;
}

// Serves the waiting read from what has arrived; asks for more if that is not enough.
void Stream::advance_read() {
  if (read_ == nullptr) return;
  read_->got += take(read_->buffer + read_->got, read_->bytes_max - read_->got);
  ReadOperation* const done = read_;
  if (done->got >= done->bytes_min || (eof_ && read_error_ == nullptr)) {
    read_ = nullptr;
    done->fulfiller.fulfill(kj::cp(done->got));
    return;
  }
  KJ_IF_MAYBE (error, read_error_) {
    read_ = nullptr;
    done->fulfiller.reject(kj::cp(*error));
    return;
  }
  receive();
}

// REQUIRES: a read is waiting and the read-ahead is empty.
void Stream::receive() {
  if (receiving_) return;
  if (read_->bytes_min - read_->got >= kDirectReadBytes) {
    receive_directly();
    if (eof_ || read_error_ != nullptr || read_->got >= read_->bytes_min) return advance_read();
  }
  receiving_ = true;
  socket_.async_read_some(asio::buffer(shared_->read_ahead.get(), kReadAheadBytes),
                          [shared = shared_](const std::error_code& error, size_t size) {
                            if (shared->stream != nullptr) shared->stream->received(error, size);
                          });
}

void Stream::receive_directly() {
  while (read_->got < read_->bytes_min) {
    std::error_code error;
    read_->got += socket_.read_some(
        asio::buffer(read_->buffer + read_->got, read_->bytes_max - read_->got), error);
    if (would_block(error)) return;
    if (error) return end_of_input(error);
  }
}

void Stream::received(const std::error_code& error, size_t size) {
  receiving_ = false;
  if (eof_) return;  // aborted meanwhile
  in_begin_ = 0;
  in_end_ = size;
  if (error) end_of_input(error);
  advance_read();
}

void Stream::end_of_input(const std::error_code& error) {
  if (error == asio::error::eof) {
    eof_ = true;
  } else {
    read_error_ = connection_lost("the connection broke while reading", error);
  }
}

void Stream::abortRead() {
  std::error_code ignored;
  socket_.shutdown(Socket::shutdown_receive, ignored);
  eof_ = true;
  in_begin_ = in_end_ = 0;
  advance_read();
}

// --- Writing ------------------------------------------------------------------------------------

Stream::WriteOperation::WriteOperation(kj::PromiseFulfiller<void>& the_fulfiller,
                                       Stream& the_stream, std::vector<Bytes> the_pieces)
    : fulfiller(the_fulfiller), stream(the_stream), pieces(std::move(the_pieces)) {
  stream.write_ = this;
  if (!stream.blocked_) stream.flush();
}

Stream::WriteOperation::~WriteOperation() {
  if (stream.write_ != this) return;
  stream.write_ = nullptr;
  if (begun) stream.fail_writes(connection_lost("a write was dropped when half of it was sent"));
}

kj::Promise<void> Stream::write(const void* buffer, size_t size) {
  const Bytes piece(static_cast<const kj::byte*>(buffer), size);
  return write(kj::arrayPtr(&piece, 1));
}

kj::Promise<void> Stream::write(kj::ArrayPtr<const Bytes> pieces) {
  KJ_REQUIRE(write_ == nullptr, "one write at a time");
  KJ_REQUIRE(!shutdown_wanted_, "write after shutdownWrite");
  KJ_IF_MAYBE (error, write_error_) {
    return kj::cp(*error);
  }
  size_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  if (buffered() + size > kWriteBufferBytes) {
    return kj::newAdaptedPromise<void, WriteOperation>(
        *this, std::vector<Bytes>(pieces.begin(), pieces.end()));
  }
  for (const Bytes& piece : pieces) append(piece);
  send_soon();
  return kj::READY_NOW;
}

void Stream::append(Bytes piece) {
  if (out_begin_ != 0 && out_.size() + piece.size() > out_.capacity()) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_begin_));
    out_begin_ = 0;
  }
  out_.insert(out_.end(), piece.begin(), piece.end());
}

void Stream::send_soon() {
  if (hooked_ || blocked_) return;
  hooked_ = true;
  port_.at_turn_end(*this);
}

// Sends until all is sent or the kernel takes no more.
void Stream::flush() {
  while (write_error_ == nullptr && (buffered() != 0 || write_ != nullptr)) {
    std::error_code error;
    const size_t size = send_once(error);
    if (would_block(error)) {
      absorb();
      return wait_writable();
    }
    if (error) return fail_writes(connection_lost("the connection broke while writing", error));
    sent(size);
  }
  if (shutdown_wanted_ && write_error_ == nullptr) {
    std::error_code ignored;  // the peer is gone then, which the reader learns
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
}

size_t Stream::send_once(std::error_code& error) {
  const asio::const_buffer buffered_bytes(out_.data() + out_begin_, buffered());
  if (write_ == nullptr) return socket_.send(buffered_bytes, 0, error);
  gathered_.clear();
  if (buffered_bytes.size() != 0) gathered_.push_back(buffered_bytes);
  for (size_t i = write_->next; i < write_->pieces.size() && gathered_.size() < kPiecesPerSend;
       ++i) {
    const Bytes& piece = write_->pieces[i];
    if (piece.size() != 0) gathered_.emplace_back(piece.begin(), piece.size());
  }
  return gathered_.empty() ? 0 : socket_.send(gathered_, 0, error);
}

void Stream::sent(size_t size) {
  const size_t from_buffer = std::min(size, buffered());
  out_begin_ += from_buffer;
  size -= from_buffer;
  if (buffered() == 0) {
    out_.clear();
    out_begin_ = 0;
  }
  if (write_ == nullptr) return;
  write_->begun = write_->begun || size != 0;
  auto& pieces = write_->pieces;
  while (write_->next < pieces.size() && size >= pieces[write_->next].size()) {
    size -= pieces[write_->next].size();
    ++write_->next;
  }
  if (write_->next == pieces.size()) {
    WriteOperation* const done = write_;
    write_ = nullptr;
    done->fulfiller.fulfill();
  } else {
    pieces[write_->next] = pieces[write_->next].slice(size, pieces[write_->next].size());
  }
}

// Copies the rest of the waiting write once it fits into the buffer, and so finishes it.
void Stream::absorb() {
  if (write_ == nullptr) return;
  size_t size = 0;
  for (size_t i = write_->next; i < write_->pieces.size(); ++i) size += write_->pieces[i].size();
  if (buffered() + size > kWriteBufferBytes) return;
  for (size_t i = write_->next; i < write_->pieces.size(); ++i) append(write_->pieces[i]);
  WriteOperation* const done = write_;
  write_ = nullptr;
  done->fulfiller.fulfill();
}

void Stream::wait_writable() {
  if (shared_->stream == nullptr) return;  // being destroyed
  blocked_ = true;
  socket_.async_wait(Socket::wait_write, [shared = shared_](const std::error_code&) {
    if (shared->stream == nullptr) return;
    shared->stream->blocked_ = false;
    shared->stream->flush();
  });
}

void Stream::fail_writes(kj::Exception&& exception) {
  out_.clear();
  out_begin_ = 0;
  if (write_ != nullptr) {
    WriteOperation* const failed = write_;
    write_ = nullptr;
    failed->fulfiller.reject(kj::cp(exception));
  }
  if (disconnected_ != nullptr) disconnected_fulfiller_->fulfill();
  write_error_ = kj::mv(exception);
}

void Stream::shutdownWrite() {
  KJ_REQUIRE(write_ == nullptr, "shutdownWrite during a write");
  shutdown_wanted_ = true;
  if (!blocked_) flush();
}

// --- The rest of KJ's interface -----------------------------------------------------------------

kj::Promise<void> Stream::whenWriteDisconnected() {
  if (write_error_ != nullptr) return kj::READY_NOW;
  KJ_IF_MAYBE (disconnected, disconnected_) {
    return disconnected->addBranch();
  }
  auto pair = kj::newPromiseAndFulfiller<void>();
  disconnected_fulfiller_ = kj::mv(pair.fulfiller);
  watch_for_disconnect();
  return disconnected_.emplace(pair.promise.fork()).addBranch();
}

void Stream::watch_for_disconnect() {
  socket_.async_wait(Socket::wait_error, [shared = shared_](const std::error_code& error) {
    // An event without a hang-up is out-of-band data, which a peer can send at will: it is not
    // watched again.
    if (shared->stream == nullptr || error || !shared->stream->hung_up()) return;
    shared->stream->disconnected_fulfiller_->fulfill();
  });
}

bool Stream::hung_up() {
  struct pollfd state = {socket_.native_handle(), 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
}

void Stream::getsockopt(int level, int option, void* value, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getsockopt(socket_.native_handle(), level, option, value, &size));
  *length = size;
}

void Stream::setsockopt(int level, int option, const void* value, kj::uint length) {
  KJ_SYSCALL(::setsockopt(socket_.native_handle(), level, option, value, length));
}

void Stream::getsockname(struct sockaddr* address, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getsockname(socket_.native_handle(), address, &size));
  *length = size;
}

void Stream::getpeername(struct sockaddr* address, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getpeername(socket_.native_handle(), address, &size));
  *length = size;
}

}  // namespace

kj::Own<kj::AsyncIoStream> make_stream(AsioLoop& loop, Socket socket) {
  return kj::heap<Stream>(loop.port(), std::move(socket));
}

}  // namespace grapevine::rpc
