#include "rpc/packing.h"

#include <capnp/serialize-packed.h>
#include <kj/exception.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace grapevine::rpc {
namespace {

using capnp::word;

constexpr std::size_t kWords = 24;
constexpr std::size_t kSmallKinds = 16;
constexpr std::size_t kKinds = kSmallKinds + 1;  // and of all that are large
constexpr std::size_t kPacked = 1 << 15;
constexpr std::size_t kLarge = 1 << 14;
constexpr std::size_t kSizeBits = 10;  // of a small one

// In the messages of Cap'n Proto's RPC the second word says whether they are calls, answers, ...
std::size_t kind_of(Packing::Segments segments, std::size_t words) {
  kj::byte kind = 0;
  if (segments.size() > 0 && segments[0].size() > 1) std::memcpy(&kind, segments[0].begin() + 1, 1);
  return (5 * std::size_t{kind} + words) % kSmallKinds;
}

std::uint64_t load(const word* from) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

void store(std::uint64_t bits, word* to) {
  std::memcpy(static_cast<void*>(to), &bits, sizeof bits);
}

}  // namespace

struct Packing::History {
  std::array<std::array<std::uint64_t, kWords>, kKinds> last{};
};

Packing::Packing() : history_(std::make_unique<History>()) {}

Packing::~Packing() = default;

Packing::Header Packing::read_header(const kj::byte* at) {
  const std::size_t header = at[0] | std::size_t{at[1]} << 8;
  if ((header & kLarge) != 0) return {kSmallKinds, header % kLarge};
  return {(header >> kSizeBits) % kSmallKinds, header % (1 << kSizeBits)};
}

std::size_t Packing::unpacked_bytes(Segments segments) {
  std::size_t words = segments.size() / 2 + 1;
  for (const auto& segment : segments) words += segment.size();
  return words * sizeof(word);
}

void Packing::pack(Segments segments, kj::VectorOutputStream& out) {
  auto words = kj::heapArray<word>(unpacked_bytes(segments) / sizeof(word));
  kj::ArrayOutputStream flat(words.asBytes());
  capnp::writeMessage(flat, segments);
  // Before it is packed it does not show whether it will be small.
  constexpr std::size_t kSurelySmall = (1 << kSizeBits) - 64;
  const bool large = words.asBytes().size() > kSurelySmall;
  const std::size_t kind = large ? kSmallKinds : kind_of(segments, words.size());
  auto& last = history_->last[kind];
  for (std::size_t i = 0; i < std::min(kWords, words.size()); ++i) {
    const std::uint64_t now = load(&words[i]);
    store(now ^ last[i], &words[i]);
    last[i] = now;
  }
  const kj::byte no_header[kHeaderBytes] = {};
  out.write(no_header, sizeof no_header);
  capnp::_::PackedOutputStream(out).write(words.begin(), words.asBytes().size());
  kj::ArrayPtr<kj::byte> all = out.getArray();
  const std::size_t bytes = all.size() - kHeaderBytes;
  const std::size_t header = kPacked | (large ? kLarge : kind << kSizeBits) | bytes;
  all[0] = static_cast<kj::byte>(header & 0xff);
  all[1] = static_cast<kj::byte>(header >> 8);
}

absl::StatusOr<kj::Array<word>> Packing::unpack(std::size_t kind,
                                                kj::ArrayPtr<const kj::byte> packed) {
  kj::Array<word> words;
  const auto malformed = kj::runCatchingExceptions([&] {
    const std::size_t count = capnp::computeUnpackedSizeInWords(packed);
    KJ_REQUIRE(count > 0 && count * sizeof(word) <= kUnpackedMax, "unpacks to too much");
    words = kj::heapArray<word>(count);
    kj::ArrayInputStream bytes(packed);
    capnp::_::PackedInputStream(bytes).read(words.begin(), words.asBytes().size());
  });
  if (malformed != nullptr) return absl::InvalidArgumentError("packed bytes that are malformed");
  auto& last = history_->last[kind];
  for (std::size_t i = 0; i < std::min(kWords, words.size()); ++i) {
    last[i] ^= load(&words[i]);
    store(last[i], &words[i]);
  }
  return words;
}

}  // namespace grapevine::rpc
