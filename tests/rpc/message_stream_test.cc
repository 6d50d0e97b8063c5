// Goal: messages come out as they went in however they are cut up, and what is no message is
// refused before it costs memory. Method: one end of an in-process pipe is the peer, which writes
// bytes as it likes.
#include "rpc/message_stream.h"

#include <capnp/serialize.h>

#include <cstring>

#include "tests/rpc/echo.capnp.h"
#include "tests/rpc/loop_fixture.h"

namespace grapevine::rpc::test {
namespace {

constexpr std::size_t kLimit = 1'000'000;

class MessageStreamTest : public LoopTest {
 protected:
  ~MessageStreamTest() noexcept override =
      default;  // KJ's destructors may throw, GoogleTest's may not

  static std::string message(std::size_t value_bytes, std::size_t first_segment_words = 1'024) {
    capnp::MallocMessageBuilder builder(static_cast<kj::uint>(first_segment_words),
                                        capnp::AllocationStrategy::FIXED_SIZE);
    auto operation = builder.initRoot<Operation>();
    std::memset(operation.initKey(10).begin(), 'k', 10);
    std::memset(operation.initValue(static_cast<kj::uint>(value_bytes)).begin(), 'v', value_bytes);
    const auto words = capnp::messageToFlatArray(builder);
    const auto bytes = words.asBytes();
    return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  }

  static std::string header(std::uint32_t segments_less_one,
                            std::initializer_list<std::uint32_t> words) {
    std::string bytes(reinterpret_cast<const char*>(&segments_less_one), 4);
    for (const std::uint32_t word : words) bytes.append(reinterpret_cast<const char*>(&word), 4);
    return bytes;
  }

  kj::Promise<void> send(std::string bytes, std::size_t piece_bytes) {
    if (bytes.empty()) {
      pipe_.ends[1]->shutdownWrite();
      return kj::READY_NOW;
    }
    auto kept = kj::heap(bytes.substr(0, piece_bytes));
    auto written = pipe_.ends[1]->write(kept->data(), kept->size());
    return written.attach(kj::mv(kept))
        .then([this, rest = bytes.substr(std::min(piece_bytes, bytes.size())), piece_bytes] {
          return send(rest, piece_bytes);
        });
  }

  // Sizes of the values read until the end; -1 stands for a failure.
  std::vector<long> receive() {
    std::vector<long> sizes;
    for (bool going = true; going;) {
      auto read = messages_.tryReadMessage();
      loop_.run_until(read.then(
          [&](kj::Maybe<kj::Own<capnp::MessageReader>>&& found) {
            KJ_IF_MAYBE (reader, found) {
              sizes.push_back(static_cast<long>((*reader)->getRoot<Operation>().getValue().size()));
            } else {
              going = false;
            }
          },
          [&](kj::Exception&& exception) {
            sizes.push_back(-1);
            failure_text_ = exception.getDescription().cStr();
            going = false;
          }));
    }
    return sizes;
  }

  kj::TwoWayPipe pipe_ = kj::newTwoWayPipe();
  MessageStream messages_{*pipe_.ends[0], "peer:1", kLimit};
  std::string failure_text_;
};

TEST_F(MessageStreamTest, MessagesSurviveAnyCutting) {
  for (const std::size_t piece_bytes : {1u, 3u, 8u, 13u, 4'096u, 64u * 1024u, 1'000'000u}) {
    pipe_ = kj::newTwoWayPipe();
    MessageStream fresh(*pipe_.ends[0], "peer:1", kLimit);
    std::string bytes;
    std::vector<std::size_t> expected;
    for (const std::size_t size : {0u, 1u, 100u, 70'000u, 65'500u, 3u, 200'000u, 7u}) {
      if (piece_bytes < 8 && size > 1'000) continue;  // too slow to be worth it
      bytes += message(size, size % 2 == 0 ? 1'024 : 2);
      expected.push_back(size);
    }
    auto sending = send(bytes, piece_bytes).eagerlyEvaluate(nullptr);
    for (const std::size_t size : expected) {
      auto reader = loop_.run_until(fresh.readMessage());
      const auto operation = reader->getRoot<Operation>();
      EXPECT_EQ(operation.getValue().size(), size);
      EXPECT_EQ(operation.getKey(), kj::StringPtr("kkkkkkkkkk").asBytes());
    }
    EXPECT_TRUE(loop_.run_until(fresh.tryReadMessage()) == nullptr);
    EXPECT_TRUE(fresh.at_end());
    EXPECT_TRUE(fresh.failure().ok());
    loop_.run_until(fresh.on_end());
  }
}

std::string packed(Packing& packing, const std::string& message) {
  kj::ArrayInputStream bytes(
      kj::arrayPtr(reinterpret_cast<const kj::byte*>(message.data()), message.size()));
  capnp::InputStreamMessageReader reader(bytes);
  kj::Vector<kj::ArrayPtr<const capnp::word>> segments;
  for (kj::uint id = 0; reader.getSegment(id) != nullptr; ++id) {
    segments.add(reader.getSegment(id));
  }
  kj::VectorOutputStream out;
  packing.pack(segments.asPtr(), out);
  const auto array = out.getArray();
  return std::string(reinterpret_cast<const char*>(array.begin()), array.size());
}

TEST_F(MessageStreamTest, PackedOnesAreReadAmongOthersHoweverTheyAreCut) {
  for (const std::size_t piece_bytes : {1u, 5u, 64u, 100'000u}) {
    pipe_ = kj::newTwoWayPipe();
    MessageStream fresh(*pipe_.ends[0], "peer:1", kLimit);
    const std::vector<std::size_t> sizes{0, 3, 800, 100, 2'000};
    Packing packing;
    std::string bytes;
    for (const std::size_t size : sizes) {
      bytes += packed(packing, message(size, 300)) + message(size);
    }
    auto sending = send(bytes, piece_bytes).eagerlyEvaluate(nullptr);
    for (const std::size_t size : sizes) {
      for (int i = 0; i < 2; ++i) {
        auto reader = loop_.run_until(fresh.readMessage());
        EXPECT_EQ(reader->getRoot<Operation>().getValue().size(), size);
      }
    }
    EXPECT_TRUE(loop_.run_until(fresh.tryReadMessage()) == nullptr);
    EXPECT_TRUE(fresh.failure().ok());
  }
}

TEST_F(MessageStreamTest, PackedBytesThatAreMalformedOrUnpackToTooMuchAreRefused) {
  Packing packing;
  std::string cut = packed(packing, message(100));
  cut.resize(cut.size() - 3);
  cut[0] = static_cast<char>(cut[0] - 3);
  const auto of = [](const std::string& bytes) {
    const std::size_t header = 0x8000 + bytes.size();
    return std::string{static_cast<char>(header & 0xff), static_cast<char>(header >> 8)} + bytes;
  };
  const std::string bomb = of(std::string(400, '\0').replace(1, 1, "\xff"));
  std::string many_zeros;
  for (int i = 0; i < 100; ++i) many_zeros += std::string("\0\xff", 2);
  const std::string nothing = of("");
  // Of two segments, of which the second is not there; of more segments than there are words.
  const std::string no_second = of(std::string("\x11\x01\x01\x01\x05\x00\x00", 7));
  const std::string no_table = of(std::string("\x01\x50", 2));
  for (const std::string& bytes : {cut, bomb, of(many_zeros), nothing, no_second, no_table}) {
    pipe_ = kj::newTwoWayPipe();
    MessageStream fresh(*pipe_.ends[0], "peer:1", kLimit);
    auto sending = send(bytes, 100'000).eagerlyEvaluate(nullptr);
    failure_of(fresh.readMessage());
    EXPECT_TRUE(absl::IsInvalidArgument(fresh.failure())) << fresh.failure();
  }
}

TEST_F(MessageStreamTest, WhoPacksIsReadByWhoDoesNot) {
  MessageStream packs(*pipe_.ends[1], "peer:2", kLimit);
  packs.pack();
  for (const std::size_t size : {0u, 100u, 1'000u, 5'000u, 100'000u}) {
    capnp::MallocMessageBuilder builder(16, capnp::AllocationStrategy::FIXED_SIZE);
    builder.initRoot<Operation>().initValue(static_cast<kj::uint>(size));
    auto sending = packs.writeMessage(builder).eagerlyEvaluate(nullptr);
    auto reader = loop_.run_until(messages_.readMessage());
    EXPECT_EQ(reader->getRoot<Operation>().getValue().size(), size);
    loop_.run_until(kj::mv(sending));
  }
}

TEST_F(MessageStreamTest, PacksBackOnceThePeerHasPacked) {
  MessageStream other(*pipe_.ends[1], "peer:2", kLimit);
  messages_.pack_back();
  capnp::MallocMessageBuilder builder;
  builder.initRoot<Operation>().initValue(1'000);
  const auto sent_back = [&] {
    const std::uint64_t before = other.bytes_received();
    auto sending = messages_.writeMessage(builder).eagerlyEvaluate(nullptr);
    loop_.run_until(other.readMessage());
    loop_.run_until(kj::mv(sending));
    return other.bytes_received() - before;
  };
  const auto send = [&] {
    auto sending = other.writeMessage(builder).eagerlyEvaluate(nullptr);
    loop_.run_until(messages_.readMessage());
    loop_.run_until(kj::mv(sending));
  };
  send();
  EXPECT_GT(sent_back(), 1'000U);
  other.pack();
  send();
  EXPECT_LT(sent_back(), 100U);
}

TEST_F(MessageStreamTest, GarbageIsRefusedAndNothingMoreIsRead) {
  auto sending = send("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 100).eagerlyEvaluate(nullptr);
  EXPECT_EQ(receive(), std::vector<long>{-1});
  EXPECT_TRUE(absl::IsInvalidArgument(messages_.failure()));
  EXPECT_EQ(text_of(messages_.failure()), failure_text_);
  EXPECT_NE(failure_text_.find("peer:1 sent bytes that are no Cap'n Proto message"),
            std::string::npos);
  EXPECT_EQ(receive(), std::vector<long>{-1});
  loop_.run_until(messages_.on_end());
}

TEST_F(MessageStreamTest, AnnouncedSizeOverTheLimitIsRefusedBeforeTheBytesCome) {
  auto sending = send(message(5) + header(0, {kLimit / 8 + 1}), 100).eagerlyEvaluate(nullptr);
  EXPECT_EQ(receive(), (std::vector<long>{5, -1}));
  EXPECT_NE(failure_text_.find("announced a message of 1000008 bytes, the limit is 1000000"),
            std::string::npos);
}

TEST_F(MessageStreamTest, SumOfSegmentsIsWhatCounts) {
  auto sending = send(header(2, {kLimit / 16, kLimit / 16, 1}), 100).eagerlyEvaluate(nullptr);
  EXPECT_EQ(receive(), std::vector<long>{-1});
  EXPECT_TRUE(absl::IsInvalidArgument(messages_.failure()));
}

TEST_F(MessageStreamTest, LargestSizesDoNotOverflow) {
  std::string bytes = header(511, {});
  for (int i = 0; i < 513; ++i) bytes += header(0xffffffff, {});
  auto sending = send(bytes, 10'000).eagerlyEvaluate(nullptr);
  EXPECT_EQ(receive(), std::vector<long>{-1});
  EXPECT_NE(failure_text_.find(std::to_string(512ull * 0xffffffffull * 8)), std::string::npos)
      << failure_text_;
}

TEST_F(MessageStreamTest, MessageAtTheLimitIsRead) {
  const std::size_t structure = message(8, 200'000).size() - 8;
  const std::size_t largest = (kLimit - structure) / 8 * 8;
  auto sending = send(message(largest, 200'000), 1'000'000'000).eagerlyEvaluate(nullptr);
  EXPECT_EQ(receive(), std::vector<long>{static_cast<long>(largest)});
}

TEST_F(MessageStreamTest, EndInsideAMessageIsACutConnection) {
  const std::string whole = message(100'000);
  for (const std::size_t kept :
       {std::size_t{3}, std::size_t{9}, std::size_t{5'000}, whole.size() - 1}) {
    pipe_ = kj::newTwoWayPipe();
    MessageStream fresh(*pipe_.ends[0], "peer:1", kLimit);
    auto sending = send(whole.substr(0, kept), 100'000).eagerlyEvaluate(nullptr);
    const kj::Exception failure = failure_of(fresh.readMessage());
    EXPECT_TRUE(is_connection_lost(failure));
    EXPECT_EQ(fresh.failure(),
              absl::UnavailableError("peer:1 closed the connection in the middle of a message"));
    EXPECT_FALSE(fresh.at_end());
  }
}

TEST_F(MessageStreamTest, WhatHasComeOfALargeMessageIsCountedBeforeTheRestIsThere) {
  const std::string whole = message(500'000);
  const std::size_t half = whole.size() / 2;
  bool read = false;
  auto reading = messages_.tryReadMessage().then([&](auto&&) { read = true; });
  loop_.run_until(pipe_.ends[1]->write(whole.data(), half));
  run_while_not([&] { return messages_.bytes_received() >= half; });
  EXPECT_EQ(messages_.bytes_received(), half);
  EXPECT_FALSE(read);
  loop_.run_until(pipe_.ends[1]->write(whole.data() + half, whole.size() - half));
  loop_.run_until(kj::mv(reading));
  EXPECT_EQ(messages_.bytes_received(), whole.size());
}

TEST_F(MessageStreamTest, WrittenMessagesAreReadByCapnProto) {
  capnp::MallocMessageBuilder one(2, capnp::AllocationStrategy::FIXED_SIZE);
  one.initRoot<Operation>().initValue(1'000);
  capnp::MallocMessageBuilder two;
  two.initRoot<Operation>().initValue(70'000);
  capnp::MessageBuilder* both[] = {&one, &two};
  auto written = messages_.writeMessages(kj::arrayPtr(both, 2)).eagerlyEvaluate(nullptr);
  for (const std::size_t size : {1'000u, 70'000u}) {
    auto reader = loop_.run_until(capnp::readMessage(*pipe_.ends[1]));
    EXPECT_EQ(reader->getRoot<Operation>().getValue().size(), size);
  }
  loop_.run_until(kj::mv(written));
}

TEST_F(MessageStreamTest, ReadsNothingWhileCongestedAndGoesOnAfterAWrite) {
  bool congested = true;
  messages_.pause_reading_while([&] { return congested; });
  auto sending = send(message(5), 1'000).eagerlyEvaluate(nullptr);
  bool done = false;
  auto read =
      messages_.tryReadMessage().then([&](auto&&) { done = true; }).eagerlyEvaluate(nullptr);
  loop_.run_until(loop_.after(Duration(0)));
  EXPECT_FALSE(done);

  capnp::MallocMessageBuilder answer;
  answer.initRoot<Operation>().initValue(10);
  auto written = messages_.writeMessage(answer).eagerlyEvaluate(nullptr);
  loop_.run_until(loop_.after(Duration(0)));
  congested = false;
  loop_.run_until(capnp::readMessage(*pipe_.ends[1]));
  loop_.run_until(kj::mv(read));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace grapevine::rpc::test
