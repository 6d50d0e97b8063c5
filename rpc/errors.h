// The one place where errors of KJ, Cap'n Proto and Asio become absl::Status, and back.
//
// A Status travels through a Cap'n Proto call inside the exception's text, as "grapevine status
// CODE: text", so that code and text arrive as they were sent. What carries no such mark is
// translated by its kind:
//
//   DISCONNECTED   Unavailable          OVERLOADED     ResourceExhausted
//   UNIMPLEMENTED  Unimplemented        FAILED         Internal; InvalidArgument for a message over the limit
//
// Not promised: that Unavailable from a lost connection means "nothing was written". Only the
// caller knows whether a write was under way; it asks is_connection_lost and then answers
// outcome_unknown_error.
//
// Functions over values; any thread.
#pragma once

#include <kj/exception.h>

#include <string_view>
#include <system_error>

#include "storage/base/status.h"

namespace grapevine::rpc {

inline constexpr std::size_t kErrorTextBytesMax = 2'000;  // longer texts are cut

// REQUIRES: !status.ok(). Line breaks in the text become spaces.
kj::Exception to_exception(const absl::Status& status);
// Throws it as such an exception unless it is OK.
void throw_if_error(const absl::Status& status);

// Texts become one line, without source files, stacks and "remote exception:".
absl::Status to_status(const kj::Exception& exception);

// `action` says what failed, such as "cannot connect to 127.0.0.1:4740".
absl::Status to_status(std::string_view action, const std::error_code& error);

// What a broken transport throws.
kj::Exception connection_lost(std::string_view text);
kj::Exception connection_lost(std::string_view action, const std::error_code& error);

// True when the transport failed under a call, false when the other side answered with an error of
// its own.
bool is_connection_lost(const kj::Exception& exception);

// True when it is a Status that somebody answered with, or that the other side has no such method: then
// the Status says what became of the call. Else something broke, on the way or over there, and a call
// that has been sent may have been carried out.
bool is_answer(const kj::Exception& exception);

// True when the other end itself said no: its machine, that nobody listens there (or not any more: a
// process that just dies resets what has connected), or its process, with an error of its own. Not
// when no answer came, nor when the way there was closed on this side of it (no route, a packet
// filter, no descriptor left).
bool is_refusal(const kj::Exception& exception);

}  // namespace grapevine::rpc
