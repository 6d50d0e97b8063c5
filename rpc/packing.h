// Messages that are not large in few bytes.
//
// A packed message is what it differs in from the last one of its kind (a call, an answer, ...) on the same
// way, XORed, then packed as Cap'n Proto does, which leaves out zeros. So the frame around a call, some
// 18 words that are nearly always the same, costs a few bytes: an empty call and its answer 12, not 148.
//
//   2 bytes  little-endian: 2^15; if less than 2^10 bytes follow, 2^10 times the kind and their number, else
//            2^14 and their number, of a kind of its own
//   bytes    packed: the message as it is on an unpacked stream, its first kWords words XORed with those
//            of the last one of the kind
//
// The kind is the writer's choice: messages of one kind and size are mostly of one method.
//
// An unpacked message cannot begin so: it has not so many segments.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>
#include <kj/io.h>

#include <cstddef>
#include <memory>

#include "storage/base/status.h"

namespace grapevine::rpc {

// One direction of a stream, at one of its ends: both ends have seen the same messages, so they agree.
// Resource. Costs: 3 KiB, and a copy of each message.
class Packing {
 public:
  using Segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;

  static constexpr std::size_t kHeaderBytes = 2;
  static constexpr std::size_t kUnpackedMax = 15 * 1024;

  Packing();
  ~Packing();

  struct Header {
    std::size_t kind = 0;
    std::size_t bytes = 0;  // that follow; less than 2^14
  };

  // Whether a packed message begins here. REQUIRES: kHeaderBytes bytes, as do those below.
  static bool is_packed(const kj::byte* at) { return (at[1] & 0x80) != 0; }
  static Header read_header(const kj::byte* at);

  // Bytes of the message on an unpacked stream.
  static std::size_t unpacked_bytes(Segments segments);
  // Appends header and bytes. REQUIRES: unpacked_bytes(segments) <= kUnpackedMax; `out` is empty.
  void pack(Segments segments, kj::VectorOutputStream& out);
  // The message as on an unpacked stream. InvalidArgument for bytes that pack cannot have written.
  absl::StatusOr<kj::Array<capnp::word>> unpack(std::size_t kind,
                                                kj::ArrayPtr<const kj::byte> packed);

 private:
  struct History;
  std::unique_ptr<History> history_;
};

}  // namespace grapevine::rpc
