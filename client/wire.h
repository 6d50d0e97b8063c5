// Operations and results, between the public types and the wire.
//
// Functions over values; the client's own thread. What comes from a node is not trusted: an answer
// that makes no sense becomes an Internal error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/include/grapevine/client.h"
#include "rpc/client.capnp.h"
#include "storage/base/status.h"

namespace grapevine::client {

namespace wire = rpc::wire;

inline capnp::Data::Reader to_data(std::string_view bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}
inline std::string_view view(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string to_string(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string to_string(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

absl::Status to_status(wire::Status::Reader status);
void to_wire(const absl::Status& status, wire::Status::Builder out);

wire::Consistency to_wire(Consistency consistency);
// With what its session has seen by now.
void to_wire(const Operation& operation, std::uint64_t write_id, wire::Operation::Builder out);
// `asked` is what the result answers; its session gets to know.
OperationResult to_result(wire::Result::Reader result, const Operation& asked);
ScanPage to_page(wire::Reader::ScanResults::Reader results);

}  // namespace grapevine::client
