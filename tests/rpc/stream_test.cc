// Goal: a stream keeps KJ's contract over real sockets, whatever the sizes, the order of events and
// the end of the peer. Method: two ends on loopback in one loop; small kernel buffers where a slow
// peer is needed.
#include "rpc/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstring>

#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

// Bytes that differ at every position, so that a lost or doubled piece shows.
std::string pattern(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

class StreamTest : public LoopTest {
 protected:
  static void shrink_kernel_buffers(StreamPair& pair) {
    const int size = 32 * 1024;
    pair.near->setsockopt(SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    pair.far->setsockopt(SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  }

  // Writes `bytes` in pieces of the sizes given, over and over.
  static kj::Promise<void> write_pieces(kj::AsyncIoStream& stream, std::string_view bytes,
                                        std::vector<std::size_t> sizes, std::size_t turn = 0) {
    if (bytes.empty()) {
      stream.shutdownWrite();
      return kj::READY_NOW;
    }
    const std::size_t size = std::min(bytes.size(), sizes[turn % sizes.size()]);
    return stream.write(bytes.data(), size).then([&stream, bytes, size, sizes, turn] {
      return write_pieces(stream, bytes.substr(size), sizes, turn + 1);
    });
  }

  static kj::Promise<void> read_pieces(kj::AsyncIoStream& stream, std::string& bytes,
                                       std::vector<std::size_t> sizes, std::size_t turn = 0) {
    const std::size_t size = sizes[turn % sizes.size()];
    auto piece = kj::heapArray<char>(size);
    char* const at = piece.begin();
    return stream.tryRead(at, size / 2 + 1, size)
        .then([&stream, &bytes, sizes, turn, piece = kj::mv(piece),
               size](std::size_t got) -> kj::Promise<void> {
          bytes.append(piece.begin(), got);
          if (got < size / 2 + 1) return kj::READY_NOW;
          return read_pieces(stream, bytes, sizes, turn + 1);
        });
  }
};

TEST_F(StreamTest, BytesArriveBothWaysAtOnceWhateverTheSizes) {
  const std::vector<std::size_t> sizes[] = {
      {1, 7, 4'096}, {100'000}, {3'000'000, 10, 300'000}, {64 * 1024}, {13}};
  unsigned seed = 0;
  for (const auto& written : sizes) {
    for (const auto& read : sizes) {
      auto pair = connected();
      const std::size_t size = std::min(written[0], read[0]) < 20 ? 100'000 : 5'000'000;
      const std::string there = pattern(size, ++seed);
      const std::string back = pattern(size, ++seed);
      std::string got_there;
      std::string got_back;
      auto all = kj::heapArrayBuilder<kj::Promise<void>>(4);
      all.add(write_pieces(*pair.near, there, written));
      all.add(write_pieces(*pair.far, back, written));
      all.add(read_pieces(*pair.far, got_there, read));
      all.add(read_pieces(*pair.near, got_back, read));
      loop_.run_until(kj::joinPromises(all.finish()));
      EXPECT_TRUE(got_there == there && got_back == back)
          << written[0] << " written, " << read[0] << " read";
    }
  }
}

TEST_F(StreamTest, SmallReadsTakeApartWhatCameAtOnce) {
  auto pair = connected();
  write_text(*pair.near, "abcdef");
  for (const char* letter : {"a", "b", "c"}) EXPECT_EQ(read_text(*pair.far, 1), letter);
  EXPECT_EQ(read_text(*pair.far, 3), "def");
}

TEST_F(StreamTest, PiecesOfOneWriteStayInOrder) {
  auto pair = connected();
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i)
    texts.push_back(pattern(i % 5 == 0 ? 0 : 3'000, static_cast<unsigned>(i)));
  std::vector<kj::ArrayPtr<const kj::byte>> pieces;
  std::string all;
  for (const std::string& text : texts) {
    pieces.push_back(kj::arrayPtr(text.data(), text.size()).asBytes());
    all += text;
  }
  write_text(*pair.near, "before");
  auto written =
      pair.near->write(kj::arrayPtr(pieces.data(), pieces.size())).eagerlyEvaluate(nullptr);
  EXPECT_TRUE(read_text(*pair.far, 6 + all.size()) == "before" + all);
  loop_.run_until(kj::mv(written));
}

// Segments with data that the kernel has sent. Its tcp_info has this at the end; glibc's does not
// know it yet.
std::uint32_t segments_sent(kj::AsyncIoStream& stream) {
  constexpr std::size_t kOffset = 156;
  char info[256] = {};
  kj::uint length = sizeof(info);
  stream.getsockopt(IPPROTO_TCP, TCP_INFO, info, &length);
  EXPECT_GE(length, kOffset + 4);
  std::uint32_t segments = 0;
  std::memcpy(&segments, info + kOffset, sizeof(segments));
  return segments;
}

TEST_F(StreamTest, WritesOfOneTurnLeaveInOneSegment) {
  auto pair = connected();
  const std::uint32_t before = segments_sent(*pair.near);
  loop_.run_until(kj::evalLater([&] {
    for (int i = 0; i < 100; ++i) loop_.spawn(pair.near->write("0123456789", 10));
  }));
  EXPECT_EQ(read_text(*pair.far, 1'000).size(), 1'000u);
  EXPECT_EQ(segments_sent(*pair.near) - before, 1u);
}

TEST_F(StreamTest, HalfClosedStreamStillReadsAndThenEnds) {
  auto pair = connected();
  write_text(*pair.near, "question");
  pair.near->shutdownWrite();
  EXPECT_EQ(read_text(*pair.far, 100), "question");  // a short read at the end
  EXPECT_EQ(read_text(*pair.far, 100), "");
  write_text(*pair.far, "answer");
  pair.far = nullptr;
  EXPECT_EQ(read_text(*pair.near, 100), "answer");
  EXPECT_EQ(read_text(*pair.near, 100), "");
}

TEST_F(StreamTest, ShutdownWaitsForBytesThatAreStillBuffered) {
  auto pair = connected();
  shrink_kernel_buffers(pair);
  const std::string bytes = pattern(kWriteBufferBytes, 1);
  write_text(*pair.near, bytes);
  pair.near->shutdownWrite();
  EXPECT_TRUE(read_text(*pair.far, bytes.size() + 1) == bytes);
}

TEST_F(StreamTest, ResetIsADisconnectedExceptionForReaderAndWriter) {
  auto pair = connected();
  auto waiting = failure_of(pair.far->tryRead(nullptr, 0, 0).then([&](std::size_t) {
    static char byte;
    reset(kj::mv(pair.near));
    return pair.far->tryRead(&byte, 1, 1);
  }));
  EXPECT_TRUE(is_connection_lost(waiting));
  const std::string bytes = pattern(2 * kWriteBufferBytes, 1);
  EXPECT_TRUE(is_connection_lost(failure_of(pair.far->write(bytes.data(), bytes.size()))));
  EXPECT_TRUE(is_connection_lost(failure_of(pair.far->write("x", 1))));
}

TEST_F(StreamTest, WriterIsHeldBackByAReaderThatDoesNotRead) {
  auto pair = connected();
  const std::string bytes = pattern(32 * 1024 * 1024, 1);
  bool written = false;
  auto writing = pair.near->write(bytes.data(), bytes.size())
                     .then([&] { written = true; })
                     .eagerlyEvaluate(nullptr);
  loop_.run_until(loop_.after(std::chrono::milliseconds(5)));
  EXPECT_FALSE(written);
  EXPECT_TRUE(read_text(*pair.far, bytes.size()) == bytes);
  loop_.run_until(kj::mv(writing));
}

TEST_F(StreamTest, DroppedReadLeavesTheBytesForTheNext) {
  auto pair = connected();
  {
    auto buffer = kj::heapArray<char>(100);
    auto dropped = pair.far->tryRead(buffer.begin(), 100, 100).eagerlyEvaluate(nullptr);
    loop_.run_until(loop_.after(Duration(0)));
  }
  write_text(*pair.near, "later");
  EXPECT_EQ(read_text(*pair.far, 5), "later");
}

TEST_F(StreamTest, LargeReadDroppedHalfWayTouchesItsMemoryNoMore) {
  auto pair = connected();
  {
    auto buffer = kj::heapArray<char>(10'000'000);
    auto dropped =
        pair.far->tryRead(buffer.begin(), buffer.size(), buffer.size()).eagerlyEvaluate(nullptr);
    write_text(*pair.near, pattern(200'000, 1));
    loop_.run_until(loop_.after(Duration(0)));
  }
  write_text(*pair.near, pattern(200'000, 2));
  pair.near->shutdownWrite();
  loop_.run_until(pair.far->readAllBytes());
}

TEST_F(StreamTest, WriteDroppedHalfSentBreaksTheWriteSideAndTouchesItsMemoryNoMore) {
  auto pair = connected();
  {
    auto bytes = kj::heapArray<kj::byte>(32 * 1024 * 1024);
    auto dropped = pair.near->write(bytes.begin(), bytes.size()).eagerlyEvaluate(nullptr);
    loop_.run_until(loop_.after(Duration(0)));
  }
  EXPECT_TRUE(is_connection_lost(failure_of(pair.near->write("x", 1))));
  write_text(*pair.far, "still");
  EXPECT_EQ(read_text(*pair.near, 5), "still");
}

TEST_F(StreamTest, DestroyedStreamStillSendsWhatItHasTaken) {
  auto pair = connected();
  shrink_kernel_buffers(pair);
  const std::string bytes = pattern(kWriteBufferBytes, 3);
  write_text(*pair.near, bytes);
  pair.near = nullptr;
  EXPECT_TRUE(read_text(*pair.far, bytes.size() + 1) == bytes);
}

// A socket that is closed while bytes of the peer lie unread sends a reset, and with it goes what the
// peer had not read yet.
TEST_F(StreamTest, DestroyedStreamEndsInOrderWhateverThePeerStillSends) {
  auto pair = connected();
  const std::string unread = pattern(200'000, 1);
  auto written = pair.near->write(unread.data(), unread.size()).eagerlyEvaluate(nullptr);
  EXPECT_EQ(read_text(*pair.far, 1), unread.substr(0, 1));
  write_text(*pair.far, "goodbye");
  pair.far = nullptr;
  EXPECT_EQ(read_text(*pair.near, 100), "goodbye");
  loop_.run_until(kj::mv(written));
  write_text(*pair.near, "nobody hears this");
  EXPECT_EQ(read_text(*pair.near, 1), "");
}

TEST_F(StreamTest, DisconnectIsNoticedWithoutReadingOrWriting) {
  auto pair = connected();
  auto first = pair.far->whenWriteDisconnected();
  auto second = pair.far->whenWriteDisconnected();
  reset(kj::mv(pair.near));
  loop_.run_until(kj::mv(first));
  loop_.run_until(kj::mv(second));
}

TEST_F(StreamTest, OutOfBandBytesAreNoDisconnect) {
  auto accepted = kj::newPromiseAndFulfiller<kj::Own<kj::AsyncIoStream>>();
  auto listener = listen();
  listener->start([&](kj::Own<kj::AsyncIoStream> stream, const PeerInfo&) {
    accepted.fulfiller->fulfill(kj::mv(stream));
  });
  asio::io_context other;
  asio::ip::tcp::socket peer(other);
  peer.connect({asio::ip::make_address("127.0.0.1"), listener->address().port});
  auto stream = loop_.run_until(kj::mv(accepted.promise));
  bool disconnected = false;
  auto watch =
      stream->whenWriteDisconnected().then([&] { disconnected = true; }).eagerlyEvaluate(nullptr);
  peer.send(asio::buffer("!", 1), asio::socket_base::message_out_of_band);
  peer.send(asio::buffer("ab", 2));
  EXPECT_EQ(read_text(*stream, 2), "ab");
  EXPECT_FALSE(disconnected);
}

TEST_F(StreamTest, AbortedReadEndsAtOnce) {
  auto pair = connected();
  char byte = 0;
  auto waiting = pair.far->tryRead(&byte, 1, 1).eagerlyEvaluate(nullptr);
  loop_.run_until(loop_.after(Duration(0)));
  pair.far->abortRead();
  EXPECT_EQ(loop_.run_until(kj::mv(waiting)), 0u);
  EXPECT_EQ(read_text(*pair.far, 1), "");
}

}  // namespace
}  // namespace grapevine::rpc::test
