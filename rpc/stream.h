// A TCP connection as KJ sees it: kj::AsyncIoStream over an Asio socket.
//
// Resource. Reading keeps one receive of kReadAheadBytes under way while somebody waits for bytes,
// into memory of its own: small reads are then served without a system call, and a dropped promise
// leaves nothing behind but read-ahead. Reads of kDirectReadBytes or more go straight into the
// caller's memory as long as the kernel has bytes. Writing copies small writes and sends them
// together at the end of the loop's turn; a write that does not fit into what is left of
// kWriteBufferBytes waits until the kernel took enough, sent from the caller's memory.
//
// KJ's contract holds: one read and one write at a time, buffers valid until the promise is done or
// dropped, the stream outlives its promises. The end of the peer's bytes is a short read; a reset
// is a DISCONNECTED exception. Dropping the promise of a write that is half sent breaks the write
// side, because the bytes behind it would make no sense.
//
// When it is destroyed, what is left to send is sent in the background, the peer is told the end, and
// what it still sends is dropped until it closes too, all for at most kLingerTime: so the peer reads
// an orderly end, however many bytes of its own were under way. abortRead before takes no such care
// of the peer. Not promised: that a finished write reached the peer; that whenWriteDisconnected
// notices a silent loss.
//
// Cost: kReadAheadBytes of memory per stream, and up to kWriteBufferBytes while the peer is slower
// than the writer. Owner: whoever holds it; the thread of its loop; gone before its loop.
#pragma once

#include <kj/async-io.h>

#include <asio/basic_stream_socket.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "rpc/asio_loop.h"

namespace grapevine::rpc {

// With the io_context's own executor: the type-erased one costs an allocation an operation.
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;

inline constexpr std::size_t kReadAheadBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kDirectReadBytes = std::size_t{32} * 1024;
inline constexpr std::size_t kWriteBufferBytes = std::size_t{256} * 1024;
inline constexpr Duration kLingerTime = std::chrono::seconds(10);

// Takes a connected socket of this loop; sets it to non-blocking, TCP_NODELAY and keep-alive.
kj::Own<kj::AsyncIoStream> make_stream(AsioLoop& loop, Socket socket);

}  // namespace grapevine::rpc
